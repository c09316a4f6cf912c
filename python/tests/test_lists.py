"""``fetch`` and ``scrape``: runs over lists, their rows and tables."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Server

import silkmill


def engine_threads() -> list[str]:
    """The names of the threads of the engine that live in this process."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except OSError:
            pass
    return [name for name in names if name.startswith(("fetch-", "scrape-", "silkmill-"))]


def gone(names: Any = engine_threads) -> bool:
    """Whether no thread of the engine is left, once those that are ending have ended."""
    deadline = time.monotonic() + 30
    while names() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not names()


def test_every_url_gives_one_row_with_its_place(server: Server) -> None:
    urls = [*server.urls(3), "no url", f"{server.address}/missing", "", None]
    rows = sorted(silkmill.scrape(urls), key=lambda row: row.index)
    assert [row.url for row in rows] == [*urls[:5], "", ""]
    assert [row.status for row in rows] == [200, 200, 200, None, 404, None, None]
    assert [row.title for row in rows[:3]] == ["page 0", "page 1", "page 2"]
    assert rows[4].ok and not rows[3].ok
    assert rows[3].error == silkmill.RowError(
        "url", "input", "it does not begin with http:// or https://"
    )


def test_fields_have_the_types_of_their_queries(server: Server) -> None:
    run = silkmill.scrape(
        server.urls(1),
        xpath={"price": "//p[@class='price']", "count": "count(//p)", "any": "boolean(//p)"},
        css=["link=a@href", "p"],
    )
    (row,) = run
    assert row.fields == {
        "price": ["0.50", "0"],
        "count": [2.0],
        "any": [True],
        "link": ["/next"],
        "p": ["0.50", "0"],
    }
    assert list(row.fields) == ["price", "count", "any", "link", "p"]


def test_rows_come_in_order_where_that_is_wanted(server: Server) -> None:
    urls = [f"{server.address}/slow/{(7 * place) % 40}" for place in range(40)]
    run = silkmill.fetch(urls, ordered=True, per_host=0)
    assert [row.index for row in run] == list(range(40))
    summary = run.summary
    assert summary is not None and summary[:2] == (40, 0) and not summary.interrupted


@pytest.mark.parametrize("kind", [list, tuple, iter, set, "generator", "file", "dict"])
def test_urls_come_from_any_iterable(server: Server, kind: Any, tmp_path: Path) -> None:
    urls: Any = server.urls(20)
    if kind == "generator":
        urls = (url for url in urls)
    elif kind == "file":
        (tmp_path / "list").write_text("\n".join(urls))
        urls = (tmp_path / "list").open()
    elif kind == "dict":
        urls = dict.fromkeys(urls)
    else:
        urls = kind(urls)
    assert sorted(row.url for row in silkmill.fetch(urls)) == sorted(server.urls(20))
    assert server.total == 20


def test_one_text_is_one_url(server: Server) -> None:
    (row,) = silkmill.fetch(f"{server.address}/5")
    assert row.status == 200


def test_urls_are_pulled_by_the_thread_that_takes_the_rows(server: Server) -> None:
    pulled_by = set()

    def urls() -> Iterator[str]:
        for url in server.urls(3000):
            pulled_by.add(threading.current_thread())
            yield url

    found: list[int] = []

    def consume() -> None:
        found.append(len(silkmill.fetch(urls(), workers=8).collect()))

    thread = threading.Thread(target=consume)
    thread.start()
    thread.join()
    assert found == [3000] and pulled_by == {thread}


def test_a_generator_is_not_read_to_its_end_before_rows_are_taken(server: Server) -> None:
    pulled = 0

    def urls() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield f"{server.address}/{pulled}"

    with silkmill.fetch(urls()) as run:
        for _ in range(10):
            next(run)
    assert 10 <= pulled <= 20_000


def test_a_row_comes_before_a_slow_generator_has_the_next_url(server: Server) -> None:
    seen: list[int] = []

    def urls() -> Iterator[str]:
        for place in range(4):
            # The rows of those before are taken while this waits for its turn.
            yield f"{server.address}/{place}"
            time.sleep(0.05)

    run = silkmill.fetch(urls())
    for row in run:
        seen.append(row.index)
    assert sorted(seen) == [0, 1, 2, 3]


def test_a_generator_that_raises_loses_no_row(server: Server) -> None:
    def urls() -> Iterator[str]:
        yield from server.urls(30)
        raise ZeroDivisionError("in the middle")

    run, taken = silkmill.fetch(urls()), []
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        for row in run:
            taken.append(row)
    assert len(taken) == 30 and all(row.status == 200 for row in taken)

    run = silkmill.fetch(urls())
    with pytest.raises(ZeroDivisionError):
        run.collect()
    assert len(run.collect()) == 30


def test_what_is_no_url_is_named_with_its_place(server: Server) -> None:
    urls: Any = [*server.urls(2), 7]
    run, taken = silkmill.fetch(urls), []
    with pytest.raises(TypeError, match="URL 2 is no str, but int"):
        for row in run:
            taken.append(row)
    assert len(taken) == 2


def test_nothing_starts_before_the_first_row_is_asked_for(server: Server) -> None:
    pulled = []
    run = silkmill.fetch(url for url in server.urls(5) if not pulled.append(url))  # type: ignore[func-returns-value]
    assert not pulled and not engine_threads() and run.summary is None
    assert server.total == 0
    run.close()
    with pytest.raises(RuntimeError, match="closed"):
        iter(run)
    assert list(silkmill.fetch([])) == []


def test_a_run_is_consumed_once_and_says_so(server: Server) -> None:
    run = silkmill.fetch(server.urls(3))
    next(run)
    assert len(list(run)) == 2
    with pytest.raises(RuntimeError, match="have been taken"):
        list(run)
    assert next(run, None) is None


def test_a_second_consumer_is_refused_and_nothing_is_lost(server: Server) -> None:
    run = silkmill.fetch([f"{server.address}/slow/300"])
    failed: list[BaseException] = []

    def other() -> None:
        while not server.total:
            time.sleep(0.01)
        try:
            next(run)
        except RuntimeError as error:
            failed.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    rows = list(run)
    thread.join()
    assert len(rows) == 1 and "one at a time" in str(failed[0])

    def urls() -> Iterator[str]:
        yield server.urls(1)[0]
        next(nested)

    nested = silkmill.fetch(urls())
    with pytest.raises(RuntimeError, match="another consumer"):
        nested.collect()
    assert len(nested.collect()) == 1


def test_asyncio_takes_rows_and_its_other_tasks_run_meanwhile(server: Server) -> None:
    async def main() -> tuple[list[int], int]:
        ticks, rows = 0, []

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticker = asyncio.create_task(tick())
        async with silkmill.fetch([*server.urls(200), f"{server.address}/slow/100"]) as run:
            async for row in run:
                rows.append(row.index)
        ticker.cancel()
        return sorted(rows), ticks

    rows, ticks = asyncio.run(main())
    assert rows == list(range(201)) and ticks > 1


def test_a_cancelled_task_leaves_the_run_whole(server: Server) -> None:
    run = silkmill.fetch([f"{server.address}/slow/200", *server.urls(2)], ordered=True)

    async def main() -> None:
        async def take() -> None:
            await run.__anext__()

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(take(), 0.01)

    asyncio.run(main())
    assert [row.index for row in run] == [0, 1, 2]


def test_a_closed_run_leaves_no_thread_and_breaks_its_requests_off(server: Server) -> None:
    run = silkmill.fetch([f"{server.address}/silent"] * 20 + server.urls(1), per_host=0)
    assert next(run).index == 20
    run.close()
    assert gone()
    assert list(iter_rest(run)) == []
    assert run.summary is not None and run.summary.interrupted


def iter_rest(run: silkmill.Run) -> Iterator[silkmill.Row]:
    while True:
        try:
            yield next(run)
        except StopIteration:
            return


def test_a_run_that_nobody_refers_to_is_cancelled(server: Server) -> None:
    run = silkmill.fetch([f"{server.address}/silent"] * 5 + server.urls(1), per_host=0)
    next(run)
    watched = weakref.ref(run)
    del run
    gc.collect()
    assert watched() is None and gone()


def test_a_run_in_a_circle_is_collected() -> None:
    class Holder:
        run: Any = None

    holder = Holder()
    holder.run = silkmill.fetch(iter(lambda: holder, None))  # type: ignore[arg-type]
    watched = weakref.ref(holder.run)
    del holder
    gc.collect()
    assert watched() is None


def test_an_interrupt_keeps_the_rows_and_leaves_no_thread(server: Server) -> None:
    code = (
        "import os, signal, sys, threading, silkmill\n"
        f"urls = ['{server.address}/%d' % n for n in range(5)] + ['{server.address}/silent'] * 9\n"
        "run = silkmill.fetch(urls, per_host=0)\n"
        "kill = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "def watch():\n"
        "    while run.progress.rows < 5: pass\n"
        "    kill()\n"
        "threading.Thread(target=watch).start()\n"
        "try:\n"
        "    run.collect()\n"
        "except KeyboardInterrupt:\n"
        "    print(len(run.collect()), run.summary.interrupted)\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_lists\n"
        "print(test_lists.gone())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "5 True\nTrue\n", done.stderr
    assert done.returncode == 0


def test_an_interrupt_in_the_middle_of_a_generator_ends_the_run(server: Server) -> None:
    def urls() -> Iterator[str]:
        yield f"{server.address}/silent"
        while not server.total:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)
        yield "never"

    run = silkmill.fetch(urls())
    with pytest.raises(KeyboardInterrupt):
        next(run)
    assert gone()


#: How many processes end in each way. There are five ways here, and one more in a library that reads Arrow.
ENDS = 34 if os.environ.get("SILKMILL_LONG") == "1" else 1


@pytest.mark.parametrize("how", ["return", "exit", "raise", "interrupt", "daemon", "duckdb"])
def test_processes_end_in_the_middle_of_a_run(server: Server, how: str) -> None:
    if how == "duckdb":
        pytest.importorskip("duckdb", minversion="2", reason="DuckDB 1 may not hear of an interrupt")
        if os.environ.get("SILKMILL_LONG") != "1":
            pytest.skip("DuckDB decides which of its threads waits for rows; SILKMILL_LONG=1 tries many times")
    code = (
        "import os, signal, sys, threading, silkmill\n"
        f"run = silkmill.fetch(['{server.address}/0'] + ['{server.address}/silent'] * 20, per_host=0)\n"
        "next(run)\n"
    )
    code += {
        "return": "",
        "exit": "sys.exit(7)\n",
        "raise": "raise ValueError('on purpose')\n",
        "interrupt": "os.kill(os.getpid(), signal.SIGINT)\nnext(run)\n",
        "daemon": "threading.Thread(target=lambda: next(run), daemon=True).start()\n",
        "duckdb": (
            "import duckdb, time\n"
            f"other = silkmill.fetch(['{server.address}/0'] + ['{server.address}/silent'] * 20, per_host=0)\n"
            "def interrupt():\n"
            "    while not other.progress.in_flight: time.sleep(0.01)\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "threading.Thread(target=interrupt).start()\n"
            "duckdb.sql('select url from other').fetchall()\n"
        ),
    }[how]
    expected = {"exit": 7, "raise": 1, "interrupt": -signal.SIGINT, "duckdb": -signal.SIGINT}
    for _ in range(ENDS):
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == expected.get(how, 0), done.stderr
        assert "fatal" not in done.stderr.lower() and "panicked" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_refuses_the_runs_of_its_parent_and_has_its_own(server: Server) -> None:
    code = (
        "import os, sys, warnings, silkmill\n"
        "warnings.simplefilter('ignore')\n"
        f"run = silkmill.fetch(['{server.address}/%d' % n for n in range(50)])\n"
        "next(run)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        next(run)\n"
        "    except RuntimeError as error:\n"
        "        ok = 'forked' in str(error)\n"
        "    del run\n"
        f"    rows = list(silkmill.fetch(['{server.address}/%d' % n for n in range(9)]))\n"
        "    os._exit(0 if ok and len(rows) == 9 else 1)\n"
        "print(os.waitpid(child, 0)[1], len(list(run)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "0 49\n", done.stderr


def test_another_thread_runs_while_a_server_is_silent(server: Server) -> None:
    ticks, over = [0], threading.Event()

    def tick() -> None:
        while not over.wait(0.001):
            ticks[0] += 1

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    list(silkmill.fetch([f"{server.address}/slow/200"]))
    over.set()
    thread.join()
    assert ticks[0] > 10


def test_rows_errors_and_tables_can_be_pickled_and_a_run_says_why_not(server: Server) -> None:
    run = silkmill.scrape([*server.urls(3), "no url"], xpath={"n": "count(//p)"}, css="p")
    table = run.collect()
    for row in table:
        copy = pickle.loads(pickle.dumps(row))
        assert copy == row and hash(copy) == hash(row) and repr(copy) == repr(row)
        assert silkmill.Row(row.to_dict()) == row
    copy = pickle.loads(pickle.dumps(table))
    assert list(copy) == list(table) and copy.column_names == table.column_names
    with pytest.raises(TypeError, match=r"collect\(\)"):
        pickle.dumps(run)


def test_a_table_is_indexed_and_shown(server: Server) -> None:
    table = silkmill.scrape([*server.urls(3), "<b>"], ordered=True, css="p").collect()
    assert len(table) == 4 and table[0].index == 0 and table[-1].url == "<b>"
    with pytest.raises(IndexError):
        table[4]
    assert repr(table) == "<silkmill.Table: 4 rows, 1 of them errors>"
    page = table._repr_html_()
    assert "<td>page 1</td>" in page and "&lt;b&gt;" in page and "<b>" not in page
    assert table.column_names[:6] == ["index", "url", "final_url", "status", "title", "p"]


def test_progress_is_told_on_the_consumers_thread(server: Server) -> None:
    told: list[silkmill.Progress] = []

    def progress(now: silkmill.Progress) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append(now)

    urls = [f"{server.address}/slow/300", *server.urls(5)]
    assert len(silkmill.fetch(urls, progress=progress).collect()) == 6
    assert told[-1] == silkmill.Progress(rows=6, errors=0, in_flight=0, is_over=True)
    assert any(not now.is_over for now in told)

    def fails(now: silkmill.Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        silkmill.fetch(urls, progress=fails).collect()


def test_options_reach_the_engine(server: Server, tmp_path: Path) -> None:
    (row,) = silkmill.scrape(
        server.urls(1), header={"X-Test": "silk"}, data="a=1", css="a", method="POST"
    )
    assert row.fields["a"] == ["silka=1"]
    (row,) = silkmill.fetch([f"{server.address}/silent"], timeout=0.05, retries=0)
    assert row.error is not None and row.error.kind == "timeout"
    (row,) = silkmill.fetch(server.urls(1), max_body=10)
    assert (row.bytes, row.truncated) == (10, True)
    (row,) = silkmill.fetch(server.urls(1), deny_private=True)
    assert row.error is not None and row.error.kind == "blocked"
    list(silkmill.fetch(server.urls(2), save=tmp_path / "bodies"))
    assert "page 1" in (tmp_path / "bodies" / "00000001").read_text()
    list(silkmill.fetch(server.urls(1), cookie_jar=tmp_path / "cookies"))
    assert (tmp_path / "cookies").exists()
    server.open = server.at_once_max = 0
    list(silkmill.fetch([f"{server.address}/slow/20"] * 20, per_host=3))
    assert server.at_once_max <= 3


def test_a_run_is_answered_from_its_archive(server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "pages.warc.gz"
    urls = server.urls(2)
    live = [(row.url, row.status, row.title) for row in silkmill.scrape(urls, warc=archive, ordered=True)]
    urls.append("http://127.0.0.1:1/nowhere")
    rows = list(silkmill.scrape(urls, replay=archive, ordered=True))
    assert [(row.url, row.status, row.title) for row in rows[:2]] == live
    assert rows[2].error is not None and rows[2].error.kind == "archive"


def test_bad_input_is_an_exception_before_any_request(server: Server) -> None:
    urls: Any = server.urls(3)
    for error, words, call in [
        (TypeError, 'did you mean "workers"', lambda: silkmill.fetch(urls, worker=3)),  # type: ignore[call-arg]
        (TypeError, "has no option 'xpath'", lambda: silkmill.fetch(urls, xpath="//a")),  # type: ignore[call-arg]
        (ValueError, "the command's", lambda: silkmill.fetch(urls, output="x")),  # type: ignore[call-arg]
        (TypeError, "a whole number", lambda: silkmill.fetch(urls, workers="3")),  # type: ignore[arg-type]
        (ValueError, "from 1 to", lambda: silkmill.fetch(urls, workers=0)),
        (ValueError, "more than 0", lambda: silkmill.fetch(urls, timeout=0)),
        (ValueError, "from 0 to", lambda: silkmill.fetch(urls, delay=float("nan"))),
        (TypeError, "number of seconds", lambda: silkmill.fetch(urls, delay=True)),
        (ValueError, "header", lambda: silkmill.fetch(urls, header="nonsense")),
        (TypeError, "iterable of URLs, and not int", lambda: silkmill.fetch(5)),
        (TypeError, "for a table", lambda: silkmill.fetch(urls, url="u")),
        (ValueError, "XPath", lambda: silkmill.scrape(urls, xpath="//p[")),
        (ValueError, "two fields", lambda: silkmill.scrape(urls, xpath="x=//p", css="x=p")),
        (ValueError, "names are letters", lambda: silkmill.scrape(urls, css={"a b": "p"})),
        (OSError, "cookies", lambda: silkmill.fetch(urls, cookies="/nowhere/at/all")),
        (ValueError, "one way", lambda: silkmill.fetch(urls, replay="x", warc="y")),
        (ValueError, "archive", lambda: silkmill.fetch(urls, replay="/nowhere/at/all")),
        (ValueError, "one way", lambda: silkmill.fetch(urls, proxy="http://x", no_proxy=True)),
        (TypeError, "progress is a function", lambda: silkmill.fetch(urls, progress=5)),  # type: ignore[arg-type]
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            call()
    assert server.total == 0


def test_a_page_that_is_here_is_read_as_one_that_is_fetched() -> None:
    page = "<title>T\u00e9</title><p class=x>one<p>two<a href=/up>up</a>"
    for html in (page, page.encode(), bytearray(page.encode()), memoryview(page.encode())):
        found = silkmill.extract(
            html, xpath={"all": "//p", "n": "count(//p)"}, css="a@href", content_type="text/html; charset=utf-8"
        )  # fmt: skip
        assert found == {"all": ["one", "twoup"], "n": [2.0], "a@href": ["/up"]}
        assert (found.title, found.truncated) == ("T\u00e9", False)
        assert silkmill.title(html, content_type="text/html; charset=utf-8") == "T\u00e9"
    assert silkmill.title("<p>none") is None
    assert silkmill.extract(b"<p>\xe9", css="p", content_type="text/html; charset=latin1") == {
        "p": ["\u00e9"]
    }
    assert silkmill.title("<title>\ud800x</title>") is not None
    with pytest.raises(ValueError, match="XPath"):
        silkmill.extract("x", xpath="//p[")
    with pytest.raises(TypeError, match="bytes or str"):
        silkmill.extract(5, css="p")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='did you mean "css"'):
        silkmill.extract("x", cs="p")  # type: ignore[call-arg]
    for place in range(100):
        assert silkmill.extract("<p>1", css={f"f{place}": "p"}) == {f"f{place}": ["1"]}
    assert silkmill.extract("<div>" * 300_000, css="div").truncated


def test_links_of_a_page_that_is_here_are_resolved_against_its_url() -> None:
    page = "<a href=b?c><a href=/up#x><a href='//other.example/'><a href='mailto:a@b'><a href='HTTP://X/'>"
    absolute = [
        "http://a.example/x/b?c",
        "http://a.example/up#x",
        "http://other.example/",
        "mailto:a@b",
        "http://x/",
    ]
    for html in (page, page.encode()):
        found = silkmill.extract(
            html,
            css={"css": "a@abs:href"},
            xpath={"xpath": "resolve-uri(//a[1]/@href)"},
            url="http://a.example/x/y.html",
        )
        assert found["css"] == absolute and found["xpath"] == absolute[:1]
    # What cannot be resolved stays as it is, and a base of the page's own comes first.
    assert silkmill.extract(page, css="l=a@abs:href")["l"][0] == "b?c"
    based = "<base href=/root/>" + page
    assert (
        silkmill.extract(based, css="l=a@abs:href", url="http://a.example/x/")["l"][0]
        == "http://a.example/root/b?c"
    )
    for url in ("b/c", "", "no url"):
        with pytest.raises(ValueError, match="no absolute URL"):
            silkmill.extract(page, css="a", url=url)


def test_texts_are_read_as_bytes_of_any_kind_are() -> None:
    feed = "<?xml version='1.0' encoding='latin1'?><rss><channel><link>\u00e9</link></channel></rss>"
    # A text is not in the charset that it names.
    assert silkmill.extract(feed, xpath="l=//link") == {"l": ["\u00e9"]}
    assert silkmill.extract(feed.encode("latin1"), xpath="l=//link") == {"l": ["\u00e9"]}
    assert silkmill.extract("\ufeff" + feed, xpath="l=//link") == {"l": ["\u00e9"]}
    page = "<meta charset=latin1><title>\u00e9</title>"
    assert silkmill.title(page) == "\u00e9" and silkmill.extract(page).charset == "utf-8"
    assert silkmill.extract('{"a": "\u00e9"}', jsonpath="a=$.a") == {"a": ["\u00e9"]}
    assert silkmill.extract("<a>1</A>", xpath="//a", content_type="text/xml").flaw is not None
    broken = silkmill.extract("<a><b>1</b><b>2</a>", xpath="b=//b", content_type="text/xml")
    assert broken.flaw is not None and "line 1" in broken.flaw and broken["b"][0] == "1"
    assert silkmill.extract("<a>1</A>", xpath="//a").flaw is None


@pytest.mark.timeout(1800)
def test_many_small_runs_keep_no_memory_and_no_descriptors(server: Server) -> None:
    def size() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def runs(count: int) -> None:
        for _ in range(count):
            list(silkmill.fetch(["no url", "nor this"], workers=1))

    runs(500)
    assert gone()
    before, open_before = size(), len(os.listdir("/proc/self/fd"))
    runs(1000 if os.environ.get("SILKMILL_LONG") != "1" else 100_000)
    assert gone()
    assert size() - before < 16 << 20
    assert len(os.listdir("/proc/self/fd")) <= open_before


def test_a_list_is_divided_by_hosts_as_the_command_divides_it(server: Server) -> None:
    hosts = [f"https://host-{place}.example/{place}" for place in range(40)]
    parts = silkmill.host_bucket(hosts, 4)
    assert set(parts) == set(range(4)) and silkmill.host_bucket(hosts[7], 4) == parts[7]
    assert silkmill.host_bucket(iter(hosts), 4) == parts
    assert silkmill.host_bucket([None, "no url"], 10) == [7, 7]
    with pytest.raises(ValueError, match="at least 1 part"):
        silkmill.host_bucket(hosts, 0)
    assert silkmill.host_bucket("http://Example.COM:80/", 1000) == 345

    urls = [*server.urls(3), "no url"]
    part = silkmill.host_bucket(urls[0], 1000)
    rows = silkmill.fetch(urls, shard=f"{part}/1000", ordered=True)
    assert [row.index for row in rows] == [0, 1, 2]
    with pytest.raises(ValueError, match='"I/N"'):
        silkmill.fetch(urls, shard="4/4")


def test_regexes_and_json_are_read_too(server: Server) -> None:
    (row,) = silkmill.scrape(server.urls(1), regex={"n": r"page (\d+)"}, jsonpath={"j": "$..x"})
    assert row.fields == {"n": ["0"], "j": []}
    page = b'<script type="application/ld+json">{"x": [1, "a"]}</script><a href=b>'
    assert silkmill.extract(page, jsonpath={"j": "$.x[*]"}) == {"j": ["1", "a"]}
    links = silkmill.extract(page, css={"link": "a@abs:href"}, url="http://a.example/x/")
    assert links == {"link": ["http://a.example/x/b"]}


def test_the_pages_of_sitemaps_come_after_the_urls(server: Server) -> None:
    sitemap = f"{server.address}/map/3"
    rows = silkmill.scrape(["no url"], sitemap=sitemap, ordered=True).collect()
    assert [row.index for row in rows] == [0, 1, 2, 3]
    assert [row.url for row in rows] == ["no url", *server.urls(3)]
    assert [row.title for row in rows] == [None, "page 0", "page 1", "page 2"]
    alone = silkmill.fetch(sitemap=[sitemap, f"{server.address}/map/4"], since="2026")
    assert sorted(row.url for row in alone) == sorted(server.urls(3) + server.urls(4))
    parts = [silkmill.fetch(sitemap=sitemap, shard=f"{part}/2").collect() for part in (0, 1)]
    assert sum(len(part) for part in parts) == 3


def test_a_sitemap_that_cannot_be_is_an_error(server: Server) -> None:
    missing = silkmill.fetch(server.urls(1), sitemap=f"{server.address}/missing")
    with pytest.raises(RuntimeError, match="/missing"):
        missing.collect()
    assert server.requests["/0"] == 0
    with pytest.raises(ValueError, match="no URL"):
        silkmill.fetch(sitemap="no URL")
    with pytest.raises(ValueError, match="someday"):
        silkmill.fetch(sitemap=server.address, since="someday")
    with pytest.raises(ValueError, match="since"):
        silkmill.fetch([], since="2026")
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"link": server.urls(1)})
    with pytest.raises(ValueError, match="sitemap"):
        silkmill.fetch(table, url="link", keep=True, sitemap=server.address)
