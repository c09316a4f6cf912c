"""A frame of URLs on a Spark cluster: ``silkmill.spark.scrape(frame, folder="/shared/rows", css={"price": ".price"})``.

Every executor must see ``folder``, and have silkmill and pyarrow installed; ``PYSPARK_PYTHON`` names its interpreter.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
import pyarrow.parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]

from silkmill.buckets import BUCKET, check, divided, rows_of, run_buckets


def fetch(frame: Any, *, folder: str, url: str = "url", **options: Any) -> Any:
    """Requests every URL, as :func:`silkmill.fetch` does. Otherwise this is :func:`scrape`."""
    return _run("fetch", frame, folder, url, options)


def scrape(frame: Any, *, folder: str, url: str = "url", **options: Any) -> Any:
    """Requests every URL of a `pyspark.sql.DataFrame`, and reads titles and fields. Returns a frame of the rows, which is as lazy.

    ``url`` is the column with the URLs; the others come back with ``input_`` before their names. ``buckets`` (64) is the number of
    parts, about four for each core. What Spark runs again, a second action too, reads the files of the parts that are there, and
    requests nothing. With ``spark.speculation`` two tasks would ask one host at the same time, so it is refused. Everything else is an
    option of :func:`silkmill.scrape`.
    """
    return _run("scrape", frame, folder, url, options)


def _run(call: str, frame: Any, folder: str, url: str, options: dict[str, Any]) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from pyspark.sql.types import IntegerType, StructField, StructType  # type: ignore[import-untyped, import-not-found, unused-ignore]

    if str(frame.sparkSession.conf.get("spark.speculation", "false")).lower() == "true":
        raise ValueError("spark.speculation runs a task twice, and so asks a host twice: set it to false")
    buckets: int = options.pop("buckets", None) or 64
    check(options, call)
    empty = to_arrow_schema(frame.schema).empty_table()
    schema = from_arrow_schema(rows_of(empty, call, url, options).schema)
    add = functools.partial(_divided, url=url, buckets=buckets)
    run = functools.partial(_rows, folder=folder, call=call, url=url, options=options)
    marked = frame.mapInArrow(
        add, StructType([*frame.schema.fields, StructField(BUCKET, IntegerType())])
    )
    if hasattr(marked, "repartitionById"):
        parts = marked.repartitionById(buckets, BUCKET)
    else:
        parts = marked.repartition(buckets, BUCKET)
    return parts.mapInArrow(run, schema)


def _divided(batches: Iterator[Any], url: str, buckets: int) -> Iterator[Any]:
    for batch in batches:
        yield from divided(pyarrow.Table.from_batches([batch]), url, buckets).to_batches()


def _rows(
    batches: Iterator[Any], folder: str, call: str, url: str, options: dict[str, Any]
) -> Iterator[Any]:
    all_batches = list(batches)
    if all_batches:
        for path in run_buckets(pyarrow.Table.from_batches(all_batches), folder, call, url, options):
            yield from pyarrow.parquet.read_table(path).to_batches()
