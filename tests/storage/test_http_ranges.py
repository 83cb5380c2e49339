"""Files on a web server: a real one on the loopback, well behaved and not."""

from __future__ import annotations

import contextlib
import io
import re
import ssl
import struct
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unlite.errors import CorruptFileError, InvalidValueError, TransferError
from unlite.storage import http_ranges
from unlite.storage.blocks import BLOCK, EXACT, HEAD
from unlite.storage.http_ranges import OVERHEAD, REDIRECTS, TRIES, USER_AGENT, HttpSource
from unlite.storage.remote import open_url
from unlite.storage.source import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLAIN = bytes(index * 7 % 251 for index in range(300_000))


@dataclass
class Site:
    """What the server holds, how it misbehaves, and what it was asked."""

    content: Callable[[int, int], bytes] = lambda start, stop: PLAIN[start:stop]
    size: int = len(PLAIN)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"', "Last-Modified": "yesterday"})
    answer: Callable[[Handler, int, int], bool] = lambda handler, start, stop: False
    """Gives an answer of its own to a request for a range, and says whether it did."""
    url: str = ""
    paths: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    connections: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def setup(self) -> None:
        super().setup()
        self.site.connections += 1

    def do_GET(self) -> None:
        site = self.site
        site.paths.append(self.path)
        site.asked.append({name.lower(): value for name, value in self.headers.items()})
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found
        start, stop = int(found[1]), min(int(found[2]) + 1, site.size)
        if not site.answer(self, start, stop):
            self.give(206, site.content(start, stop), {"Content-Range": f"bytes {start}-{stop - 1}/{site.size}"})

    def give(self, status: int, body: bytes, headers: dict[str, str | None]) -> None:
        """One answer; a header that is None is left out."""
        self.send_response(status)
        for name, value in {**self.site.headers, "Content-Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name, value)
                if (name, value) == ("Connection", "close"):
                    self.close_connection = True
        self.end_headers()
        self.site.sent += len(body)
        self.wfile.write(body)

    def drop(self) -> None:
        """Ends the connection after this answer without a word."""
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def serve(site: Site, context: ssl.SSLContext | None = None) -> Iterator[Site]:
    handler = type("SiteHandler", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are expected
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        site.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}/model.tflite"
        thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site()) as running:
        yield running


@contextlib.contextmanager
def source_of(site: Site, **options: float) -> Iterator[HttpSource]:
    source = HttpSource(site.url, **options)  # type: ignore[arg-type]
    try:
        yield source
    finally:
        source.close()


def refused(site: Site, message: str, **options: float) -> TransferError:
    """Opening fails with this message; the error names the URL."""
    with pytest.raises(TransferError, match=message) as caught, source_of(site, **options):
        pass
    assert caught.value.file == site.url
    return caught.value


# Well behaved.


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, len(PLAIN)), st.integers(0, EXACT + BLOCK)), max_size=12))
def test_reads_equal_the_plain_bytes(site: Site, spans: list[tuple[int, int]]) -> None:
    with source_of(site) as source:
        for offset, length in spans:
            if offset + length > len(PLAIN):
                with pytest.raises(CorruptFileError):
                    source.view(offset, length)
            else:
                assert source.view(offset, length) == PLAIN[offset : offset + length]
                assert source.unpack(struct.Struct(f"{length}s"), offset) == (PLAIN[offset : offset + length],)


def test_whole_file_over_one_connection(site: Site) -> None:
    source = open_source(site.url)
    assert isinstance(source, HttpSource)
    assert source.size == len(PLAIN)
    assert source.name == site.url
    source.view(200_000, 4)
    source.view(280_000, 4)
    assert b"".join(source.chunks(0, source.size)) == PLAIN
    assert (source.requests, source.transferred) == (len(site.paths), site.sent) == (4, HEAD + 2 * BLOCK + len(PLAIN))
    assert site.connections == 1
    source.close()
    assert site.asked[0]["range"] == "bytes=0-65535"
    assert "if-range" not in site.asked[0]
    assert {asked["user-agent"] for asked in site.asked} == {USER_AGENT}
    assert {asked["if-range"] for asked in site.asked[1:]} == {'"one"'}
    source.view(100_000, 4)  # connects anew
    assert site.connections == 2
    source.close()


def test_large_model_is_listed_from_its_front_and_tail(site: Site) -> None:
    # 600 KB of metadata that is read backwards, before 1.58 GB of weights: the figures to reach are 12 requests, 1 MB.
    site.size = 1_580_000_000
    site.content = lambda start, stop: PLAIN[start:stop].ljust(stop - start, b"\0")
    with source_of(site) as source:
        assert source.size == 1_580_000_000
        assert source.view(source.size - 22, 22) == bytes(22)
        for offset in range(600_000, 0, -50):
            assert source.view(offset, 20) == PLAIN[offset : offset + 20].ljust(20, b"\0")
        assert (source.requests, source.transferred) == (len(site.paths), site.sent)
        assert len(site.paths) <= 12
        assert site.sent <= 1_000_000


@pytest.mark.parametrize("size", [0, 1, 22, HEAD - 1, HEAD, HEAD + 1])
def test_sizes_around_the_first_request(site: Site, size: int) -> None:
    site.size = size
    if not size:
        site.answer = lambda handler, start, stop: (
            handler.give(416, b"no such range", {"Content-Range": "bytes */0"}) or True
        )
    with source_of(site) as source:
        assert source.size == size
        assert b"".join(source.chunks(0, size)) == PLAIN[:size]
        with pytest.raises(CorruptFileError):
            source.view(0, size + 1)


def test_server_that_closes_after_each_answer(site: Site) -> None:
    site.headers["Connection"] = "close"
    with source_of(site) as source:
        source.view(200_000, 4)
        source.view(280_000, 4)
    assert site.connections == source.requests == 3


def test_server_without_content_length(site: Site) -> None:
    site.headers["Connection"] = "close"
    site.answer = lambda handler, start, stop: (
        handler.give(
            206, PLAIN[start:stop], {"Content-Length": None, "Content-Range": f"bytes {start}-{stop - 1}/{len(PLAIN)}"}
        )
        or True
    )
    with source_of(site) as source:
        assert source.view(200_000, 4) == PLAIN[200_000:200_004]


def chunked(data: bytes) -> bytes:
    return b"".join(
        b"%x\r\n%s\r\n" % (len(data[at : at + 9999]), data[at : at + 9999]) for at in range(0, len(data), 9999)
    )


def give_chunked(handler: Handler, start: int, stop: int, body: bytes) -> bool:
    told = f"bytes {start}-{stop - 1}/{len(PLAIN)}"
    handler.give(206, body, {"Content-Length": None, "Transfer-Encoding": "chunked", "Content-Range": told})
    return True


def test_chunked_answers_keep_the_connection(site: Site) -> None:
    site.answer = lambda handler, start, stop: give_chunked(
        handler, start, stop, chunked(PLAIN[start:stop]) + b"0\r\n\r\n"
    )
    with source_of(site) as source:
        assert source.view(100_000, 200_000) == PLAIN[100_000:]
        assert source.view(100_000, 200_000).readonly
    assert site.connections == 1


def test_dropped_connection_is_made_anew(site: Site) -> None:
    requests = 0

    def answer(handler: Handler, start: int, stop: int) -> bool:
        nonlocal requests
        requests += 1
        if requests in (2, 4, 5):
            handler.drop()
            return True
        return False

    site.answer = answer
    with source_of(site) as source:
        assert source.view(200_000, 4) == PLAIN[200_000:200_004]
        assert source.view(100_000, 100_000) == PLAIN[100_000:200_000]
        assert source.requests == requests == 6


def test_paths_and_queries_are_sent_as_they_are_meant(site: Site) -> None:
    for given_path, sent in [
        ("/a%20b/c d.tflite?x=1&y=%2F#part", "/a%20b/c%20d.tflite?x=1&y=%2F"),
        ("/modèle.tflite", "/mod%C3%A8le.tflite"),
        ("", "/"),
    ]:
        url = site.url.removesuffix("/model.tflite") + given_path
        open_url(url).close()
        assert site.paths[-1] == sent


def test_user_and_password(site: Site) -> None:
    def answer(handler: Handler, start: int, stop: int) -> bool:
        if handler.headers["Authorization"] != "Basic bWU6cEBzcw==":  # me:p@ss
            handler.give(401, b"who?", {})
            return True
        return False

    site.answer = answer
    assert "credentials" in str(refused(site, "answers 401 Unauthorized"))
    source = HttpSource(site.url.replace("//", "//me:p%40ss@"))
    source.close()
    assert source.name == site.url
    with pytest.raises(TransferError) as caught:
        HttpSource(site.url.replace("//", "//me:wrong-secret@") + "?token=also-secret")
    assert "secret" not in str(caught.value)


# Redirects.


def redirect(handler: Handler, location: str | None, status: int = 302) -> bool:
    handler.give(status, b"elsewhere", {"Location": location})
    return True


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/real.tflite?signed=1", "real.tflite?signed=1", "{root}/real.tflite?signed=1"])
def test_redirects_are_followed_once(site: Site, status: int, location: str) -> None:
    location = location.format(root=site.url.removesuffix("/model.tflite"))
    site.answer = lambda handler, start, stop: handler.path == "/model.tflite" and redirect(handler, location, status)
    with source_of(site) as source:
        assert source.view(200_000, 4) == PLAIN[200_000:200_004]
        assert source.requests == 3
    assert site.paths == ["/model.tflite", "/real.tflite?signed=1", "/real.tflite?signed=1"]
    assert source.name == site.url


def test_credentials_stay_with_their_origin(site: Site) -> None:
    with serve(Site()) as other:
        site.answer = lambda handler, start, stop: redirect(handler, other.url.replace("//", "//you:too@"))
        HttpSource(site.url.replace("//", "//me:secret@")).close()
    assert "authorization" in site.asked[0]
    assert "authorization" not in other.asked[0]


def test_expired_address_is_asked_for_again(site: Site) -> None:
    signatures = iter("12")

    def answer(handler: Handler, start: int, stop: int) -> bool:
        if handler.path == "/model.tflite":
            return redirect(handler, f"/real.tflite?signature={next(signatures)}")
        if handler.path.endswith("1") and start:
            handler.give(403, b"expired", {})
            return True
        return False

    site.answer = answer
    with source_of(site) as source:
        assert source.view(200_000, 4) == PLAIN[200_000:200_004]
        assert source.view(280_000, 4) == PLAIN[280_000:280_004]
    first, second = "/real.tflite?signature=1", "/real.tflite?signature=2"
    assert site.paths == ["/model.tflite", first, first, "/model.tflite", second, second]


def test_redirect_to_what_is_not_there(site: Site) -> None:
    def answer(handler: Handler, start: int, stop: int) -> bool:
        if handler.path != "/gone":
            return redirect(handler, "/gone")
        handler.give(404, b"gone", {})
        return True

    site.answer = answer
    refused(site, "answers 404 Not Found")
    assert site.paths == ["/model.tflite", "/gone"]


def test_redirects_without_end(site: Site) -> None:
    site.answer = lambda handler, start, stop: redirect(handler, "/model.tflite")
    refused(site, f"more than {REDIRECTS} redirects")
    assert len(site.paths) == REDIRECTS + 1


@pytest.mark.parametrize(
    "location", [None, "", "ftp://host/x", "file:///etc/passwd", "https://", "//[::1", "http://h:70000/"]
)
def test_redirects_to_nowhere(site: Site, location: str | None) -> None:
    site.answer = lambda handler, start, stop: redirect(handler, location)
    refused(site, "redirects to something that is no")
    assert len(site.paths) == 1


# Misbehaving.


def test_server_without_ranges(site: Site) -> None:
    site.answer = lambda handler, start, stop: handler.give(200, PLAIN, {}) or True
    assert "Download the file first" in str(refused(site, "does not serve byte ranges"))
    # One that does not even tell the length.
    site.headers["Connection"] = "close"
    site.answer = lambda handler, start, stop: handler.give(200, PLAIN, {"Content-Length": None}) or True
    refused(site, "longer than was asked for")


@pytest.mark.parametrize("length", [0, 1, HEAD])
@pytest.mark.parametrize("told", [True, False])
def test_small_file_without_ranges(site: Site, length: int, told: bool) -> None:
    site.headers["Connection"] = "close"
    no_length: dict[str, str | None] = {} if told else {"Content-Length": None}
    site.answer = lambda handler, start, stop: handler.give(200, PLAIN[:length], no_length) or True
    with source_of(site) as source:
        assert source.size == length
        assert source.view(0, length) == PLAIN[:length]
        assert source.requests == 1


@pytest.mark.parametrize(
    "told",
    [
        None, "", "bytes", "bytes 0-65535/*", "bytes */300000", "bytes 0-65535/-1", "bytes 0-65535/" + "9" * 5000,
        "items 0-65535/300000", "bytes 0-65535/300000, bytes 0-65535/300000", "bytes \u0660-65535/300000",
    ],
)  # fmt: skip
def test_ranges_that_tell_nothing(site: Site, told: str | None) -> None:
    value = told and told.encode("utf-8").decode("latin-1")
    site.answer = lambda handler, start, stop: handler.give(206, PLAIN[start:stop], {"Content-Range": value}) or True
    refused(site, "does not tell which range")


@pytest.mark.parametrize(
    "told",
    ["bytes 1-65536/300000", "bytes 0-65534/300000", "bytes 0-65536/300000", "bytes 0-65535/65535", "bytes 5-4/300000",
     "bytes 0-65535/0", "bytes 65535-0/300000"],
)  # fmt: skip
def test_ranges_that_were_not_asked_for(site: Site, told: str) -> None:
    site.answer = lambda handler, start, stop: handler.give(206, PLAIN[start:stop], {"Content-Range": told}) or True
    refused(site, "another range than it was asked for")


@pytest.mark.parametrize("length", [0, HEAD - 1, HEAD + 1, 1 << 60])
def test_another_length_than_the_range_has(site: Site, length: int) -> None:
    site.headers["Content-Length"] = str(length)
    site.answer = lambda handler, start, stop: (
        handler.give(
            206,
            PLAIN[start:stop],
            {"Content-Range": f"bytes {start}-{stop - 1}/{len(PLAIN)}", "Content-Length": str(length)},
        )
        or True
    )
    refused(site, "another range than it was asked for")


@pytest.mark.parametrize(
    "change",
    [{"ETag": '"two"'}, {"ETag": None}, {"Last-Modified": "today"}, {"Content-Range": "bytes 196608-212991/300001"}],
)
def test_file_that_changes(site: Site, change: dict[str, str | None]) -> None:
    with source_of(site) as source:
        site.answer = lambda handler, start, stop: (
            handler.give(206, PLAIN[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(PLAIN)}", **change})
            or True
        )
        with pytest.raises(TransferError, match="changed since it was opened") as caught:
            source.view(200_000, 4)
        assert caught.value.offset == 196_608  # the block of 16 KiB
        site.answer = Site.answer
        assert source.view(200_000, 4) == PLAIN[200_000:200_004]  # nothing of the other version was kept


@pytest.mark.parametrize("status", [200, 412, 416])
def test_file_that_changes_as_the_server_sees_it(site: Site, status: int) -> None:
    with source_of(site) as source:
        site.answer = lambda handler, start, stop: handler.give(status, b"x" * len(PLAIN), {}) or True
        with pytest.raises(TransferError, match="changed since it was opened"):
            source.view(200_000, 4)
        assert source.transferred == HEAD  # the other body is not read


def test_last_modified_may_be_left_out_after_if_range(site: Site) -> None:
    with source_of(site) as source:
        del site.headers["Last-Modified"]
        assert source.view(200_000, 4) == PLAIN[200_000:200_004]


@pytest.mark.parametrize("etag", ['W/"weak"', "bare", '"a\x7fb"', ""])
def test_etags_that_if_range_does_not_take(site: Site, etag: str) -> None:
    site.headers["ETag"] = etag
    with source_of(site) as source:
        source.view(200_000, 4)
    assert "if-range" not in site.asked[1]
    with source_of(site) as source:
        site.headers["ETag"] = etag + "x"
        with pytest.raises(TransferError, match="changed"):
            source.view(200_000, 4)


def test_truncated_body_is_tried_again_and_then_refused(site: Site) -> None:
    def answer(handler: Handler, start: int, stop: int) -> bool:
        told = f"bytes {start}-{stop - 1}/{len(PLAIN)}"
        handler.give(206, PLAIN[start : stop - 1], {"Content-Range": told, "Content-Length": str(stop - start)})
        handler.drop()
        return True

    site.answer = answer
    refused(site, f"breaks off after {HEAD - 1} of {HEAD} bytes")
    assert len(site.paths) == TRIES


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "breaks off after 0 of 65536 bytes"),
        (b"5\r\nabc", "breaks off after 0 of 65536 bytes"),
        (b"zz\r\n", "breaks off after 0 of 65536 bytes"),
        (b"5\r\nabcde\r\n0\r\n\r\n", "breaks off after 5 of 65536 bytes"),
        (b"-1\r\nabc", "breaks off|ValueError"),
        (b"-5\r\nabc", "breaks off|ValueError"),  # as the version of http.client has it
        (chunked(PLAIN[:HEAD]) + b"zz\r\n", "breaks off after 65536 of 65536 bytes"),
    ],
)
def test_broken_chunks(site: Site, body: bytes, message: str) -> None:
    def answer(handler: Handler, start: int, stop: int) -> bool:
        handler.drop()
        return give_chunked(handler, start, stop, body)

    site.answer = answer
    refused(site, message)


def test_chunks_longer_than_the_range(site: Site) -> None:
    site.answer = lambda handler, start, stop: give_chunked(handler, start, stop, chunked(PLAIN) + b"0\r\n\r\n")
    refused(site, "longer than was asked for")


def test_memory_is_not_the_servers(site: Site) -> None:
    # A chunk of length -1 makes http.client read to the end, which never comes.
    def answer(handler: Handler, start: int, stop: int) -> bool:
        with contextlib.suppress(OSError):
            give_chunked(handler, start, stop, b"-1\r\n")
            for sent in range(100):
                handler.wfile.write(bytes(1 << 20))
                site.sent = sent
        handler.drop()
        return True

    site.answer = answer
    refused(site, "far longer than was asked for|breaks off|ValueError")
    assert site.sent < 50  # MiB; what was not read is in the buffers between


def test_endless_headers(site: Site) -> None:
    def answer(handler: Handler, start: int, stop: int) -> bool:
        with contextlib.suppress(OSError):
            for _ in range(10 * OVERHEAD // 25):
                handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        handler.drop()
        return True

    site.answer = answer
    refused(site, "far longer than was asked for|no answer that is HTTP")


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (b"", "closed connection without response"),
        (b"220 mail server ready\r\n", "BadStatusLine"),
        (b"\x1b[31m\r\n\r\n", "BadStatusLine"),
        (b"HTTP/9.9 200 yes\r\n\r\n", "UnknownProtocol"),
        (b"HTTP/1.1 200" + b"x" * 70_000, "LineTooLong"),
    ],
)
def test_answers_that_are_not_http(site: Site, first: bytes, message: str) -> None:
    def answer(handler: Handler, start: int, stop: int) -> bool:
        handler.wfile.write(first)
        handler.drop()
        return True

    site.answer = answer
    assert "\x1b" not in str(refused(site, message))


@pytest.mark.parametrize("body", [b"H", b"HTTP/1.1 206 Fine\r\nContent-Range: bytes 0-65535/300000\r\n\r\nabc"])
def test_server_that_drips(site: Site, body: bytes) -> None:
    # A byte comes before each timeout of the socket: the whole answer has a deadline, here 5 s and 64 KiB / (8 KiB/s).
    done = threading.Event()
    now = 0.0

    def answer(handler: Handler, start: int, stop: int) -> bool:
        with contextlib.suppress(OSError):
            handler.wfile.write(body)
            while not done.wait(0.01):
                handler.wfile.write(b"x")
        handler.drop()
        return True

    def clock() -> float:
        nonlocal now
        now += 1.0  # a second passes between any two bytes
        return now

    site.answer = answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_ranges, "time", SimpleNamespace(monotonic=clock))
        refused(site, "comes too slowly", timeout=5.0)
    done.set()


def test_server_that_is_silent(site: Site) -> None:
    done = threading.Event()
    site.answer = lambda handler, start, stop: done.wait(20)
    refused(site, "timed out", timeout=0.05)
    done.set()
    assert len(site.paths) == 1  # no second try: it would be as silent


def test_compressed_answers(site: Site) -> None:
    site.headers["Content-Encoding"] = "gzip"
    refused(site, "compresses")
    site.headers["Content-Encoding"] = "Identity"
    with source_of(site) as source:
        assert source.size == len(PLAIN)


@pytest.mark.parametrize(
    ("status", "hint"),
    [(403, "credentials"), (404, "address"), (410, "address"), (429, "later"), (503, "later"), (299, "")],
)
def test_refusals_of_the_server(site: Site, status: int, hint: str) -> None:
    site.answer = lambda handler, start, stop: handler.give(status, b"no\x1b[31m", {}) or True
    assert hint in str(refused(site, f"answers {status}"))
    assert len(site.paths) == 1


def test_nobody_there() -> None:
    with serve(Site()) as gone:
        pass
    assert "connection" in str(refused(gone, "refused"))


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///path",
        "https://:80/x",
        "http://host:99999/x",
        "http://host:x/x",
        "http://[::1/x",
        "ftp://host/x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(InvalidValueError):
        HttpSource(url)


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "\u2488.com", "ho st", "h\x00st"])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises((TransferError, InvalidValueError)):
        HttpSource(f"http://{host}.invalid/x", timeout=1)


@given(answer=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_answer_is_read_or_refused(answer: bytes) -> None:
    # Bytes as they might come, without a server: what the socket gives is all that the source sees.
    class Wire:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def makefile(self, *_: object, **__: object) -> io.BytesIO:
            return io.BytesIO(b"HTTP/1.1 206 Partial Content\r\n" + answer)

        def sendall(self, data: bytes) -> None:
            pass

        def settimeout(self, timeout: float) -> None:
            pass

        def setsockopt(self, *_: int) -> None:
            pass

        def close(self) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.create_connection", Wire)
        with pytest.raises(TransferError):
            HttpSource("http://host/model.tflite")


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path.with_suffix(".key"), "-out", path]
    try:
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl makes no certificate here: {error}")
    return path


@pytest.fixture
def secure_site(certificate: Path) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with serve(Site(), context) as running:
        yield running


def test_https(secure_site: Site, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(secure_site, "CERTIFICATE_VERIFY_FAILED")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with source_of(secure_site) as source:
        assert source.view(100_000, 200_000) == PLAIN[100_000:]
        assert source.view(80_000, 4) == PLAIN[80_000:80_004]


def test_no_redirect_from_https_to_http(
    secure_site: Site, certificate: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure_site.answer = lambda handler, start, stop: redirect(handler, site.url)
    refused(secure_site, "from https: to http:")
    assert not site.paths
    site.answer = lambda handler, start, stop: redirect(handler, secure_site.url)
    secure_site.answer = Site.answer
    HttpSource(site.url).close()  # the other way round is fine
