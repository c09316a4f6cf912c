"""`silkmill.Thread`: a `threading.Thread` with a result."""

from __future__ import annotations

import _thread
import gc
import threading
import time
import weakref
from typing import Any

import pytest

from silkmill import Thread


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    calls: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", calls.append)
    return calls


def test_the_result_is_none_before_the_end_and_the_targets_after() -> None:
    gate = threading.Event()

    def square(n: int, *, plus: int) -> int:
        gate.wait()
        return n * n + plus

    thread = Thread(target=square, args=(5,), kwargs={"plus": 1}, name="square")
    assert isinstance(thread, threading.Thread) and thread.result is None
    thread.start()
    assert thread.result is None and thread.exception is None
    thread.join(0.01)
    assert thread.is_alive()
    gate.set()
    thread.join()
    assert thread.result == 26 and thread.exception is None and thread.name == "square"


def test_the_result_raises_what_the_target_raised_each_time(heard: list[Any]) -> None:
    def fail() -> None:
        raise KeyError("no")

    thread = Thread(target=fail)
    thread.start()
    thread.join()
    lengths = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            _ = thread.result
        lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1, "the traceback does not grow"
    assert thread.exception is caught.value
    assert [(call.exc_type, call.thread) for call in heard] == [(KeyError, thread)]


def test_an_exit_is_kept_and_told_nobody(heard: list[Any], capfd: Any) -> None:
    def leave() -> None:
        raise SystemExit(3)

    thread = Thread(target=leave)
    thread.start()
    thread.join()
    with pytest.raises(SystemExit):
        _ = thread.result
    assert isinstance(thread.exception, SystemExit)


def test_a_subclass_returns_its_result_from_run(heard: list[Any]) -> None:
    class Square(Thread):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

        def run(self) -> int:
            if self.n < 0:
                raise ValueError(self.n)
            return self.n**2

    threads = [Square(n) for n in (3, 4, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [thread.result for thread in threads[:2]] == [9, 16]
    assert isinstance(threads[2].exception, ValueError) and len(heard) == 1


def test_a_subclass_that_adds_to_run_keeps_the_targets_result() -> None:
    class Timed(Thread):
        def run(self) -> None:
            start = time.monotonic()
            super().run()
            self.took = time.monotonic() - start

    thread = Timed(target=pow, args=(2, 5))
    thread.start()
    thread.join()
    assert thread.result == 32 and thread.took >= 0


def test_an_error_that_run_deals_with_is_none(heard: list[Any]) -> None:
    class Careful(Thread):
        def run(self) -> Any:
            try:
                return super().run()
            except ZeroDivisionError:
                return "dealt with"

    thread = Careful(target=divmod, args=(1, 0))
    thread.start()
    thread.join()
    assert thread.result == "dealt with" and thread.exception is None and not heard


def test_tracers_that_swap_run_see_the_call_and_the_result_stays(heard: list[Any]) -> None:
    thread = Thread(target=pow, args=(2, 5))
    seen = []
    run = thread.run.__func__  # type: ignore[attr-defined]

    def traced(*args: Any, **kwargs: Any) -> Any:
        seen.append(threading.current_thread())
        return run(thread, *args, **kwargs)

    thread.run = traced  # type: ignore[method-assign]
    thread.start()
    thread.join()
    assert thread.result == 32 and seen == [thread]
    assert "start" not in Thread.__dict__


def test_rules_of_threads_hold() -> None:
    thread = Thread(target=int, daemon=True)
    assert thread.daemon
    with pytest.raises(RuntimeError):
        thread.join()
    thread.start()
    thread.join(-1)
    thread.join()
    with pytest.raises(RuntimeError):
        thread.start()
    assert thread.result == 0


class Thing:
    pass


def test_a_thread_keeps_nothing_but_its_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    # Hooks of others may keep what they are given, as pytest's does.
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    for fails in (False, True):
        thing = Thing()
        reference = weakref.ref(thing)

        def work(it: Thing, fails: bool = fails) -> None:
            del it
            if fails:
                raise SystemExit

        thread = Thread(target=work, args=(thing,))
        thread.start()
        thread.join()
        del thing
        gc.collect()
        assert reference() is None
        watched = weakref.ref(thread)
        gc.disable()
        try:
            del thread
            assert watched() is None, "no circle leads back to the thread"
        finally:
            gc.enable()


def test_threads_of_older_classes_work_where_ours_stands_in_the_standards_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(threading.Thread):
        def __init__(self) -> None:
            threading.Thread.__init__(self, target=lambda: seen.append(threading.current_thread()))

        def run(self) -> None:
            threading.Thread.run(self)

    def foreign() -> None:
        try:
            seen.append(threading.current_thread())
        finally:
            ended.set()

    seen: list[threading.Thread] = []
    ended = threading.Event()
    monkeypatch.setattr(threading, "Thread", Thread)

    old = Old()
    old.start()
    old.join()
    _thread.start_new_thread(foreign, ())

    assert ended.wait(10)
    assert seen[0] is old and seen[1].name.startswith("Dummy-"), seen
