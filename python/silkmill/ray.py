"""A dataset of URLs on a Ray cluster: ``silkmill.ray.scrape(dataset, folder="/shared/rows", css={"price": ".price"})``.

Every node must see ``folder``, and have silkmill installed.
"""

from __future__ import annotations

import functools
from typing import Any

import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
import pyarrow.parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]

from silkmill.buckets import BUCKET, check, divided, rows_of, run_buckets


def fetch(dataset: Any, *, folder: str, url: str = "url", **options: Any) -> Any:
    """Requests every URL, as :func:`silkmill.fetch` does. Otherwise this is :func:`scrape`."""
    return _run("fetch", dataset, folder, url, options)


def scrape(dataset: Any, *, folder: str, url: str = "url", **options: Any) -> Any:
    """Requests every URL of a `ray.data.Dataset`, and reads titles and fields. Returns a dataset of the rows, which is as lazy.

    ``url`` is the column with the URLs; the others come back with ``input_`` before their names. ``buckets`` (64) is the number of
    parts, about four for each worker, and ``num_cpus`` (0.25) what a part takes of a node, as it waits for most of its time. What
    Ray runs again, or the same call, reads the files of the parts that are there, and requests nothing. Everything else is an option of
    :func:`silkmill.scrape`.
    """
    return _run("scrape", dataset, folder, url, options)


def _run(call: str, dataset: Any, folder: str, url: str, options: dict[str, Any]) -> Any:
    buckets: int = options.pop("buckets", None) or 64
    num_cpus: float = options.pop("num_cpus", 0.25)
    check(options, call)
    add = functools.partial(divided, url=url, buckets=buckets)
    run = functools.partial(_rows, folder=folder, call=call, url=url, options=options)
    return (
        dataset.map_batches(add, batch_format="pyarrow")
        .repartition(buckets, keys=[BUCKET])
        .map_batches(run, batch_size=None, batch_format="pyarrow", num_cpus=num_cpus)
    )


def _rows(table: Any, folder: str, call: str, url: str, options: dict[str, Any]) -> Any:
    paths = list(run_buckets(table, folder, call, url, options))
    if not paths:
        return rows_of(table.drop_columns([BUCKET]).slice(0, 0), call, url, options)
    return pyarrow.concat_tables([pyarrow.parquet.read_table(path) for path in paths])
