"""Rows as Arrow data, for each library that reads it; and tables of URLs. A library that is missing skips its tests."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from server import Server

import silkmill


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("SILKMILL_REQUIRE") == "1" and name in REQUIRED:
            pytest.fail(f"{name} is not installed, and SILKMILL_REQUIRE=1 asks for it")
        pytest.skip(f"{name} is not installed")


REQUIRED = ("pyarrow", "polars", "pandas", "duckdb")


def by_pyarrow(rows: Any) -> list[dict[str, Any]]:
    return library("pyarrow").table(rows).to_pylist()  # type: ignore[no-any-return]


def by_pyarrow_reader(rows: Any) -> list[dict[str, Any]]:
    reader = library("pyarrow").RecordBatchReader.from_stream(rows)
    return [record for batch in reader for record in batch.to_pylist()]


def by_polars(rows: Any) -> list[dict[str, Any]]:
    return library("polars").DataFrame(rows).to_dicts()  # type: ignore[no-any-return]


def by_polars_lazily(rows: Any) -> list[dict[str, Any]]:
    if not hasattr(library("polars"), "scan_arrow_c_stream"):
        pytest.skip("this polars does not scan Arrow streams")
    return library("polars").scan_arrow_c_stream(rows).collect().to_dicts()  # type: ignore[no-any-return]


def by_pandas(rows: Any) -> list[dict[str, Any]]:
    library("pyarrow")
    if not hasattr(library("pandas").DataFrame, "from_arrow"):
        pytest.skip("this pandas does not read Arrow streams")
    frame = library("pandas").DataFrame.from_arrow(rows)
    return by_pyarrow(library("pyarrow").Table.from_pandas(frame))


def by_duckdb(rows: Any) -> list[dict[str, Any]]:
    duckdb = library("duckdb")
    relation = duckdb.sql("select * from rows")
    names = relation.columns
    return [dict(zip(names, record)) for record in relation.fetchall()]


def by_arro3(rows: Any) -> list[dict[str, Any]]:
    table = library("arro3.core").Table.from_arrow(rows)
    return by_pyarrow(table)


def by_nanoarrow(rows: Any) -> list[dict[str, Any]]:
    return library("nanoarrow").ArrayStream(rows).read_all().to_pylist()  # type: ignore[no-any-return]


def by_datafusion(rows: Any) -> list[dict[str, Any]]:
    frame = library("datafusion").SessionContext().from_arrow(rows)
    return frame.to_pylist()  # type: ignore[no-any-return]


CONSUMERS = [
    by_pyarrow,
    by_pyarrow_reader,
    by_polars,
    by_polars_lazily,
    by_pandas,
    by_duckdb,
    by_arro3,
    by_nanoarrow,
    by_datafusion,
]


def consumer(request: pytest.FixtureRequest) -> Callable[[Any], list[dict[str, Any]]]:
    return request.param  # type: ignore[no-any-return]


consumer = pytest.fixture(params=CONSUMERS, ids=lambda it: it.__name__)(consumer)  # type: ignore[assignment]


def as_expected(records: list[dict[str, Any]], rows: list[silkmill.Row]) -> None:
    assert len(records) == len(rows)
    records = sorted(records, key=lambda record: record["index"])
    for record, row in zip(records, sorted(rows, key=lambda row: row.index)):
        for name in ("index", "url", "final_url", "title", "attempts", "bytes", "charset"):
            assert record[name] == getattr(row, name), name
        assert record["status"] == row.status or row.status is None
        for name, values in row.fields.items():
            assert list(record[name]) == values
        if not row.fields:
            assert record["n"] is None or record["n"] != record["n"]
        kind = None if row.error is None else row.error.kind
        assert record["error_kind"] == kind or kind is None


def test_every_library_reads_a_table_as_its_rows_are(consumer: Any, server: Server) -> None:
    table = silkmill.scrape(
        [*server.urls(30), "no url"], xpath={"price": "//p", "n": "count(//p)", "b": "boolean(//p)"}
    ).collect()
    as_expected(consumer(table), list(table))
    assert server.total == 30
    # A table is read as often as one likes.
    as_expected(consumer(table), list(table))


def test_every_library_reads_a_run_once(consumer: Any, server: Server) -> None:
    if consumer is by_pandas:
        pytest.skip("pandas asks twice")
    run = silkmill.scrape(server.urls(2500), css={"n": "p"}, workers=16)
    records = consumer(run)
    assert sorted(record["index"] for record in records) == list(range(2500))
    assert server.total == 2500
    assert run.summary is not None and run.summary.rows == 2500


def test_other_threads_run_while_a_library_reads(consumer: Any, server: Server) -> None:
    ticks, over = [0], threading.Event()

    def tick() -> None:
        while not over.wait(0.001):
            ticks[0] += 1

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    if consumer is not by_pandas:
        consumer(silkmill.fetch([f"{server.address}/slow/200"]))
    else:
        consumer(silkmill.fetch([f"{server.address}/slow/200"]).collect())
    over.set()
    ticker.join()
    assert ticks[0] > 10


def test_a_schema_is_told_without_a_request(server: Server) -> None:
    pyarrow = library("pyarrow")
    run = silkmill.scrape(server.urls(3), xpath={"n": "count(//p)", "t": "//p"})
    for _ in range(3):
        reader = pyarrow.RecordBatchReader.from_stream(run)
        schema = reader.schema
    assert schema.field("n").type == pyarrow.list_(pyarrow.float64())
    assert schema.field("t").type == pyarrow.list_(pyarrow.string())
    assert schema.field("status").type == pyarrow.int32()
    assert server.total == 0
    assert reader.read_all().num_rows == 3


def test_a_second_reader_of_a_run_is_told_so(server: Server) -> None:
    pyarrow = library("pyarrow")
    run = silkmill.fetch(server.urls(3))
    assert pyarrow.table(run).num_rows == 3
    with pytest.raises(OSError, match="have been taken already"):
        pyarrow.table(run)
    run = silkmill.fetch(server.urls(3))
    next(run)
    with pytest.raises(OSError, match="have been taken already"):
        pyarrow.table(run)
    assert len(list(run)) == 2


def test_what_a_generator_raises_reaches_the_reader(server: Server) -> None:
    def urls() -> Iterator[str]:
        yield from server.urls(3)
        raise ZeroDivisionError("in the middle")

    with pytest.raises(OSError, match="in the middle"):
        library("pyarrow").table(silkmill.fetch(urls()))


def test_a_reader_that_stops_early_ends_the_run(server: Server) -> None:
    pyarrow = library("pyarrow")
    run = silkmill.fetch([*server.urls(1), f"{server.address}/silent"], per_host=0)
    reader = pyarrow.RecordBatchReader.from_stream(run)
    assert reader.read_next_batch().num_rows == 1
    # The rows that are left are for this reader alone: no other can wait for them.
    del reader
    while run.summary is None:
        time.sleep(0.01)
    assert run.summary.interrupted


def test_a_query_that_needs_few_rows_ends_the_run(server: Server) -> None:
    polars = library("polars")
    if not hasattr(polars, "scan_arrow_c_stream"):
        pytest.skip("this polars does not scan Arrow streams")
    run = silkmill.fetch([*server.urls(1), f"{server.address}/silent"], per_host=0)
    assert polars.scan_arrow_c_stream(run).head(1).collect().height == 1
    while run.summary is None:
        time.sleep(0.01)
    assert run.summary.interrupted


def test_a_reader_that_only_asks_for_the_schema_ends_nothing(server: Server) -> None:
    pyarrow = library("pyarrow")
    run = silkmill.fetch(server.urls(3))
    other = pyarrow.RecordBatchReader.from_stream(run)
    first = next(run)
    del other
    assert first.ok and len(list(run)) == 2
    assert run.summary is not None and not run.summary.interrupted


def test_a_thread_that_reads_has_batches_without_rows_while_servers_are_silent(server: Server) -> None:
    pyarrow = library("pyarrow")
    run = silkmill.fetch([f"{server.address}/silent"], retries=0)
    reader = pyarrow.RecordBatchReader.from_stream(run)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            batch = pool.submit(reader.read_next_batch).result()
            assert batch.num_rows == 0 and batch.schema == reader.schema
        server.over.set()
        assert pool.submit(reader.read_all).result().num_rows == 1


def test_every_library_reads_past_batches_without_rows(consumer: Any, server: Server) -> None:
    urls = [f"{server.address}/slow/150/{place}" for place in range(3)]
    table = library("pyarrow").table({"page": urls, "n": range(3)})
    run = silkmill.scrape(table, url="page", keep=True, css={"n": "p"}, per_host=1)
    with ThreadPoolExecutor(1) as pool:
        # pandas asks twice.
        rows = run.collect() if consumer is by_pandas else run
        records = pool.submit(consumer, rows).result()
    assert sorted(record["input_n"] for record in records) == list(range(3))


def test_tables_become_frames(server: Server) -> None:
    table = silkmill.scrape(server.urls(5), css={"price": ".price"}, ordered=True).collect()
    library("pyarrow")
    assert table.to_arrow().num_rows == 5
    assert list(table.to_polars()["title"]) == [f"page {place}" for place in range(5)]
    frame = table.to_pandas()
    assert list(frame["index"]) == list(range(5)) and list(frame["price"][2]) == ["2.50", "0"]


def test_a_library_that_is_missing_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Missing:
        """Finds none of these libraries, whether they are installed or not."""

        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name in ("pyarrow", "polars", "pandas"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    table = silkmill.fetch(["no url"]).collect()
    for name in [name for name in sys.modules if name.split(".")[0] in ("pyarrow", "polars", "pandas")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing, *sys.meta_path])
    for call, name in (("to_arrow", "pyarrow"), ("to_polars", "polars"), ("to_pandas", "pandas")):
        with pytest.raises(ModuleNotFoundError, match=rf"^{call}\(\) needs {name}: pip install {name}$"):
            getattr(table, call)()


def tables(urls: list[str | None]) -> Iterator[Any]:
    pyarrow, polars, pandas = library("pyarrow"), library("polars"), library("pandas")
    columns = {"n": list(range(len(urls))), "page": urls, "more": [["a", "b"]] * len(urls)}
    table = pyarrow.table(columns)
    yield table
    half = len(urls) // 2
    yield pyarrow.concat_tables([table.slice(0, half), table.slice(half)])
    yield table.set_column(1, "page", table["page"].cast(pyarrow.large_string()))
    yield table.set_column(1, "page", table["page"].dictionary_encode())
    yield polars.DataFrame(columns)
    yield pandas.DataFrame(columns)


def test_the_other_columns_of_a_table_stay_beside_their_rows(server: Server) -> None:
    urls: list[str | None] = [*server.urls(40), None, "no url"]
    for table in tables(urls):
        run = silkmill.scrape(table, url="page", keep=True, css={"price": "p"})
        records = by_pyarrow(run.collect())
        assert sorted(record["index"] for record in records) == list(range(42))
        for record in records:
            assert record["input_n"] == record["index"]
            assert list(record["input_more"]) == ["a", "b"]
            assert record["url"] == (urls[record["index"]] or "")
        assert "input_page" not in records[0]
        streamed = by_pyarrow(silkmill.scrape(table, url="page", keep=True, css={"price": "p"}))
        assert sorted(record["input_n"] for record in streamed) == list(range(42))


def test_arrays_and_tables_of_one_column_are_lists_of_urls(server: Server) -> None:
    pyarrow, polars, pandas = library("pyarrow"), library("polars"), library("pandas")
    urls = server.urls(7)
    for source in (
        pyarrow.array(urls),
        pyarrow.chunked_array([urls[:3], urls[3:]]),
        pyarrow.table({"any name": urls}),
        pyarrow.table({"url": urls, "other": range(7)}),
        polars.Series(urls),
        pandas.Series(urls),
    ):
        rows = silkmill.fetch(source, ordered=True)
        assert [row.url for row in rows] == urls, type(source)


def test_a_table_without_the_column_is_refused_before_any_request(server: Server) -> None:
    pyarrow = library("pyarrow")
    table = pyarrow.table({"a": server.urls(1), "b": [1]})
    with pytest.raises(KeyError, match="no column .*there are .*a"):
        silkmill.fetch(table, url="c")
    with pytest.raises(TypeError, match="url= names the column"):
        silkmill.fetch(table)
    with pytest.raises(TypeError, match="has no texts, but Int64"):
        silkmill.fetch(table, url="b")
    assert server.total == 0


def test_a_table_whose_numbers_lie_anywhere_is_read(server: Server) -> None:
    pyarrow = library("pyarrow")
    urls = pyarrow.array(server.urls(9))
    moved = [
        None
        if buffer is None
        else pyarrow.py_buffer(b"x" + buffer.to_pybytes()).slice(1)  # One byte off.
        for buffer in urls.buffers()
    ]
    column = pyarrow.Array.from_buffers(urls.type, len(urls), moved)
    table = pyarrow.table({"url": column, "n": range(9)})
    records = by_pyarrow(silkmill.fetch(table, keep=True, ordered=True).collect())
    assert [record["url"] for record in records] == server.urls(9)
    assert [record["input_n"] for record in records] == list(range(9))


def test_a_capsule_that_nobody_reads_is_released(server: Server) -> None:
    table = silkmill.fetch(["no url"]).collect()
    for _ in range(1000):
        table.__arrow_c_stream__()
    capsule = table.__arrow_c_stream__()
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    assert name(capsule) == b"arrow_array_stream"
