"""Blocking calls from asyncio, without blocking the loop."""

from __future__ import annotations

import contextvars
import os

from silkmill.executor import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from asyncio import Future as AsyncioFuture
    from collections.abc import Callable
    from typing import Any, ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

#: The executor of `to_thread`, and the process it belongs to. Made at the first call.
_executor: tuple[int, ThreadPoolExecutor] | None = None


async def to_thread(func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Runs ``func(*args, **kwargs)`` on a thread and returns its result, as :func:`asyncio.to_thread` does.

    The call sees a copy of the caller's :mod:`contextvars` context. Cancelling it cancels a call that has not begun.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    future: AsyncioFuture[_T] = loop.create_future()
    context = contextvars.copy_context()
    call = _pool().submit(_run, loop, future, context, func, args, kwargs)
    try:
        return await future
    except asyncio.CancelledError:
        call.cancel()
        raise
    finally:
        del call, future


def _pool() -> ThreadPoolExecutor:
    global _executor
    process = os.getpid()
    executor = _executor
    if executor is None or executor[0] != process:
        executor = _executor = (process, ThreadPoolExecutor(thread_name_prefix="silkmill"))
    return executor[1]


def _run(
    loop: AbstractEventLoop,
    future: AsyncioFuture[Any],
    context: contextvars.Context,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    value: Any = None
    error: BaseException | None = None
    try:
        value = context.run(func, *args, **kwargs)
    except BaseException as raised:
        error = raised
        if isinstance(error, StopIteration):
            # A future cannot raise it: it would end a generator.
            error = RuntimeError("the function raised StopIteration")
            error.__cause__ = raised
    try:
        loop.call_soon_threadsafe(_finish, future, value, error)
    except RuntimeError:
        # The loop was closed, and nobody waits any more.
        if not loop.is_closed():
            raise
    finally:
        del error


def _finish(future: AsyncioFuture[Any], value: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
