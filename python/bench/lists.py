"""Rows and pages from Python, all sides in turn in one run: medians and ratios.

    python python/bench/lists.py FOLDER [rounds] [--samples]

FOLDER has pages. Rows: `scrape` of 20,000 URLs of a loopback nginx with `for`, with `collect()`, and with `collect().to_polars()`, beside the
`silkmill` command. Pages: five fields of each by `extract` on 1 and on 8 threads, beside lxml, parsel and selectolax. What is not
installed is left out, and named. With `--samples` it prints what it measured, for `cargo xtask bench python`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import silkmill

URLS = 20_000
WORKERS = 64
PAGES = 2_000
XPATH = {
    "heading": "//h1",
    "price": "//*[contains(@class, 'price')]",
    "links": "//a/@href",
    "count": "count(//p)",
    "first": "//*[contains(@class, 'product')]//p[1]",
}
#: The same, for what knows no XPath. It gives every paragraph instead of their number.
CSS = {
    "heading": "h1",
    "price": "[class*=price]",
    "links": "a@href",
    "paragraphs": "p",
    "first": "[class*=product] p:first-of-type",
}


class Case(NamedTuple):
    """Something to measure: what, in which unit, and each side, which returns its figure."""

    what: str
    unit: str
    sides: dict[str, Callable[[], float]]


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serves the folder by nginx on a port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as place:
        # Its worker may run as another user.
        os.chmod(place, 0o755)
        config = Path(place, "nginx.conf")
        config.write_text(
            f"daemon off; pid {place}/pid; worker_processes 1;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; keepalive_requests 1000000; sendfile on; tcp_nopush on;\n"
            f"  client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};\n"
            f"  uwsgi_temp_path {place}; scgi_temp_path {place}; types {{ }} default_type text/html;\n"
            f"  server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }} }}\n"
        )
        words = ["nginx", "-c", str(config), "-p", place, "-e", f"{place}/errors"]
        running = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            for _ in range(500):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait()


def rows(site: str, pages: list[Path], listed: Path) -> list[Case]:
    """Returns what requests a list, in microseconds a row."""
    urls = [f"{site}/{pages[place % len(pages)].name}" for place in range(URLS)]
    listed.write_text("\n".join(urls))
    options: Any = {"workers": WORKERS, "per_host": 0}

    def timed(call: Callable[[], int | None]) -> float:
        start = time.perf_counter()
        count = call()
        assert count in (None, URLS), count
        return (time.perf_counter() - start) / URLS * 1e6

    words = ["scrape", "-i", str(listed), "-j", str(WORKERS), "--per-host", "0", "-q"]

    def command() -> None:
        with tempfile.TemporaryFile() as out:
            ran = [sys.executable, "-m", "silkmill", *words, "--format", "jsonl"]
            subprocess.run(ran, stdout=out, check=True)

    def loop() -> int:
        return sum(row.status == 200 for row in silkmill.scrape(urls, **options))

    def collected() -> int:
        return len(silkmill.scrape(urls, **options).collect())

    def frame() -> int:
        return len(silkmill.scrape(urls, **options).collect().to_polars())

    def beside(call: Callable[[], int]) -> dict[str, Callable[[], float]]:
        return {"silkmill": lambda: timed(call), "the command": lambda: timed(command)}

    cases = [
        Case("for row in scrape(urls)", "µs a row", beside(loop)),
        Case("scrape(urls).collect()", "µs a row", beside(collected)),
    ]
    if found("polars"):
        cases.append(Case("scrape(urls).collect().to_polars()", "µs a row", beside(frame)))
    return cases


def parsing(pages: list[bytes]) -> list[Case]:
    """Returns what reads five fields of each page, in microseconds a page."""
    parsers: dict[str, Callable[[bytes], Any]] = {
        "silkmill": lambda page: silkmill.extract(page, xpath=XPATH),
        "of it: by CSS": lambda page: silkmill.extract(page, css=CSS),
    }
    if found("lxml"):
        from lxml import etree, html

        queries = {name: etree.XPath(query) for name, query in XPATH.items()}

        def lxml(page: bytes) -> Any:
            tree = html.fromstring(page)
            return {name: texts(query(tree)) for name, query in queries.items()}

        def texts(values: Any) -> Any:
            if not isinstance(values, list):
                return values
            return [it if isinstance(it, str) else "".join(it.itertext()) for it in values]

        parsers["lxml"] = lxml
    if found("parsel"):
        import parsel

        parsers["parsel"] = lambda page: {
            name: selector.xpath(query).getall()
            for selector in [parsel.Selector(body=page, type="html")]
            for name, query in XPATH.items()
        }
    if found("selectolax"):
        from selectolax.lexbor import LexborHTMLParser

        def selectolax(page: bytes) -> Any:
            tree = LexborHTMLParser(page)
            values: dict[str, Any] = {}
            for name, query in CSS.items():
                if query == "a@href":
                    values[name] = [node.attributes.get("href") for node in tree.css("a")]
                else:
                    values[name] = [node.text() for node in tree.css(query)]
            return values

        parsers["selectolax (CSS)"] = selectolax

    def timed(parse: Callable[[bytes], Any], threads: int) -> float:
        start = time.perf_counter()
        if threads == 1:
            for page in pages:
                parse(page)
        else:
            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(parse, pages):
                    pass
        return (time.perf_counter() - start) / len(pages) * 1e6

    def on(threads: int) -> dict[str, Callable[[], float]]:
        return {
            name: lambda parse=parse: timed(parse, threads)  # type: ignore[misc]
            for name, parse in parsers.items()
        }

    what = "five fields of product pages"
    return [
        Case(f"{what}, 1 thread", "µs a page", on(1)),
        Case(f"{what}, 8 threads", "µs a page", on(8)),
    ]


def found(module: str) -> bool:
    if importlib.util.find_spec(module) is not None:
        return True
    print(f"not measured: pip install {module}", file=sys.stderr)
    return False


def report(case: Case, rounds: int, samples: bool) -> None:
    figures: dict[str, list[float]] = {name: [] for name in case.sides}
    for round in range(rounds):
        names = list(case.sides)
        for name in names if round % 2 == 0 else reversed(names):
            figures[name].append(case.sides[name]())
    if samples:
        for name, all_figures in figures.items():
            for figure in all_figures:
                print(case.what, case.unit, name, figure, sep="\t", flush=True)
        return
    ours = statistics.median(next(iter(figures.values())))
    print(f"\n{case.what}, {case.unit}")
    for name, all_figures in figures.items():
        median = statistics.median(all_figures)
        print(f"  {name:24}{median:12,.1f}{median / ours:9.2f} times ours")


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--samples"]
    samples = "--samples" in sys.argv
    folder = Path(words[0]).resolve()
    rounds = int(words[1]) if len(words) > 1 else 3
    pages = sorted(folder.glob("*.html"))
    if shutil.which("nginx"):
        with server(folder) as site, tempfile.TemporaryDirectory() as place:
            for case in rows(site, pages, Path(place, "urls.txt")):
                report(case, rounds, samples)
    else:
        print("not measured: rows, for want of nginx (apt install nginx-light)", file=sys.stderr)
    bodies = [page.read_bytes() for page in pages]
    many = [bodies[place % len(bodies)] for place in range(PAGES)]
    for case in parsing(many):
        report(case, rounds, samples)


if __name__ == "__main__":
    main()
