"""Byte ranges over HTTP, with the standard library alone.

Source: RFC 9110, sections 13.1.5 (If-Range), 14 (ranges), 15.4 (redirects). A file that changes between two
requests is refused, never mixed; an answer is held to what was asked, in length and in time.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import re
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead, responses
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit  # noqa: TID253 - this module is loaded on use

from unlite._version import __version__
from unlite.errors import InvalidValueError, TransferError
from unlite.storage.abstract_source import CHUNK
from unlite.storage.blocks import BLOCK, CACHE, HEAD, BlockSource, public_name
from unlite.storage.forks import of_the_parent

if TYPE_CHECKING:
    import socket
    from typing import Any

    from typing_extensions import Buffer

USER_AGENT = f"unlite/{__version__}"
TIMEOUT = 30.0
"""Seconds of silence before a server is given up."""
SLOWEST = 8 << 10
"""Bytes in a second below which an answer is given up."""
TRIES = 3
REDIRECTS = 8
OVERHEAD = 1 << 20
"""Bytes that an answer's headers and chunk marks may take."""
DOWNLOAD = "Download the file first, and open it from the disk."


class Version(NamedTuple):
    """What an answer tells of the file's version."""

    size: int
    etag: str | None
    last_modified: str | None

    def continues(self, first: Version) -> bool:
        """Whether it is the version of the first answer. An answer to If-Range may leave out Last-Modified."""
        return self._replace(last_modified=self.last_modified or first.last_modified) == first


class BoundedStream(io.RawIOBase):
    """What comes in on a socket, up to a deadline and a number of bytes.

    A socket's own timeout starts anew with each byte, and a chunk or a header may be as long as a server likes.
    """

    def __init__(self, connection: socket.socket, *, timeout: float, deadline: float, most: int) -> None:
        self._socket = connection
        self._stream = connection.makefile("rb", buffering=0)
        self._timeout = timeout
        self._deadline = deadline
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int | None:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the answer comes too slowly")
        self._socket.settimeout(min(seconds, self._timeout))
        count = self._stream.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise OSError("the answer is far longer than was asked for")
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """What HTTPResponse asks a socket for."""
        return io.BufferedReader(self)


class HttpSource(BlockSource):
    """A file on a web server, read by ranges over one connection that is kept alive.

    The first request asks for the head, and the answer tells the size. User and password in the URL are sent to its
    own origin only. Proxies named in the environment are not used. After ``close`` a read connects anew.

    Args:
        url: ``http:`` or ``https:``.
        timeout: Seconds of silence before the server is given up.
        cache: Bytes of blocks to keep.

    Raises:
        InvalidValueError: not such a URL.
        TransferError: the server cannot be reached, does not serve ranges, or has no such file.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, cache: int = CACHE) -> None:
        super().__init__(public_name(url), cache=cache)
        self._timeout = timeout
        self._connection: HTTPConnection | None = None
        self._version: Version | None = None
        try:
            self._url = self._target = urlsplit(url)
            self._origin = origin(self._url)
        except ValueError as error:
            raise InvalidValueError("not a URL that can be read.", file=self.name) from error
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise InvalidValueError("not an http: or https: URL with a host.", file=self.name)
        self._keep(0, self._fetch(0, HEAD))

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _inherited(self) -> None:
        """The parent's connection is the parent's: this closes the descriptor, and says nothing to the server."""
        super()._inherited()
        connection, self._connection = self._connection, None
        of_the_parent.append(connection)
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                os.close(connection.sock.detach())

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, (self._url.geturl(), self._timeout, self._most_blocks * BLOCK, self._version)

    def _fetch(self, offset: int, length: int) -> bytes | bytearray:
        tries = TRIES
        while True:
            try:
                return self._exchange(offset, length)
            except (OSError, HTTPException, ValueError) as error:
                # ValueError: http.client lets some out that odd numbers in an answer cause.
                self.close()
                tries -= 1
                # Servers drop connections that were idle, or after some number of answers: a new one mends it.
                if tries and isinstance(error, ConnectionError):
                    continue
                why = f"no answer that is HTTP ({type(error).__name__})"
                if isinstance(error, OSError):
                    why = error.strerror or str(error)
                raise self._refused(
                    f"{why}.", "Check the address and the connection, and try again.", offset
                ) from error

    def _exchange(self, offset: int, length: int) -> bytes | bytearray:
        """One range, through redirects."""
        followed = False
        for _ in range(REDIRECTS + 1):
            with self._ask(offset, length) as response:
                if response.status in (301, 302, 303, 307, 308):
                    self._follow(response.getheader("Location"))
                    followed = True
                elif response.status in (401, 403, 404, 410) and self._target != self._url and not followed:
                    # Addresses that were redirected to are often signed, and expire: ask the first one again.
                    self.close()
                    self._target = self._url
                else:
                    return self._body(response, offset, length)
        raise self._refused(f"more than {REDIRECTS} redirects.", "Check the address.")

    def _ask(self, offset: int, length: int) -> HTTPResponse:
        target = self._target
        headers = {
            "Range": f"bytes={offset}-{offset + length - 1}",
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
        }
        etag = self._version.etag if self._version else None
        if etag and re.fullmatch(r'"[\x21\x23-\x7E]*"', etag):  # a weak one must not be used here
            headers["If-Range"] = etag
        if self._url.username is not None and origin(target) == self._origin:
            user = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        if self._connection is None:
            kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
            self._connection = kind(target.hostname or "", origin(target)[2], timeout=self._timeout)
        deadline = time.monotonic() + self._timeout + length / SLOWEST

        def bounded(connection: socket.socket, **keywords: Any) -> HTTPResponse:
            stream = BoundedStream(connection, timeout=self._timeout, deadline=deadline, most=length + OVERHEAD)
            return HTTPResponse(stream, **keywords)  # type: ignore[arg-type]  # all it asks of a socket is makefile

        self._connection.response_class = bounded  # type: ignore[assignment]
        path = quote(target.path or "/", safe="/%:@!$&'()*+,;=~")
        query = f"?{quote(target.query, safe='/%:@!$&()*+,;=~?')}" if target.query else ""
        self.requests += 1
        self._connection.request("GET", path + query, headers=headers)
        return self._connection.getresponse()

    def _follow(self, location: str | None) -> None:
        self.close()
        try:
            target = urlsplit(urljoin(self._target.geturl(), location or ""))
            origin(target)
        except ValueError as error:
            raise self._refused("redirects to something that is no URL.", DOWNLOAD) from error
        if not location or not target.hostname or target.scheme not in ("http", "https"):
            raise self._refused("redirects to something that is no http: or https: URL.", DOWNLOAD)
        if self._target.scheme == "https" and target.scheme == "http":
            raise self._refused("redirects from https: to http:, where anybody could change the file.", DOWNLOAD)
        self._target = target

    def _body(self, response: HTTPResponse, offset: int, length: int) -> bytes | bytearray:
        """The bytes of an answer that is no redirect, held to what was asked; the first one tells size and version."""
        status, told_range = response.status, response.getheader("Content-Range", "")
        if self._version is not None and status in (200, 412, 416):
            raise self._changed(offset)
        if status == 416 and told_range == "bytes */0":
            self.close()
            self._version = version_of(response, 0)
            return b""
        if status not in (200, 206):
            hint = "Check the address and the credentials." if status < 500 and status != 429 else "Try again later."
            raise self._refused(f"the server answers {status} {responses.get(status, '')}".rstrip() + ".", hint)
        if response.getheader("Content-Encoding", "identity").lower() != "identity":
            raise self._refused("the server compresses the file, so that ranges of it mean nothing.", DOWNLOAD)
        if status == 200:
            if (response.length or 0) > length:
                raise self._refused("the server does not serve byte ranges.", DOWNLOAD)
            data = self._received(response, length, response.length or 0)
            self.size = len(data)
            self._version = version_of(response, self.size)
            return data
        told = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", told_range)
        if told is None:
            raise self._refused("the server does not tell which range it sends, of how many bytes.", DOWNLOAD, offset)
        first, last, size = map(int, told.groups())
        version = version_of(response, size)
        if self._version is not None and not version.continues(self._version):
            raise self._changed(offset)
        expected = min(offset + length, size) - offset
        if (first, last + 1 - first) != (offset, expected) or response.length not in (None, expected):
            raise self._refused("the server sends another range than it was asked for.", DOWNLOAD, offset)
        data = self._received(response, expected, expected)
        if self._version is None:
            self._version = version
            self.size = size
        return data

    def _received(self, response: HTTPResponse, most: int, least: int) -> bytearray:
        data = bytearray()
        with contextlib.suppress(IncompleteRead):  # chunks that break off; the count tells
            while len(data) < most and (piece := response.read(min(CHUNK, most - len(data)))):
                self.transferred += len(piece)
                data += piece
            if response.read(1):
                raise self._refused("the answer is longer than was asked for.", DOWNLOAD)
            if len(data) >= least:
                return data
        raise ConnectionResetError(f"the answer breaks off after {len(data)} of {least} bytes")

    def _changed(self, offset: int) -> TransferError:
        return self._refused("the file has changed since it was opened.", "Open it again.", offset)

    def _refused(self, message: str, hint: str, offset: int | None = None) -> TransferError:
        """An error for the caller to raise. Closes the connection: the answer on it is not read to its end."""
        self.close()
        return TransferError(message, file=self.name, offset=offset, hint=hint)


def _opened_again(url: str, timeout: float, cache: int, version: Version) -> HttpSource:
    """The source that was pickled elsewhere. Raises TransferError where the file has changed since."""
    source = HttpSource(url, timeout=timeout, cache=cache)
    if source._version is None or not source._version.continues(version):
        raise source._changed(0)
    return source


def origin(url: SplitResult) -> tuple[str, str | None, int]:
    """Scheme, host and port: who answers. Raises ValueError for a port that is none."""
    return url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80)


def version_of(response: HTTPResponse, size: int) -> Version:
    """What an answer tells of the file's version."""
    return Version(size, response.getheader("ETag"), response.getheader("Last-Modified"))
