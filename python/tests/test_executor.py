"""`silkmill.ThreadPoolExecutor`: what it shares with the standard library's, and what it has beyond it."""

from __future__ import annotations

import concurrent.futures
import contextvars
import gc
import itertools
import logging
import os
import pickle
import sys
import threading
import time
import weakref
from typing import Any

import pytest

import silkmill
from silkmill import ThreadPoolExecutor


class Thing:
    """Something that can be seen to be collected."""


def until(condition: Any, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


@pytest.fixture
def gate() -> Any:
    event = threading.Event()
    yield event
    event.set()


# What it is.


def test_it_is_a_subclass_and_its_futures_are_futures() -> None:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(pow, 2, 5)
        assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
        assert isinstance(future, concurrent.futures.Future)
        assert future.result() == 32
        assert "ThreadPoolExecutor" in str(type(pool))


def test_workers_are_threads_of_python() -> None:
    local = threading.local()

    def count() -> tuple[threading.Thread, int]:
        local.count = getattr(local, "count", 0) + 1
        return threading.current_thread(), local.count

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        seen = [pool.submit(count).result() for _ in range(3)]
    thread = seen[0][0]
    assert type(thread) is threading.Thread
    assert thread.name == "mine_0"
    assert [count for _, count in seen] == [1, 2, 3], "thread-local values are kept between tasks"


def test_subclass_may_have_arguments_of_its_own() -> None:
    class Pool(ThreadPoolExecutor):
        def __init__(self, *, size: int) -> None:
            super().__init__(max_workers=size)

    with Pool(size=2) as pool:
        assert pool.submit(abs, -1).result() == 1


def test_keywords_named_like_ours_reach_the_task() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(dict, self=1, fn=2, args=3).result() == {"self": 1, "fn": 2, "args": 3}
        with pytest.raises(TypeError):
            pool.submit(fn=dict)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"initializer": 3}, TypeError),
        ({"queue_capacity": 0}, ValueError),
        ({"context": "clone"}, ValueError),
        ({"max_worker": 3}, TypeError),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ThreadPoolExecutor(**options)


def test_executors_and_futures_say_why_they_do_not_pickle() -> None:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(int)
        with pytest.raises(TypeError, match="threads of this process"):
            pickle.dumps(pool)
        with pytest.raises(TypeError, match="threads of this process"):
            pickle.dumps(future)


def test_stats_pickle() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        stats = pool.stats()
    assert pickle.loads(pickle.dumps(stats)) == stats


# Memory.


def test_nothing_of_a_task_is_kept_once_its_result_was_read() -> None:
    def work(thing: Thing) -> Thing:
        return Thing()

    with ThreadPoolExecutor(1) as pool:
        thing = Thing()
        argument = weakref.ref(thing)
        future = pool.submit(work, thing)
        del thing
        result = weakref.ref(future.result())
        assert until(lambda: argument() is None)
        del future
        assert until(lambda: result() is None)


def test_a_first_task_is_not_kept_while_its_worker_waits() -> None:
    thing = Thing()
    reference = weakref.ref(thing)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda it: None, thing)
        del thing
        assert until(lambda: reference() is None)


def test_map_keeps_no_result_it_has_yielded() -> None:
    with ThreadPoolExecutor(2) as pool:
        for thing in pool.map(lambda _: Thing(), range(10)):
            reference = weakref.ref(thing)
            del thing
            assert until(lambda reference=reference: reference() is None)


def test_an_executor_nobody_has_is_collected_and_finishes_its_tasks() -> None:
    done = []
    pool = ThreadPoolExecutor(2)
    for number in range(50):
        pool.submit(done.append, number)
    threads = list(pool._threads)
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert reference() is None
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(done) == 50


def test_a_future_in_a_circle_is_collected() -> None:
    future: Any = silkmill.Future()
    future.set_result([future])
    reference = weakref.ref(future)
    del future
    gc.collect()
    assert reference() is None


# Workers.


def test_idle_workers_are_used_before_new_ones_are_started() -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(50):
            pool.submit(int).result()
        assert len(pool._threads) == 1


def test_blocked_workers_are_joined_by_new_ones_up_to_the_limit(gate: threading.Event) -> None:
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            pool.submit(gate.wait)
        assert len(pool._threads) == 4
        assert until(lambda: pool.stats().running == 4)
        gate.set()


def test_a_burst_for_idle_workers_reaches_all_of_them() -> None:
    with ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)
        for _ in range(20):
            list(pool.map(lambda _: barrier.wait(10), range(8)))


def test_a_callback_that_raises_system_exit_does_not_cost_a_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def leave(_future: object) -> None:
        raise SystemExit

    with caplog.at_level(logging.CRITICAL), ThreadPoolExecutor(1) as pool:
        start = threading.Event()
        future = pool.submit(start.wait)
        future.add_done_callback(leave)
        start.set()
        future.result()
        assert pool.submit(pow, 2, 5).result(10) == 32
    assert "Exception in worker" in caplog.text


def test_callbacks_are_called_in_order_and_their_errors_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    order: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        start = threading.Event()
        future = pool.submit(start.wait)
        future.add_done_callback(lambda _: order.append(1))
        future.add_done_callback(lambda _: 1 / 0)
        future.add_done_callback(lambda _: order.append(2))
        start.set()
    assert order == [1, 2]
    assert "exception calling callback" in caplog.text


def test_a_task_may_raise_what_is_no_exception() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(leave).exception(), SystemExit)
        assert pool.submit(int).result(10) == 0


def test_a_traceback_begins_with_the_task() -> None:
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(lambda: 1 / 0).exception()
    assert error is not None and error.__traceback__ is not None
    assert error.__traceback__.tb_frame.f_code.co_name == "<lambda>"


def test_an_error_raised_into_an_idle_worker_does_not_cost_it() -> None:
    import ctypes

    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        (thread,) = pool._threads
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
        )
        assert raised == 1
        futures = [pool.submit(pow, 2, 5) for _ in range(10)]
        concurrent.futures.wait(futures, timeout=10)
        assert all(future.done() for future in futures)
        assert futures[-1].result() == 32


def test_a_thread_that_cannot_be_started_leaves_no_task_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = ThreadPoolExecutor(2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(int)
        assert pool._work_queue.qsize() == 0 and not pool._threads
    with pool:
        assert pool.submit(pow, 2, 5).result(10) == 32


def test_a_refused_second_thread_leaves_the_task_to_the_first(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with ThreadPoolExecutor(2) as pool:
        pool.submit(gate.wait)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            future = pool.submit(pow, 2, 5)
        gate.set()
        assert future.result(10) == 32


def test_a_failed_initializer_breaks_the_pool(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1, initializer=lambda: 1 / 0) as pool:
        with pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(int).result(10)
        with pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(int)
    assert "Exception in initializer" in caplog.text


# A bounded queue.


def test_submit_waits_while_the_queue_is_full(gate: threading.Event) -> None:
    with ThreadPoolExecutor(1, queue_capacity=2) as pool:
        pool.submit(gate.wait)
        assert until(lambda: pool.stats().running == 1)
        for _ in range(2):
            pool.submit(int)
        submitted = threading.Event()

        def submit_more() -> None:
            pool.submit(int)
            submitted.set()

        thread = threading.Thread(target=submit_more)
        thread.start()
        assert not submitted.wait(0.1)
        gate.set()
        assert submitted.wait(10)
        thread.join()


def test_the_queue_never_holds_more_than_its_capacity() -> None:
    most = 0
    with ThreadPoolExecutor(2, queue_capacity=3) as pool:

        def submit() -> None:
            nonlocal most
            for _ in range(200):
                pool.submit(time.sleep, 0)
                most = max(most, pool._work_queue.qsize())

        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most <= 3
    assert pool.stats().returned == 800


def test_tasks_of_the_pool_submit_without_waiting() -> None:
    with ThreadPoolExecutor(1, queue_capacity=1) as pool:

        def fan_out() -> list[concurrent.futures.Future[int]]:
            return [pool.submit(pow, 2, number) for number in range(10)]

        futures = pool.submit(fan_out).result(10)
        assert [future.result(10) for future in futures] == [2**number for number in range(10)]


def test_shutdown_wakes_those_who_wait_for_room(gate: threading.Event) -> None:
    pool = ThreadPoolExecutor(1, queue_capacity=1)
    pool.submit(gate.wait)
    assert until(lambda: pool.stats().running == 1)
    pool.submit(int)
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            pool.submit(int)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=submit)
    thread.start()
    time.sleep(0.05)
    pool.shutdown(wait=False)
    thread.join(10)
    assert not thread.is_alive() and len(errors) == 1
    gate.set()
    pool.shutdown()


# map.


def test_map_yields_in_order_and_submits_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(pow, range(10), range(10))) == [n**n for n in range(10)]
        done: list[int] = []
        pool.map(done.append, range(10))
    assert sorted(done) == list(range(10))


def test_map_reads_no_further_ahead_than_its_buffer() -> None:
    with ThreadPoolExecutor(2) as pool:
        source = itertools.count()
        results = pool.map(abs, source, buffersize=3)
        assert next(source) == 3
        assert [next(results) for _ in range(5)] == [0, 1, 2, 4, 5]
        assert next(source) == 9, "three ahead of the five that were read, and the two taken here"


def test_map_that_is_closed_cancels_what_has_not_begun(gate: threading.Event) -> None:
    ran: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        results: Any = pool.map(lambda n: ran.append(n) or (n > 0 and gate.wait(10)), range(10))
        next(results)
        results.close()
        gate.set()
    assert len(ran) <= 3
    assert next(results, "over") == "over"


def test_map_that_fails_or_times_out_cancels_the_rest(gate: threading.Event) -> None:
    ran: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        results = pool.map(lambda n: ran.append(n) or gate.wait(10), range(10), timeout=0.05)
        with pytest.raises(concurrent.futures.TimeoutError):
            next(results)
        assert next(results, "over") == "over"
        gate.set()
    assert ran == [0]


def test_map_passes_on_what_its_arguments_raise() -> None:
    def numbers() -> Any:
        yield 1
        raise KeyError("two")

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyError):
        pool.map(abs, numbers())


def test_map_goes_by_the_submit_of_a_subclass() -> None:
    class Pool(ThreadPoolExecutor):
        count = 0

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return super().submit(fn, *args, **kwargs)

    with Pool(2) as pool:
        assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
        assert list(pool.map(abs, range(-3, 0), buffersize=1)) == [3, 2, 1]
        assert pool.count == 6


# Shutdown.


def test_shutdown_with_a_timeout_reports_what_is_left(gate: threading.Event) -> None:
    pool = ThreadPoolExecutor(1)
    pool.submit(gate.wait)
    assert until(lambda: pool.stats().running == 1)
    pool.submit(int)
    report = pool.shutdown(timeout=0.05)
    assert (report.running, report.queued, report.cancelled) == (1, 1, 0)
    assert not report.is_complete
    report = pool.shutdown(cancel_futures=True, timeout=0)
    assert (report.running, report.queued, report.cancelled) == (1, 0, 1)
    gate.set()
    report = pool.shutdown(timeout=10)
    assert report.is_complete
    assert pool.shutdown() is None


def test_those_who_wait_hear_of_futures_that_shutdown_cancels(gate: threading.Event) -> None:
    pool = ThreadPoolExecutor(1)
    running = pool.submit(gate.wait)
    futures = [pool.submit(int) for _ in range(3)]
    pool.shutdown(wait=False, cancel_futures=True)
    for wait in (concurrent.futures.wait, silkmill.wait):
        assert len(wait(futures, timeout=10).done) == 3
    assert len(list(silkmill.as_completed(futures, timeout=10))) == 3
    gate.set()
    running.result(10)
    pool.shutdown()


def test_shutdown_from_a_worker_says_what_is_wrong() -> None:
    pool = ThreadPoolExecutor(1)
    with pytest.raises(RuntimeError, match="cannot join current thread"):
        pool.submit(pool.shutdown).result(10)


# Context, figures.


def test_tasks_see_a_copy_of_their_submitters_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    with ThreadPoolExecutor(1, context="copy") as pool, ThreadPoolExecutor(1) as plain:
        variable.set("mine")
        assert pool.submit(variable.get).result() == "mine"
        assert list(pool.map(lambda _: variable.get(), range(2))) == ["mine", "mine"]
        pool.submit(variable.set, "theirs").result()
        assert variable.get() == "mine" and pool.submit(variable.get).result() == "mine"
        assert plain.submit(variable.get).result() == "none"
        assert pool.submit(dict, fn=1, self=2).result() == {"fn": 1, "self": 2}


def test_stats_tell_waiting_from_computing() -> None:
    def compute(_: int) -> None:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            sum(range(1000))

    with ThreadPoolExecutor(2) as waiting, ThreadPoolExecutor(1) as computing:
        list(waiting.map(lambda _: time.sleep(0.02), range(20)))
        list(computing.map(compute, range(10)))
    stats = waiting.stats()
    assert stats.returned == stats.timed == 20 and stats.running_max == 2
    assert stats.waiting > 0.5 and stats.task_seconds >= 0.02 and stats.queue_seconds > 0.02
    assert computing.stats().task_cpu_seconds >= 0.01


@pytest.mark.parametrize(
    ("advice", "changes"),
    [
        ("no task has ended yet", {"timed": 0}),
        ("more workers help", {}),
        ("there are enough workers", {"running_max": 3}),
        ("there are enough workers", {"queue_seconds": 0.0001}),
        ("the tasks compute", {"task_cpu_seconds": 0.009}),
    ],
)
def test_advice_follows_from_the_figures(advice: str, changes: dict[str, Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        figures = {name: getattr(pool.stats(), name) for name in silkmill.Stats.__slots__}
    # 400 tasks of 40 ms, 1 ms of it computed, by four workers that were busy for four seconds.
    figures.update(timed=400, returned=400, running_max=4, queue_seconds=1.0, busy_seconds=4.0)
    figures.update(task_seconds=0.04, task_cpu_seconds=0.001)
    figures.update(changes)
    assert silkmill.Stats(**figures).advice().startswith(advice)


def test_stats_count_every_fate(gate: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait)
        pool.submit(lambda: 1 / 0)
        pool.submit(int).cancel()
        gate.set()
    stats = pool.stats()
    assert (stats.submitted, stats.returned, stats.raised, stats.cancelled) == (3, 1, 1, 1)
    assert (stats.queued, stats.running, stats.workers) == (0, 0, 0)


# Stress.


def test_no_task_is_lost_or_run_twice_with_many_submitters() -> None:
    ran: list[int] = []
    with ThreadPoolExecutor(8) as pool:

        def submit(base: int) -> None:
            for number in range(500):
                pool.submit(ran.append, base + number)
                if number % 50 == 0:
                    pool.submit(int).result(30)

        threads = [threading.Thread(target=submit, args=(n * 500,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ran) == list(range(4000))


def test_switching_at_every_turn_loses_nothing() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for workers in (1, 2, 8):
            with ThreadPoolExecutor(workers, queue_capacity=5) as pool:
                assert list(pool.map(abs, range(2000))) == list(range(2000))
                futures = [pool.submit(abs, n) for n in range(500)]
                assert len(list(silkmill.as_completed(futures, 60))) == 500
                assert [pool.submit(abs, n).result(60) for n in range(500)] == list(range(500))
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
def test_a_hundred_thousand_tasks_leave_no_memory_behind() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def run(count: int) -> None:
        with ThreadPoolExecutor(4, queue_capacity=100) as pool:
            for _ in pool.map(lambda n: bytes(1000), range(count), buffersize=50):
                pass
            for _ in range(count // 100):
                concurrent.futures.wait([pool.submit(divmod, 1, 0) for _ in range(10)])
                silkmill.wait([pool.submit(bytes, 1000) for _ in range(10)])
                pool.submit(int).add_done_callback(lambda _: None)

    run(20_000)
    gc.collect()
    before = resident()
    for _ in range(5):
        run(20_000)
    gc.collect()
    assert resident() - before < 8 << 20
