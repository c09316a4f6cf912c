"""I/O-bound work on many threads.

``ThreadPoolExecutor``, ``wait`` and ``as_completed`` stand in for those of :mod:`concurrent.futures`, ``Thread`` for
:class:`threading.Thread`, and ``to_thread`` for :func:`asyncio.to_thread`: the same names, the same behaviour, less waiting.
``fetch`` and ``scrape`` request lists of URLs and give a row for each, ``crawl`` follows links, ``extract`` and ``title`` read a page.
``replace``, ``undo``, ``redo`` and ``runs`` change text in many files, and put it back. Importing this module starts nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from silkmill.files import (
        Change,
        Match,
        Plan,
        ReplaceError,
        Replacement,
        StoredRun,
        Undone,
        forget,
        redo,
        replace,
        runs,
        undo,
    )
    from silkmill.lists import (
        BrokenLink,
        Crawl,
        CrawlTotals,
        Fields,
        Progress,
        Row,
        RowError,
        Run,
        Summary,
        Table,
        crawl,
        extract,
        fetch,
        host_bucket,
        scrape,
        title,
    )

from silkmill import process as _process
from silkmill._silkmill import InternalError
from silkmill.aio import to_thread
from silkmill.executor import ShutdownReport, ThreadPoolExecutor
from silkmill.future import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    as_completed,
    wait,
)
from silkmill.stats import Stats
from silkmill.thread import Thread

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenLink",
    "Change",
    "Crawl",
    "CrawlTotals",
    "Fields",
    "Future",
    "InternalError",
    "Match",
    "Plan",
    "Progress",
    "ReplaceError",
    "Replacement",
    "Row",
    "RowError",
    "Run",
    "ShutdownReport",
    "Stats",
    "StoredRun",
    "Summary",
    "Table",
    "Thread",
    "ThreadPoolExecutor",
    "Undone",
    "as_completed",
    "crawl",
    "extract",
    "fetch",
    "forget",
    "host_bucket",
    "redo",
    "replace",
    "runs",
    "scrape",
    "title",
    "to_thread",
    "undo",
    "wait",
]

#: What is imported when it is first used, and from where. A program that wants an executor does not pay for it.
_LATER = {
    "BrokenLink": "silkmill.lists",
    "Change": "silkmill.files",
    "Match": "silkmill.files",
    "Plan": "silkmill.files",
    "ReplaceError": "silkmill.files",
    "Replacement": "silkmill.files",
    "StoredRun": "silkmill.files",
    "Undone": "silkmill.files",
    "forget": "silkmill.files",
    "redo": "silkmill.files",
    "replace": "silkmill.files",
    "runs": "silkmill.files",
    "undo": "silkmill.files",
    "Crawl": "silkmill.lists",
    "CrawlTotals": "silkmill.lists",
    "Fields": "silkmill.lists",
    "Progress": "silkmill.lists",
    "Row": "silkmill.lists",
    "RowError": "silkmill.lists",
    "Run": "silkmill.lists",
    "Summary": "silkmill.lists",
    "Table": "silkmill.lists",
    "crawl": "silkmill.lists",
    "extract": "silkmill.lists",
    "fetch": "silkmill.lists",
    "host_bucket": "silkmill.lists",
    "scrape": "silkmill.lists",
    "title": "silkmill.lists",
}


#: Parts that are imported when they are named. Some need other packages.
_MODULES = ("dask", "options", "ray", "spark")


def __getattr__(name: str) -> "Any":
    module = _LATER.get(name)
    if module is None and name not in _MODULES:
        raise AttributeError(f"module 'silkmill' has no attribute {name!r}")
    import importlib

    if module is None:
        return importlib.import_module(f"silkmill.{name}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> "list[str]":
    return sorted({*globals(), *_LATER, *_MODULES})


_process.install()
