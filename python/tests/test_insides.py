"""Code that knows the standard library's executor from within finds what it looks for: patches, hooks, queues and tables."""

from __future__ import annotations

import concurrent.futures
import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures import thread as standard
from typing import Any

import pytest

import silkmill
from silkmill import ThreadPoolExecutor


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A patch of `submit` as tracing libraries make it: it wraps the function, and calls the original."""
    seen: list[Any] = []
    original = concurrent.futures.ThreadPoolExecutor.submit

    def submit(self: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        def wrapped(*inner: Any, **options: Any) -> Any:
            seen.append(("run", fn))
            return fn(*inner, **options)

        seen.append(("submit", fn))
        return original(self, wrapped, *args, **kwargs)

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", submit)
    return seen


def test_a_patch_of_the_standard_submit_sees_every_task(traced: list[Any]) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(pow, 2, 5).result(10) == 32
        assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
        assert list(pool.map(abs, range(-3, 0), buffersize=1)) == [3, 2, 1]
        failing = pool.submit(divmod, 1, 0)
        assert isinstance(failing.exception(10), ZeroDivisionError)
    assert len(traced) == 2 * 8
    assert len(pool._threads) <= 2


def test_a_patch_made_later_or_undone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = concurrent.futures.ThreadPoolExecutor.submit
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        seen: list[Any] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                concurrent.futures.ThreadPoolExecutor,
                "submit",
                lambda self, fn, *args, **kw: seen.append(fn) or original(self, fn, *args, **kw),
            )
            pool.submit(abs, -1).result(10)
        pool.submit(int).result(10)
    assert seen == [abs]


def test_bound_context_and_shutdown_hold_with_a_patch(traced: list[Any]) -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1, queue_capacity=1, context="copy") as pool:
        pool.submit(gate.wait)
        time.sleep(0.05)
        pool.submit(int)
        thread = threading.Thread(target=pool.submit, args=(int,))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        gate.set()
        thread.join(10)
        assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)


def test_sentry_carries_its_scope_into_our_tasks() -> None:
    """With the library itself, where it is installed. It is not undone, so it gets a process of its own."""
    pytest.importorskip("sentry_sdk")
    said = in_a_process(
        """
        import sentry_sdk, silkmill
        from sentry_sdk.integrations.threading import ThreadingIntegration
        sentry_sdk.init(integrations=[ThreadingIntegration(propagate_scope=True)])
        with sentry_sdk.isolation_scope() as scope, silkmill.ThreadPoolExecutor(2) as pool:
            scope.set_tag("mine", "yes")
            read = lambda _=None: sentry_sdk.get_isolation_scope()._tags.get("mine")
            print(pool.submit(read).result(), list(pool.map(read, range(2))))
            thread = silkmill.Thread(target=read)
            thread.start()
            thread.join()
            print(thread.result)
        """
    )
    assert said == "yes ['yes', 'yes']\nyes\n"


@pytest.mark.parametrize("first", ["silkmill", "opentelemetry"])
def test_opentelemetry_carries_its_context_into_our_tasks(first: str) -> None:
    pytest.importorskip("opentelemetry.instrumentation.threading")
    imports = ["import silkmill", "from opentelemetry import context, trace"]
    imports.append("from opentelemetry.instrumentation.threading import ThreadingInstrumentor")
    imports.append("ThreadingInstrumentor().instrument()")
    if first == "opentelemetry":
        imports.append(imports.pop(0))
    said = in_a_process(
        "\n".join(imports)
        + """
token = context.attach(context.set_value("mine", "yes"))
read = lambda _=None: context.get_value("mine")
with silkmill.ThreadPoolExecutor(2) as pool:
    print(pool.submit(read).result(), list(pool.map(read, range(2))))
thread = silkmill.Thread(target=read)
thread.start()
thread.join()
print(thread.result)
"""
    )
    assert said == "yes ['yes', 'yes']\nyes\n"


def test_under_gevent_it_is_the_standard_executor() -> None:
    pytest.importorskip("gevent")
    said = in_a_process(
        """
        from gevent import monkey
        monkey.patch_all()
        import threading, time, silkmill
        ticks = []
        def tick():
            while len(ticks) < 1000:
                ticks.append(1)
                time.sleep(0.001)
        threading.Thread(target=tick, daemon=True).start()
        with silkmill.ThreadPoolExecutor(2, queue_capacity=1) as pool:
            print(pool.submit(time.sleep, 0.2).result(), list(pool.map(abs, range(-3, 0))))
        print(len(ticks) > 5)
        """
    )
    assert said == "None [3, 2, 1]\nTrue\n"


def in_a_process(code: str) -> str:
    path = os.path.dirname(os.path.dirname(silkmill.__file__))
    code = f"import sys; sys.path.insert(0, {path!r})\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pool_that_copies_the_standard_way_to_start_workers_works() -> None:
    """The most common use of the insides: a pool of daemon threads, whose method is the standard library's with one word more."""
    made: list[threading.Thread] = []

    class DaemonPool(ThreadPoolExecutor):
        def _adjust_thread_count(self) -> None:
            if self._idle_semaphore.acquire(timeout=0):
                return

            def wake(_: Any, q: Any = self._work_queue) -> None:
                q.put(None)

            if len(self._threads) < self._max_workers:
                args: tuple[Any, ...] = (weakref.ref(self, wake), self._work_queue)
                if hasattr(self, "_create_worker_context"):
                    args = (args[0], self._create_worker_context(), args[1])
                else:
                    args = (*args, self._initializer, self._initargs)
                thread = threading.Thread(target=standard._worker, args=args, daemon=True)
                thread.start()
                made.append(thread)
                self._threads.add(thread)

    pool = DaemonPool(3)
    assert sorted(pool.map(abs, range(100))) == list(range(100))
    assert pool.submit(pow, 2, 5).result(10) == 32
    assert isinstance(pool.submit(divmod, 1, 0).exception(10), ZeroDivisionError)
    gate = threading.Event()
    blocked = [pool.submit(gate.wait) for _ in range(5)]
    time.sleep(0.05)
    assert len(made) == 3
    gate.set()
    concurrent.futures.wait(blocked, 10)
    pool.shutdown()
    assert not any(thread.is_alive() for thread in made)

    pool = DaemonPool(2)
    assert pool.submit(int).result(10) == 0
    thread = made[-1]
    del pool
    thread.join(10)
    assert not thread.is_alive(), "a collected pool lets its workers go"


def test_a_hook_that_calls_ours_is_called_after_each_submit() -> None:
    class Pool(ThreadPoolExecutor):
        calls = 0

        def _adjust_thread_count(self) -> None:
            self.calls += 1
            super()._adjust_thread_count()

    with Pool(2) as pool:
        assert [pool.submit(abs, -n).result(10) for n in range(10)] == list(range(10))
        assert pool.calls == 10 and 1 <= len(pool._threads) <= 2


def test_a_queue_of_ones_own_makes_it_the_standard_executor() -> None:
    with ThreadPoolExecutor(2) as pool:
        pool._work_queue = queue.Queue(maxsize=3)
        assert list(pool.map(abs, range(50))) == list(range(50))
        assert pool.submit(pow, 2, 5).result(10) == 32
        assert len(pool._threads) <= 2
        assert pool._work_queue.maxsize == 3


def test_the_queue_can_be_read_drained_and_fed() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait)
        while pool._work_queue.qsize():
            time.sleep(0.001)
        assert pool._work_queue.empty() and pool._idle_semaphore._value == 0
        futures = [pool.submit(pow, 2, n) for n in range(3)]
        assert pool._work_queue.qsize() == 3
        item = pool._work_queue.get_nowait()
        assert item.future is futures[0] and (item.fn, item.args) == (pow, (2, 0))
        item.run()
        assert futures[0].result(0) == 1
        drained = pool._work_queue.get(timeout=1)
        pool._work_queue.put(drained)
        pool._work_queue.put(None)
        gate.set()
        assert [future.result(10) for future in futures] == [1, 2, 4]
        time.sleep(0.01)
        with pytest.raises(queue.Empty):
            pool._work_queue.get_nowait()
        with pytest.raises(queue.Empty):
            pool._work_queue.get(timeout=0.01)
        assert pool.submit(pow, 2, 5).result(10) == 32


def test_threads_are_in_the_tables_that_exit_hacks_clear() -> None:
    pool = ThreadPoolExecutor(2)
    pool.submit(int).result()
    (thread,) = pool._threads
    assert standard._threads_queues[thread] is pool._work_queue
    assert thread._args[1] is pool._work_queue  # type: ignore[attr-defined]
    standard._threads_queues.pop(thread)
    pool._threads.clear()
    pool.shutdown()
    thread.join(10)
    assert not thread.is_alive()
    with ThreadPoolExecutor(1, daemon=True) as pool:
        pool.submit(int).result()
        (thread,) = pool._threads
        assert thread.daemon and thread not in standard._threads_queues


def test_attributes_have_the_standard_names() -> None:
    def start(_: int) -> None:
        pass

    with ThreadPoolExecutor(3, "name", start, (1,)) as pool:
        assert pool._max_workers == 3 and pool._broken is False and pool._shutdown is False
        assert (pool._initializer, pool._initargs) == (start, (1,))
        assert pool._thread_name_prefix == "name"
        with pool._shutdown_lock:
            pass
        pool._max_workers = 1
        gate = threading.Event()
        for _ in range(3):
            pool.submit(gate.wait)
        assert len(pool._threads) == 1
        gate.set()
    assert pool._shutdown is True
