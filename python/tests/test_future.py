"""`silkmill.Future`, `wait` and `as_completed`: the fast ways and the standard library's ways see the same."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import weakref
from typing import Any

import pytest

import silkmill
from silkmill import Future, ThreadPoolExecutor


def later(seconds: float, function: Any, *args: Any) -> threading.Thread:
    timer = threading.Timer(seconds, function, args)
    timer.start()
    return timer


def test_a_future_makes_no_condition_until_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    condition = threading.Condition
    monkeypatch.setattr(threading, "Condition", lambda: made.append(1) or condition())
    future: Future[int] = Future()
    future.set_result(3)
    assert future.result() == 3 and not made
    assert future._condition is future._condition and len(made) == 1


def test_a_waiter_that_slept_before_the_condition_was_made_is_woken() -> None:
    future: Future[int] = Future()

    def touch_and_finish() -> None:
        with future._condition:
            future._state = "FINISHED"
            future._result = 5
            future._condition.notify_all()

    timer = later(0.05, touch_and_finish)
    assert future.result(10) == 5
    timer.join()


def test_the_standard_librarys_functions_wait_for_ours_and_theirs_together() -> None:
    ours: Future[int] = Future()
    theirs: concurrent.futures.Future[int] = concurrent.futures.Future()
    timers = [later(0.02, ours.set_result, 1), later(0.04, theirs.set_result, 2)]
    assert [f.result() for f in concurrent.futures.as_completed([ours, theirs], 10)] == [1, 2]
    assert silkmill.wait([ours, theirs], 10).not_done == set()
    assert {f.result() for f in silkmill.as_completed([ours, theirs], 10)} == {1, 2}
    for timer in timers:
        timer.join()


@pytest.mark.parametrize("module", [silkmill, concurrent.futures])
def test_wait_answers_alike(module: Any) -> None:
    done: Future[int] = Future()
    done.set_result(1)
    failed: Future[int] = Future()
    failed.set_exception(KeyError())
    cancelled: Future[int] = Future()
    cancelled.cancel()
    open_: Future[int] = Future()
    everything = [done, failed, cancelled, open_, open_]
    assert module.wait(everything, 0).not_done == {cancelled, open_}
    assert module.wait(everything, 10, silkmill.FIRST_COMPLETED).done == {done, failed}
    assert module.wait(everything, 10, silkmill.FIRST_EXCEPTION).done == {done, failed}
    assert module.wait([done], 10, silkmill.FIRST_EXCEPTION).done == {done}
    assert module.wait([], 10).done == set()
    with pytest.raises(ValueError, match="Invalid return condition"):
        module.wait([open_], 0, "SOME")


@pytest.mark.parametrize("until", [silkmill.FIRST_COMPLETED, silkmill.FIRST_EXCEPTION])
def test_wait_ends_with_the_first(until: str) -> None:
    futures: list[Future[int]] = [Future() for _ in range(3)]
    if until == silkmill.FIRST_EXCEPTION:
        timer = later(0.05, futures[1].set_exception, KeyError())
    else:
        timer = later(0.05, futures[1].set_result, 1)
    assert silkmill.wait(futures, 10, until).done == {futures[1]}
    timer.join()


def test_as_completed_yields_each_once_in_order_and_forgets_it() -> None:
    futures: list[Future[int]] = [Future() for _ in range(3)]
    iterator = silkmill.as_completed([*futures, futures[0]], timeout=10)
    timers = [later(0.02 * n, futures[n].set_result, n) for n in range(3)]
    for number in range(3):
        future = next(iterator)
        assert future.result() == number
        reference = weakref.ref(future)
        futures[number] = None  # type: ignore[call-overload]
        timers[number].join()
        timers[number].args = ()  # type: ignore[attr-defined]
        timers[number].function = None  # type: ignore[attr-defined]
        del future
        assert reference() is None
    assert next(iterator, None) is None


def test_as_completed_times_out_with_the_numbers() -> None:
    done: Future[int] = Future()
    done.set_result(1)
    iterator = silkmill.as_completed([done, Future()], timeout=0.01)
    assert next(iterator) is done
    with pytest.raises(concurrent.futures.TimeoutError, match="1 \\(of 2\\) futures unfinished"):
        next(iterator)


def test_a_dropped_as_completed_leaves_nothing_in_its_futures() -> None:
    future: Future[int] = Future()
    iterator = silkmill.as_completed([future])
    reference = weakref.ref(iterator)
    del iterator
    assert reference() is None
    future.set_result(1)


def test_falsy_exceptions_are_raised() -> None:
    class Falsy(Exception):
        def __bool__(self) -> bool:
            return False

    for touch in (False, True):
        future: Future[int] = Future()
        if touch:
            assert future._condition
        future.set_exception(Falsy())
        with pytest.raises(Falsy):
            future.result()


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
def test_a_result_that_does_not_come_times_out(timeout: float) -> None:
    future: Future[int] = Future()
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout)


def test_odd_timeouts_are_answered_as_by_a_lock() -> None:
    future: Future[int] = Future()
    with pytest.raises(ValueError):
        future.result(float("nan"))
    with pytest.raises(TypeError):
        future.result("soon")  # type: ignore[arg-type]
    future.set_result(1)
    assert future.result(float("inf")) == 1


def test_many_threads_wait_for_one_future() -> None:
    future: Future[int] = Future()
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(future.result(10))) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    future.set_result(7)
    for thread in threads:
        thread.join()
    assert got == [7] * 20


def test_other_threads_run_while_one_waits_for_a_result() -> None:
    ticks = 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not stop.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 0.3).result()
    stop.set()
    thread.join()
    assert ticks > 20


def test_asyncio_takes_our_futures_and_our_executor() -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(2)
        loop.set_default_executor(pool)
        wrapped = await asyncio.wrap_future(pool.submit(pow, 2, 5))
        run = await loop.run_in_executor(None, pow, 2, 6)
        standard = await asyncio.to_thread(pow, 2, 7)
        ours = await silkmill.to_thread(pow, 2, 8)
        return [wrapped, run, standard, ours]

    assert asyncio.run(main()) == [32, 64, 128, 256]


def test_to_thread_carries_errors_context_and_cancellation() -> None:
    import contextvars

    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def stop() -> None:
        raise StopIteration

    async def main() -> None:
        variable.set(5)
        assert await silkmill.to_thread(variable.get) == 5
        assert await silkmill.to_thread(dict, func=1, args=2) == {"func": 1, "args": 2}
        with pytest.raises(ZeroDivisionError):
            await silkmill.to_thread(divmod, 1, 0)
        with pytest.raises(RuntimeError):
            await silkmill.to_thread(stop)
        gate = threading.Event()
        task = asyncio.create_task(silkmill.to_thread(gate.wait))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        results = await asyncio.gather(*(silkmill.to_thread(abs, -n) for n in range(100)))
        assert results == list(range(100))

    asyncio.run(main())
