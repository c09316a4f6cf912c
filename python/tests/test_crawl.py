"""``crawl``: its rows, its output, and how it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from server import TREE, Server
from test_lists import engine_threads, gone

import silkmill
from silkmill.options import CrawlOptions

#: The pages of the tree, ``/next``, to which all of them link, and ``/missing``.
PAGES = TREE + 2


def start(server: Server) -> str:
    return f"{server.address}/tree/0"


def reached(rows: Any) -> list[str]:
    return sorted(row.url.split("/", 3)[3] for row in rows)


def test_every_page_has_one_row_that_says_how_it_was_found(server: Server) -> None:
    rows = list(silkmill.crawl(start(server), css={"price": ".price"}, per_host=2))
    pages = [f"tree/{number}" for number in range(TREE)]
    assert reached(rows) == sorted([*pages, "next", "missing"])
    assert server.requests["/tree/3"] == 1 and server.requests["/missing"] == 1

    by_url = {row.url: row for row in rows}
    by_index = {row.index: row for row in rows}
    assert sorted(by_index) == list(range(PAGES))
    first = by_url[start(server)]
    assert (first.depth, first.parent, first.links, first.title) == (0, None, 5, "page 0")
    fourth = by_url[f"{server.address}/tree/4"]
    assert fourth.depth == 2 and fourth.parent is not None
    assert by_index[fourth.parent].url == f"{server.address}/tree/1"
    assert fourth.fields == {"price": ["4.50", "0"]} and fourth.canonical is None
    assert by_url[f"{server.address}/missing"].status == 404

    (row,) = silkmill.fetch(server.urls(1))
    assert (row.depth, row.parent, row.links, row.canonical) == (None, None, None, None)


def test_a_run_says_what_came_of_the_crawl(server: Server) -> None:
    run = silkmill.crawl([start(server)])
    assert isinstance(run, silkmill.Run) and run.totals is None and run.broken_links is None
    assert not engine_threads() and server.total == 0
    table = run.collect()
    assert len(table) == PAGES
    assert run.totals == (PAGES, 0, True, {"scope": TREE})
    assert run.broken_links == []
    assert run.summary is not None and run.summary[:2] == (PAGES, 0)
    with pytest.raises(RuntimeError, match="have been taken"):
        list(run)
    assert gone()


def test_limits_are_exact_and_options_reach_the_engine(server: Server, tmp_path: Path) -> None:
    run = silkmill.crawl(start(server), max_pages=7, sitemap="off", no_robots=True)
    assert len(list(run)) == 7
    assert run.totals is not None and not run.totals.is_complete
    assert server.requests["/robots.txt"] == server.requests["/sitemap.xml"] == 0

    run = silkmill.crawl(start(server), max_depth=1, exclude=["/next", "/missing"], auto_throttle=0)
    assert reached(run) == ["tree/0", "tree/1", "tree/2"]
    run = silkmill.crawl(start(server), max_depth=1, include="/tree/")
    assert reached(run) == ["tree/0", "tree/1", "tree/2"]
    run = silkmill.crawl(start(server), scope="prefix", max_pages_per_host=4)
    assert len(list(run)) == 4
    list(silkmill.crawl(server.urls(1), cookie_jar=tmp_path / "cookies", workers=1))
    assert (tmp_path / "cookies").exists()
    (row,) = silkmill.crawl(server.urls(1), header={"X-Test": "silk"}, css="a", max_pages=1)
    assert row.fields["a"] == ["silk"]


def test_broken_links_are_named_with_their_pages(server: Server) -> None:
    run = silkmill.crawl(start(server), check=True, scope="prefix", retries=0)
    list(run)
    assert run.broken_links is not None
    other, missing = sorted(run.broken_links)
    assert other.url == "http://127.0.0.1:1/" and other.why.startswith("connect: ")
    assert missing.url == f"{server.address}/missing" and missing.why == "404"
    assert missing.pages_count == other.pages_count == TREE and len(missing.pages) == 10


def test_the_rows_of_an_output_are_those_that_were_given(server: Server, tmp_path: Path) -> None:
    output, links = tmp_path / "rows.jsonl", tmp_path / "links.csv"
    rows = list(silkmill.crawl(start(server), output=output, links=links, css={"a": "a@href"}))
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert written == [row.to_dict() for row in rows] and len(written) == PAGES
    assert len(links.read_text().splitlines()) > TREE

    again = silkmill.crawl(start(server), output=output, links=links, css={"a": "a@href"})
    assert list(again) == [] and again.totals is not None and again.totals.rows == PAGES
    anew = silkmill.crawl(start(server), output=str(output), links=links, force=True)
    assert len(list(anew)) == PAGES


def test_a_crawl_that_was_closed_goes_on_and_the_command_goes_on_with_it(
    server: Server, tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    with silkmill.crawl(start(server), output=output, delay=0.01) as run:
        first = [next(run) for _ in range(3)]
    assert gone() and run.summary is not None and run.summary.interrupted
    with silkmill.crawl(start(server), output=output, delay=0.01) as run:
        second = [next(run) for _ in range(5)]
    assert not {row.url for row in first} & {row.url for row in second}
    assert gone()
    words = ["crawl", "-o", str(output), "-q", start(server)]
    done = subprocess.run([sys.executable, "-m", "silkmill", *words], check=False)
    assert done.returncode == 0
    urls = [json.loads(line)["url"] for line in output.read_text().splitlines()]
    assert len(urls) == len(set(urls)) == PAGES


def test_a_process_that_is_killed_loses_no_page_and_has_none_twice(
    server: Server, tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    for kills in range(3):
        code = (
            "import os, signal, silkmill\n"
            f"run = silkmill.crawl({start(server)!r}, output={str(output)!r}, delay=0.01)\n"
            "for count, row in enumerate(run):\n"
            f"    if count == {4 + 5 * kills}: os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False)
        assert done.returncode == -signal.SIGKILL
    run = silkmill.crawl(start(server), output=output)
    rows = list(run)
    urls = [json.loads(line)["url"] for line in output.read_text().splitlines()]
    assert len(urls) == len(set(urls)) == PAGES and rows
    assert run.totals is not None and run.totals.rows == PAGES


def test_an_interrupt_ends_a_crawl_that_goes_on_later(server: Server, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    code = (
        "import os, signal, threading, time, silkmill\n"
        f"run = silkmill.crawl([{start(server)!r}, {server.address + '/silent'!r}], output={str(output)!r})\n"
        "def watch():\n"
        "    while not run.progress.rows: time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=watch).start()\n"
        "try:\n"
        "    run.collect()\n"
        "except KeyboardInterrupt:\n"
        "    print(len(run.collect()), run.summary.interrupted)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "1 True\n" and done.returncode == 0, done.stderr
    # The pages of a depth come before those of the next, so the silent one holds up all others.
    urls = [start(server), f"{server.address}/silent"]
    run = silkmill.crawl(urls, output=output, timeout=0.5, retries=0)
    list(run)
    assert run.totals is not None and run.totals[:3] == (PAGES + 1, 1, True)
    assert server.requests["/tree/0"] == 1


def test_asyncio_takes_the_rows_of_a_crawl(server: Server) -> None:
    async def main() -> list[str]:
        return [row.url async for row in silkmill.crawl(start(server))]

    assert len(asyncio.run(main())) == PAGES


def test_rows_and_tables_of_a_crawl_are_pickled_and_read_by_arrow(server: Server) -> None:
    table = silkmill.crawl(start(server), xpath={"n": "count(//a)"}).collect()
    copy = pickle.loads(pickle.dumps(table))
    assert list(copy) == list(table) and copy.column_names == table.column_names
    assert table.column_names[-4:] == ["depth", "parent", "links", "canonical"]
    assert table.column_names[4:6] == ["title", "n"]
    pyarrow = pytest.importorskip("pyarrow")
    records = pyarrow.table(silkmill.crawl(start(server))).to_pylist()
    assert sorted(record["url"] for record in records) == sorted(row.url for row in table)
    depths = {record["url"]: (record["depth"], record["links"]) for record in records}
    assert depths[start(server)] == (0, 5) and depths[f"{server.address}/tree/1"] == (1, 5)
    roots = [record for record in records if record["parent"] is None]
    assert [record["url"] for record in roots] == [start(server)]


def test_a_temporary_job_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    code = f"import silkmill; print(len(list(silkmill.crawl({start(server)!r}))))"
    env = {**os.environ, "TMPDIR": str(tmp_path), "SQLITE_TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{PAGES}\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_an_exception_before_any_request(server: Server, tmp_path: Path) -> None:
    url, rows = start(server), tmp_path / "rows.jsonl"
    for error, words, call in [
        (ValueError, "no URL was given", lambda: silkmill.crawl([])),
        (TypeError, "URL or several, and not at int", lambda: silkmill.crawl(5)),  # type: ignore[arg-type]
        (TypeError, "URL 1 is no str, but int", lambda: silkmill.crawl([url, 5])),  # type: ignore[list-item]
        (ValueError, "failed to begin a crawl at", lambda: silkmill.crawl("no url")),
        (ValueError, "it is excluded", lambda: silkmill.crawl(url, exclude="tree")),
        (ValueError, 'one of "prefix", "host"', lambda: silkmill.crawl(url, scope="world")),  # type: ignore[arg-type]
        (ValueError, "pattern", lambda: silkmill.crawl(url, include="(")),
        (ValueError, "last week", lambda: silkmill.crawl(url, since="last week")),
        (ValueError, "from 1 to|at least 1", lambda: silkmill.crawl(url, max_pages=0)),
        (TypeError, "a number", lambda: silkmill.crawl(url, auto_throttle="1")),  # type: ignore[arg-type]
        (ValueError, "from 0 to 1000", lambda: silkmill.crawl(url, auto_throttle=-1)),
        (TypeError, "True or False", lambda: silkmill.crawl(url, check=1)),  # type: ignore[arg-type]
        (TypeError, 'did you mean "max_pages"', lambda: silkmill.crawl(url, max_page=1)),  # type: ignore[call-arg]
        (ValueError, "XPath", lambda: silkmill.crawl(url, xpath="//p[")),
        (ValueError, "robots.txt is obeyed", lambda: silkmill.crawl(url, robots=True)),  # type: ignore[call-arg]
        (ValueError, "as their links do", lambda: silkmill.crawl(url, data="x")),  # type: ignore[call-arg]
        (ValueError, "for a crawl with an output", lambda: silkmill.crawl(url, force=True)),
        (ValueError, "for a crawl with an output", lambda: silkmill.crawl(url, links=rows)),
        (ValueError, "one of", lambda: silkmill.crawl(url, output=rows, format="xml")),  # type: ignore[arg-type]
        (ValueError, "text, jsonl, csv or sqlite", lambda: silkmill.crawl(url, output="rows.jsonl.gz")),
        (ValueError, "must end in", lambda: silkmill.crawl(url, output=rows, links="links.db")),
        (ValueError, "cannot be used with", lambda: silkmill.crawl(url, proxy="http://x", no_proxy=True)),
        (OSError, "cookies", lambda: silkmill.crawl(url, cookies="/nowhere/at/all")),
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            call()
    assert server.total == 0 and list(tmp_path.iterdir()) == []


def test_a_job_of_another_crawl_is_refused_with_what_differs(
    server: Server, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    with silkmill.crawl(start(server), output=rows) as run:
        next(run)
    other = silkmill.crawl(start(server), output=rows, scope="prefix")
    with pytest.raises(OSError, match='--scope was "host" and is "prefix"'):
        next(other)
    assert next(other, None) is None
    with pytest.raises(RuntimeError, match="closed"):
        list(other)
    (tmp_path / "mine.jsonl").write_text("mine")
    with pytest.raises(OSError, match="no job of a crawl lies beside it"):
        silkmill.crawl(start(server), output=tmp_path / "mine.jsonl").collect()
    assert (tmp_path / "mine.jsonl").read_text() == "mine"
    with pytest.raises(OSError, match="nowhere"):
        silkmill.crawl(start(server), output="/nowhere/at/all/rows.jsonl").collect()


def test_every_option_of_the_command_is_one_here_or_says_why_not(server: Server) -> None:
    words = [sys.executable, "-m", "silkmill", "crawl", "--help"]
    page = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^\s+(?:-\w, )?--([a-z-]+)", page, re.MULTILINE)) - {"help", "version"}
    names = {name.replace("-", "_") for name in names} - {"progress"}
    assert len(names) > 40
    typed = set(CrawlOptions.__annotations__)
    for name in names - typed:
        options: Any = {name: "x"}
        with pytest.raises(ValueError, match="none of a crawl"):
            silkmill.crawl(start(server), **options)
    assert typed <= names, typed - names


def test_a_crawl_is_archived_and_answered_from_its_archive(server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "site.warc.gz"
    first = silkmill.crawl(start(server), warc=archive, cache=tmp_path / "cache").collect()
    asked = server.total
    again = silkmill.crawl(start(server), replay=archive).collect()
    assert {row.url: row.title for row in again} == {row.url: row.title for row in first}
    assert server.total == asked and len(again) == PAGES
