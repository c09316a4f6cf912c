"""A server on the loopback interface, for the tests of runs. It counts what it is asked."""

from __future__ import annotations

import socketserver
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


#: How many pages the tree has.
TREE = 60

#: What there is no page for.
MISSING = ("/missing", "/robots.txt", "/sitemap.xml")


class Server:
    """Answers ``/N`` with a page titled ``page N``, ``/missing`` with 404, ``/silent`` never, and counts every request.

    ``/map/N`` is a sitemap of the first N pages, as plain text. ``/slow/MS`` answers after so many milliseconds. The pages from ``/tree/0`` to ``/tree/TREE-1`` link to two others each, but for the
    last ones, and all of them to ``/missing`` and to another host. ``at_once_max`` is the most requests that were open at one moment.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.open = 0
        self.at_once_max = 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with outer.lock:
                    outer.requests[self.path] += 1
                    outer.open += 1
                    outer.at_once_max = max(outer.at_once_max, outer.open)
                self.answer()

            do_POST = do_GET

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = self.rfile.read(length).decode()
                if self.path.startswith("/silent"):
                    outer.over.wait()
                    self.leave()
                    self.close_connection = True
                    return
                if self.path.startswith("/slow/"):
                    time.sleep(int(self.path.split("/")[2]) / 1000)
                number = self.path.rsplit("/", 1)[-1]
                header = self.headers.get("X-Test", "")
                links = ""
                if self.path.startswith("/tree/"):
                    children = [2 * int(number) + 1, 2 * int(number) + 2]
                    links = "".join(f"<a href={child}>" for child in children if child < TREE)
                    links += "<a href=/missing><a href=http://127.0.0.1:1/>"
                page = (
                    f"<title>page {number}</title><p class=price>{number}.50</p><p class=price>0</p>"
                    f"<a href='/next'>{header}{sent}</a>{links}"
                ).encode()
                kind = "text/html; charset=utf-8"
                if self.path.startswith("/map/"):
                    page, kind = "\n".join(outer.urls(int(number))).encode(), "text/plain"
                # The client may send its next request as soon as it has the answer.
                self.leave()
                self.send_response(404 if self.path in MISSING else 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def leave(self) -> None:
                with outer.lock:
                    outer.open -= 1

            def log_message(self, *_: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that has gone is no error here."""

        self.listener: socketserver.BaseServer = Listener(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.listener.server_address[1]}"
        self.thread = threading.Thread(target=self.listener.serve_forever, daemon=True)

    def urls(self, count: int) -> list[str]:
        return [f"{self.address}/{number}" for number in range(count)]

    @property
    def total(self) -> int:
        with self.lock:
            return sum(self.requests.values())

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        self.listener.shutdown()
        self.listener.server_close()
