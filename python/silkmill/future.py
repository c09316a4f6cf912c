"""Futures, and waiting for many of them."""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from concurrent.futures import _base as _standard

from silkmill._silkmill import AsCompleted, FutureBase, wait_for

TYPE_CHECKING = False  # Importing `typing` would take as long as all the rest.
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypeVar

    _T = TypeVar("_T")

    class Future(FutureBase[_T], concurrent.futures.Future[_T]):
        """The result of a call, as :class:`concurrent.futures.Future`."""

else:

    class Future(FutureBase, concurrent.futures.Future):
        """The result of a call.

        It is a :class:`concurrent.futures.Future` in every respect; what differs is where its state is kept.
        """


__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "Future",
    "as_completed",
    "wait",
]


def wait(
    fs: Iterable[concurrent.futures.Future[_T]],
    timeout: float | None = None,
    return_when: str = ALL_COMPLETED,
) -> _standard.DoneAndNotDoneFutures[_T]:
    """Waits for futures as :func:`concurrent.futures.wait` does, and returns the sets of those done and not done.

    ``return_when`` is ``ALL_COMPLETED``, ``FIRST_COMPLETED`` or ``FIRST_EXCEPTION``; ``timeout`` is in seconds.
    """
    futures = set(fs)
    if not _are_ours(futures) or return_when not in _UNTIL:
        return _standard.wait(futures, timeout, return_when)
    wait_for(list(futures), timeout, return_when)
    done = {future for future in futures if future._state in _SETTLED}
    return _standard.DoneAndNotDoneFutures(done, futures - done)


def as_completed(
    fs: Iterable[concurrent.futures.Future[_T]], timeout: float | None = None
) -> Iterator[concurrent.futures.Future[_T]]:
    """Yields futures as they are done, as :func:`concurrent.futures.as_completed` does, and keeps none that it has yielded.

    Raises TimeoutError when ``timeout`` seconds have passed since this call and some are not done.
    """
    futures = set(fs)
    if not _are_ours(futures):
        return _standard.as_completed(futures, timeout)
    return AsCompleted(list(futures), timeout)


_UNTIL = (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION)
_SETTLED = ("CANCELLED_AND_NOTIFIED", "FINISHED")


def _are_ours(futures: Iterable[Any]) -> bool:
    """Whether each future has a native part, which is what the native functions talk to."""
    return all(isinstance(future, FutureBase) for future in futures)
