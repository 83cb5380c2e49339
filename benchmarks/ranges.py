"""A local web server that answers byte ranges and counts: ``python ranges.py FOLDER``.

Prints its port, serves until standard input ends, then prints requests and body bytes as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET with at most one range (RFC 9110, section 14); anything else gets the whole file."""

    protocol_version = "HTTP/1.1"
    folder = Path()
    requests = 0
    sent = 0
    lock = threading.Lock()

    def do_HEAD(self) -> None:
        """The headers of the whole file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """The file, or the range of it that was asked for."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.folder / Path(self.path).name
        if not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        status = path.stat()
        start, stop = 0, status.st_size
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted and any(wanted.groups()):
            first, last = wanted.groups()
            start = int(first) if first else max(0, status.st_size - int(last))
            stop = min(status.st_size, int(last) + 1) if first and last else status.st_size
        if start >= stop:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        partial = stop - start < status.st_size
        self.send_response(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{status.st_mtime_ns:x}-{status.st_size:x}"')
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{status.st_size}")
        self.end_headers()
        with Handler.lock:
            Handler.requests += 1
            Handler.sent += (stop - start) * body
        if body:
            with path.open("rb") as file:
                file.seek(start)
                while start < stop:
                    start += self.wfile.write(file.read(min(1 << 20, stop - start)))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in http.server
        """Keeps quiet."""


def main() -> None:
    Handler.folder = Path(sys.argv[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()
    print(json.dumps({"requests": Handler.requests, "bytes": Handler.sent}))


if __name__ == "__main__":
    main()
