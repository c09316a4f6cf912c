"""I/O-bound work on many threads.

``ThreadPoolExecutor``, ``wait`` and ``as_completed`` stand in for those of :mod:`concurrent.futures`, ``Thread`` for
:class:`threading.Thread`, and ``to_thread`` for :func:`asyncio.to_thread`: the same names, the same behaviour, less waiting.
Importing this module starts nothing.
"""

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
    "Future",
    "InternalError",
    "ShutdownReport",
    "Stats",
    "Thread",
    "ThreadPoolExecutor",
    "as_completed",
    "to_thread",
    "wait",
]

_process.install()
