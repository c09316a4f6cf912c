"""A list of URLs on a Dask cluster: ``silkmill.dask.scrape(urls, client, folder="/shared/rows", css={"price": ".price"})``.

Every worker must see ``folder``, and have silkmill and pyarrow installed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import pyarrow  # type: ignore[import-untyped, import-not-found, unused-ignore]
import pyarrow.compute  # type: ignore[import-untyped, import-not-found, unused-ignore]

from silkmill.buckets import BUCKET, check, divided, run_bucket

#: How many parts each thread of the cluster gets, unless the call says how many there are.
_PARTS = 4


def fetch(urls: Any, client: Any, *, folder: str, url: str = "url", **options: Any) -> list[str]:
    """Requests every URL, as :func:`silkmill.fetch` does. Otherwise this is :func:`scrape`."""
    return _run("fetch", urls, client, folder, url, options)


def scrape(urls: Any, client: Any, *, folder: str, url: str = "url", **options: Any) -> list[str]:
    """Requests every URL on the workers of a `distributed.Client`, and reads titles and fields. Blocks until all have their rows.

    ``urls`` is an iterable of texts, or a table with a column ``url``. Returns the Parquet files with the rows, for
    ``pyarrow.parquet.read_table`` or ``dask.dataframe.read_parquet``; ``input_index`` is the place in the list, or the columns of
    the table have ``input_`` before their names. ``buckets`` is the number of parts, and ``resources`` what a part takes of a worker.
    The same call again goes on with the parts that have no file yet. Everything else is an option of :func:`silkmill.scrape`.
    """
    return _run("scrape", urls, client, folder, url, options)


def _run(
    call: str, urls: Any, client: Any, folder: str, url: str, options: dict[str, Any]
) -> list[str]:
    buckets: int = options.pop("buckets", None) or _PARTS * max(1, sum(client.nthreads().values()))
    resources = options.pop("resources", None)
    check(options, call)
    table = divided(_table(urls, url), url, buckets)
    parts: list[tuple[int, Any]] = []
    for bucket in sorted(set(table[BUCKET].to_pylist())):
        is_of = pyarrow.compute.equal(table[BUCKET], bucket)  # pyright: ignore[reportAttributeAccessIssue]
        parts.append((bucket, table.filter(is_of).drop_columns([BUCKET])))
    # The largest host takes longest, so it begins first.
    parts.sort(key=lambda part: -part[1].num_rows)
    run = uuid.uuid4().hex
    futures = client.map(
        run_bucket,
        [part for _, part in parts],
        [bucket for bucket, _ in parts],
        folder=folder,
        call=call,
        url=url,
        options=options,
        pure=False,
        resources=resources,
        key=[f"silkmill-{run}-{bucket}" for bucket, _ in parts],
    )
    return sorted(client.gather(futures))


def _table(urls: Any, url: str) -> Any:
    if hasattr(urls, "__arrow_c_stream__") and hasattr(urls, "columns"):
        return pyarrow.table(urls)
    listed: Iterable[Any] = urls.to_pylist() if hasattr(urls, "to_pylist") else list(urls)
    return pyarrow.table({url: listed, "index": range(len(list(listed)))})
