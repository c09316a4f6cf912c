"""The executor: what happens once in its life, or once in the life of a worker. The rest is native."""

from __future__ import annotations

import concurrent.futures
import contextvars
import os
import queue
import threading
import time
import types
import weakref
from concurrent.futures import thread as _standard
from concurrent.futures._base import LOGGER

from silkmill._silkmill import ExecutorBase, Worker, begin_map
from silkmill.future import Future
from silkmill.stats import Stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any, TypeVar, overload

    _T = TypeVar("_T")

_Standard = concurrent.futures.ThreadPoolExecutor

#: The standard library's table of the threads that it joins at exit.
_QUEUES: Any = _standard._threads_queues

#: How long `shutdown` waits for workers that are being started at that moment, in seconds.
_START_MAX = 1.0


def _original_submit() -> Any:
    """The standard library's `submit`, unless something has already been put in its place."""
    submit = _Standard.submit
    code = getattr(submit, "__code__", None)
    is_original = code is not None and code.co_filename == _standard._worker.__code__.co_filename
    return submit if is_original else None


_ORIGINAL_SUBMIT = _original_submit()


class WorkItem:
    """A call and its future, for workers that are not silkmill's own. It has no native frame below the call."""

    __slots__ = ("args", "fn", "future", "kwargs")

    def __init__(
        self, future: Any, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> None:
        self.future = future
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def run(self, context: object = None) -> None:
        """Runs the call, unless it was cancelled. ``context`` is what CPython 3.14 passes, and is not needed."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.fn(*self.args, **(self.kwargs or {}))
        except BaseException as error:
            self.future.set_exception(error)
            self = None  # type: ignore[assignment]  # The error's traceback leads here: no circle.
        else:
            self.future.set_result(result)


def work(
    worker: Worker,
    reference: Callable[[], ThreadPoolExecutor | None],
    queue: object,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """What a worker's thread runs. Calls are made here, with no native frame below them."""
    if not worker.claim():
        return
    if initializer is not None:
        try:
            initializer(*initargs)
        except BaseException:
            LOGGER.critical("Exception in initializer:", exc_info=True)
            worker.resign()
            executor = reference()
            if executor is not None:
                executor._initializer_failed()
            return
    del reference, queue, initializer, initargs
    while True:
        try:
            return _work_on(worker)
        except BaseException as error:
            # Raised by another thread, from outside, between two calls. The worker is needed yet.
            LOGGER.critical("Exception in worker", exc_info=True)
            worker.abort(error)


def _work_on(worker: Worker) -> None:
    """Calls what the queue orders, until it orders to leave. Keeps nothing of a call while it waits for the next."""
    next = worker.next
    take = worker.take
    order = worker.begin()
    while True:
        if order:
            fn, args, kwargs = order
            order = None
            try:
                result = fn(*args) if kwargs is None else fn(*args, **kwargs)
            except BaseException as error:
                # What a task was given is gone before its outcome is there.
                fn = args = kwargs = None
                if not worker.runs_a_task():
                    LOGGER.critical("Exception in worker", exc_info=True)
                order = worker.fail(error)
            else:
                fn = args = kwargs = None
                order = next(result)
                result = None
        elif order is None:
            return
        else:
            order = take()


def _call_callbacks(future: Any, callbacks: list[Callable[[Any], object]]) -> None:
    """Calls each, and logs what they raise, as the standard library does."""
    for callback in callbacks:
        try:
            callback(future)
        except Exception:
            LOGGER.exception("exception calling callback for %r", future)


def _run_foreign(item: Any) -> None:
    """Runs a work item of the standard library. From CPython 3.14 on it wants to be told how to call its task."""
    if hasattr(item, "task"):
        item.run(_standard.WorkerContext(None, ()))  # type: ignore[attr-defined]
    else:
        item.run()


class ShutdownReport:
    """What ``shutdown(timeout=...)`` found when its time was over, or its work."""

    __slots__ = ("cancelled", "queued", "running")

    def __init__(self, running: int, queued: int, cancelled: int) -> None:
        #: Tasks that still run.
        self.running = running
        #: Tasks that still wait for a worker, and will be run.
        self.queued = queued
        #: Tasks that were cancelled before they began.
        self.cancelled = cancelled

    @property
    def is_complete(self) -> bool:
        """Whether nothing runs and nothing waits any more."""
        return self.running == 0 and self.queued == 0

    def __repr__(self) -> str:
        return (
            f"ShutdownReport(running={self.running}, queued={self.queued}, "
            f"cancelled={self.cancelled})"
        )


class ThreadPoolExecutor(ExecutorBase, _Standard):
    """Runs calls on a pool of threads, as :class:`concurrent.futures.ThreadPoolExecutor`, of which it is a subclass.

    Beyond it:

    * ``queue_capacity``: how many calls may wait for a worker; ``submit`` waits while there are as many. The pool's own
      tasks never wait when they submit.
    * ``daemon``: the interpreter ends without waiting for the workers.
    * ``context="copy"``: every call runs in a copy of the :mod:`contextvars` context in which it was submitted.
    * ``map(..., buffersize=n)`` on every version of Python, ``shutdown(timeout=s)``, and ``stats()``.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        queue_capacity: int | None = None,
        daemon: bool = False,
        context: str | None = None,
        **context_options: Any,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, (_cpu_count() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if queue_capacity is not None and queue_capacity <= 0:
            raise ValueError("queue_capacity must be greater than 0, or None for no bound")
        if context not in (None, "copy"):
            raise ValueError(f'context must be "copy" or None, not {context!r}')
        kind = type(self)
        if hasattr(kind, "prepare_context"):  # From CPython 3.14 on.
            self._create_worker_context, self._resolve_work_item_task = kind.prepare_context(  # pyright: ignore[reportAttributeAccessIssue]
                initializer, initargs, **context_options
            )
        elif context_options:
            unknown = next(iter(context_options))
            raise TypeError(f"ThreadPoolExecutor() got an unexpected keyword argument {unknown!r}")
        has_hook = kind._adjust_thread_count is not ExecutorBase._adjust_thread_count
        self._setup(
            max_workers=-int(-max_workers // 1),
            queue_capacity=queue_capacity,
            future_class=Future,
            item_class=WorkItem,
            base=_Standard,
            original_submit=_ORIGINAL_SUBMIT,
            copy_context=contextvars.copy_context if context == "copy" else None,
            call_callbacks=_call_callbacks,
            run_foreign=_run_foreign,
            has_hook=has_hook,
        )
        self._daemon = daemon
        self._threads: set[threading.Thread] = set()  # pyright: ignore[reportIncompatibleVariableOverride]
        self._shutdown_lock = threading.Lock()
        self._thread_name_prefix = thread_name_prefix or (
            "ThreadPoolExecutor-%d" % self._counter()  # type: ignore[attr-defined]
        )
        self._initializer: Any = initializer
        self._initargs = initargs
        # A subclass that starts workers of its own counts the idle ones itself.
        self._idle_semaphore: Any = (
            threading.Semaphore(0) if has_hook else self._make_idle_semaphore()
        )
        if _is_monkey_patched():
            # "Threads" take turns on one thread then, and a native wait would stop them all.
            self._work_queue = queue.SimpleQueue()  # pyright: ignore[reportIncompatibleVariableOverride]
        self._maps_by_submit = kind.submit is not ExecutorBase.submit

    @property
    def _work_queue(self) -> Any:
        """The queue. Who puts in another gets the standard library's executor around it."""
        return self.__dict__.get("_foreign_queue", self._native_queue)

    @_work_queue.setter
    def _work_queue(self, queue: Any) -> None:
        self.__dict__["_foreign_queue"] = queue
        self._idle_semaphore = threading.Semaphore(0)
        self._become_plain()

    def _start_worker(self, worker: Worker) -> None:
        """Starts the thread of a worker that the queue has counted. Holds no lock meanwhile."""
        thread = threading.Thread(
            name="%s_%d" % (self._thread_name_prefix or self, worker.number),
            target=types.MethodType(work, worker),
            args=(weakref.ref(self), self._work_queue, self._initializer, self._initargs),
            daemon=True if self._daemon else None,
        )
        self._threads.add(thread)
        if not self._daemon:
            # The standard library's function at exit tells these queues, and joins these threads.
            _QUEUES[thread] = self._work_queue
        try:
            thread.start()
        except BaseException:
            if worker.abandon():
                self._threads.discard(thread)
                _QUEUES.pop(thread, None)
            raise

    def _initializer_failed(self) -> None:
        if self._is_plain:
            super()._initializer_failed()
        else:
            self._break(
                "A thread initializer failed, the thread pool is not usable anymore"
            )

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]:
        """Yields ``fn(*args)`` for the arguments that ``zip(*iterables)`` yields, in their order.

        All calls are submitted now, or at most ``buffersize`` ahead of the result that is read. ``timeout`` is in seconds from this
        call. ``chunksize`` is for processes, and is ignored.
        """
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        arguments = zip(*iterables)
        if self._maps_by_submit or not self._maps_natively():
            return _map_by_submit(self, fn, arguments, timeout, buffersize)
        return begin_map(self, fn, arguments, timeout, buffersize)

    if TYPE_CHECKING:

        @overload
        def shutdown(
            self, wait: bool = True, *, cancel_futures: bool = False, timeout: None = None
        ) -> None: ...
        @overload
        def shutdown(
            self, wait: bool = True, *, cancel_futures: bool = False, timeout: float
        ) -> ShutdownReport: ...

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, timeout: float | None = None
    ) -> ShutdownReport | None:
        """Takes no more calls, and waits until those submitted have ended.

        ``cancel_futures`` cancels those that have not begun, and tells whoever waits for them. With a ``timeout``, in seconds, it
        waits no longer than that, and returns a :class:`ShutdownReport`.
        """
        if self._is_plain:
            _Standard.shutdown(self, wait=wait, cancel_futures=cancel_futures)
            return None
        cancelled = 0
        if not self._is_inherited():
            cancelled = self._close(cancel_futures)
            if wait:
                self._join(timeout)
        if timeout is None:
            return None
        figures = self._figures()
        return ShutdownReport(figures["running"], figures["queued"], cancelled)

    def _join(self, timeout: float | None) -> None:
        now = time.monotonic()
        end = None if timeout is None else now + timeout
        start_end = now + _START_MAX if end is None else min(now + _START_MAX, end)
        while self._is_starting() and time.monotonic() < start_end:
            time.sleep(0.001)
        for thread in list(self._threads):
            if thread.ident is None:
                continue  # Its start is interrupted by the signal handler in which this runs.
            if end is None:
                thread.join()
            else:
                thread.join(max(0.0, end - time.monotonic()))

    def stats(self) -> Stats:
        """What the executor has measured so far. ``stats().advice()`` says whether more workers would help."""
        return Stats(max_workers=self._max_workers, **self._figures())


def _is_monkey_patched() -> bool:
    """Whether something like gevent has put its own threads in the place of the system's."""
    start = getattr(threading, "_start_joinable_thread", None)
    if start is None:
        start = threading._start_new_thread  # type: ignore[attr-defined]
    return getattr(start, "__module__", None) != "_thread"


def _cpu_count() -> int | None:
    count: Callable[[], int | None] = getattr(os, "process_cpu_count", os.cpu_count)
    return count()


def _map_by_submit(
    executor: ThreadPoolExecutor,
    fn: Callable[..., _T],
    arguments: Iterator[tuple[Any, ...]],
    timeout: float | None,
    buffersize: int | None,
) -> Iterator[_T]:
    """`map` for those who want to see every call: a subclass with a `submit` of its own, or a patch."""
    end = None if timeout is None else time.monotonic() + timeout
    futures: list[Any] = []
    ended = False
    while buffersize is None or len(futures) < buffersize:
        args = next(arguments, None)
        if args is None:
            ended = True
            break
        futures.append(executor.submit(fn, *args))
    futures.reverse()
    reference = None if ended else weakref.ref(executor)
    del executor
    return _results(futures, end, reference, fn, arguments)


def _results(
    futures: list[Any],
    end: float | None,
    reference: Callable[[], ThreadPoolExecutor | None] | None,
    fn: Callable[..., _T],
    arguments: Iterator[tuple[Any, ...]],
) -> Generator[_T, None, None]:
    try:
        while futures:
            result = [_result_or_cancel(futures.pop(), end)]
            if reference is not None:
                executor = reference()
                args = None if executor is None else next(arguments, None)
                if executor is None or args is None:
                    reference = None
                else:
                    futures.insert(0, executor.submit(fn, *args))
                del executor
            yield result.pop()
    finally:
        for future in futures:
            future.cancel()


def _result_or_cancel(future: Any, end: float | None) -> Any:
    try:
        try:
            return future.result(None if end is None else end - time.monotonic())
        finally:
            future.cancel()
    finally:
        del future
