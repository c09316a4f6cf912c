"""One part of a list, on one worker of a cluster: what :mod:`silkmill.dask`, :mod:`silkmill.ray` and :mod:`silkmill.spark` share.

All URLs of a host are in one part, so its limits hold without any worker knowing of another. The rows of a part are written
to a file that gets its name when it is whole. An engine that runs a part again finds the file, and asks no server a second time; one
that is killed in the middle leaves no row behind. So there is one row for each URL, whatever the engine repeats.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
import pyarrow.compute  # type: ignore[import-untyped, import-not-found, unused-ignore]
import pyarrow.parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]

import silkmill

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The column that says which part a URL is in.
BUCKET = "silkmill_bucket"


def divided(table: Any, url: str, buckets: int) -> Any:
    """Returns the table with a column that says which part each URL is in."""
    if url not in table.column_names:
        raise KeyError(f"the table has no column {url!r}; there are {table.column_names}")
    parts = pyarrow.array(silkmill.host_bucket(table[url], buckets), pyarrow.int32())
    return table.append_column(BUCKET, parts)


def run_buckets(
    table: Any, folder: str, call: str, url: str, options: Mapping[str, Any]
) -> Iterable[str]:
    """Requests the URLs of every part in the table. Yields the file of each, which may have been there already."""
    for bucket in sorted(set(table[BUCKET].to_pylist())):
        is_of = pyarrow.compute.equal(table[BUCKET], bucket)  # pyright: ignore[reportAttributeAccessIssue]
        yield run_bucket(table.filter(is_of).drop_columns([BUCKET]), bucket, folder, call, url, options)


def run_bucket(
    table: Any, bucket: int, folder: str, call: str, url: str, options: Mapping[str, Any]
) -> str:
    """Requests the URLs of one part, unless its file is there. Returns the path of the file."""
    path = os.path.join(folder, f"bucket-{bucket:05}.parquet")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        rows = rows_of(table, call, url, options)
        part = f"{path}.{uuid.uuid4().hex}.part"
        pyarrow.parquet.write_table(rows, part)
        os.replace(part, path)
    return path


def rows_of(table: Any, call: str, url: str, options: Mapping[str, Any]) -> Any:
    """Returns the rows of a table of URLs, beside its other columns."""
    start: Any = {"fetch": silkmill.fetch, "scrape": silkmill.scrape}[call]
    return start(table, url=url, keep=True, **options).collect().to_arrow().drop_columns(["index"])


def check(options: Mapping[str, Any], call: str) -> None:
    """Refuses options that cannot be where the cluster is started from, and not on a worker."""
    for name in ("keep", "progress", "shard", "save", "cookie_jar", "warc", "cache", "sitemap", "since"):
        if name in options:
            raise TypeError(f"{call}() has no option {name!r} on a cluster")
    start: Any = {"fetch": silkmill.fetch, "scrape": silkmill.scrape}[call]
    start([], **options)
