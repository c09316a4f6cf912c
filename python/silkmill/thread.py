"""Threads that return values."""

from __future__ import annotations

import functools
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

_MISSING = object()
#: The standard library's class, whatever is put in its place later.
_Standard = threading.Thread


class Thread(threading.Thread):
    """A :class:`threading.Thread` that keeps what its target returned or raised.

    ``thread.result`` is what the target returned, or raises what it raised; it is None before the target has ended.
    ``thread.exception`` is what it raised, or None. A subclass that overrides ``run`` has what ``run`` returns as its result.
    As with every thread, :func:`threading.excepthook` hears of an exception when the thread ends.
    """

    _silkmill_value: Any = None
    _silkmill_error: BaseException | None = None
    _silkmill_traceback: TracebackType | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        if not isinstance(self, Thread):
            # Where this class stands in the place of the standard library's, threads of other classes that were made
            # from that call it by the name: the one that stands for a foreign thread, and old subclasses.
            return _Standard.__init__(self, *args, **options)
        super().__init__(*args, **options)
        # The standard library keeps here what is called with an exception that ends the thread.
        invoke = self._invoke_excepthook  # type: ignore[has-type]
        self._invoke_excepthook = functools.partial(_invoke_excepthook, invoke)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "run" in cls.__dict__:
            cls.run = _kept(cls.__dict__["run"])  # type: ignore[method-assign]

    def run(self) -> Any:
        """Calls the target, through the standard library's ``run``, and keeps what it returns or raises."""
        if not isinstance(self, Thread):
            return _Standard.run(self)
        target: Any = self._target  # type: ignore[has-type]
        if target is None:
            super().run()
            return None
        values = []

        def call(*args: Any, **kwargs: Any) -> None:
            try:
                values.append(target(*args, **kwargs))
            except BaseException as error:
                _keep(self, error)
                raise

        # Tracing libraries patch the standard library's method, which deletes this when it ends.
        self._target = call
        super().run()
        return values.pop() if values else None

    @property
    def result(self) -> Any:
        """What the target returned, or None before it has. Raises what the target raised."""
        error = self._silkmill_error
        if error is None:
            return self._silkmill_value
        try:
            raise error.with_traceback(self._silkmill_traceback)
        finally:
            del error, self  # The traceback leads here: no circle.

    @property
    def exception(self) -> BaseException | None:
        """What the target raised, or None."""
        return self._silkmill_error


def _invoke_excepthook(invoke: Callable[[Thread], None], thread: Thread) -> None:
    invoke(thread)
    error = thread._silkmill_error
    if error is not None and threading.excepthook is threading.__excepthook__:
        # The frames that have been added since lead to the thread itself: no circle. A hook of somebody else's
        # may have kept them.
        error.__traceback__ = thread._silkmill_traceback


def _keep(thread: Thread, error: BaseException) -> None:
    """Keeps what the caller has just caught, unless it has been kept nearer to where it was raised."""
    if thread._silkmill_error is error:
        return
    thread._silkmill_error = error
    traceback = error.__traceback__
    # The first frame is the caller's. A thread that was told to end needs none of them.
    if traceback is not None and not isinstance(error, SystemExit):
        thread._silkmill_traceback = traceback.tb_next


def _kept(run: Any) -> Any:
    """Wraps a `run`, so that what it returns or raises is kept on the thread."""

    @functools.wraps(run)
    def kept(self: Thread, *args: Any, **kwargs: Any) -> Any:
        try:
            value = run(self, *args, **kwargs)
        except BaseException as error:
            _keep(self, error)
            raise
        else:
            # What was raised on the way has been dealt with.
            self._silkmill_error = self._silkmill_traceback = None
            # A `run` that returns nothing leaves what `super().run()` has kept.
            if value is not None:
                self._silkmill_value = value
            return value
        finally:
            del self

    return kept


Thread.run = _kept(Thread.run)  # type: ignore[method-assign]
