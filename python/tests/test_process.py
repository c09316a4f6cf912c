"""Signals, forks, and every way in which an interpreter can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

import silkmill

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a Unix")

#: The end of a process is told to be too late by this, in seconds. It is for hangs, and no measure of speed.
LATE = 60


def run(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    path = os.path.dirname(os.path.dirname(silkmill.__file__))
    code = "import sys; sys.path.insert(0, %r)\n" % path + textwrap.dedent(code)
    options.setdefault("timeout", LATE)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )


# Exit.


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise KeyError(1)", 1),
        ("pool.shutdown(wait=False)", 0),
        ("del pool", 0),
        ("threading.main_thread()", 0),
    ],
)
def test_pending_work_is_finished_at_exit(end: str, code: int) -> None:
    done = run(
        f"""
        import os, silkmill, threading, time
        def work(n):
            time.sleep(0.01)
            os.write(1, b"%d " % n)
        pool = silkmill.ThreadPoolExecutor(2)
        for n in range(10): pool.submit(work, n)
        {end}
        """
    )
    assert done.returncode == code
    assert sorted(map(int, done.stdout.split())) == list(range(10))


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise KeyError(1)", "pool.shutdown(wait=False)"])
@pytest.mark.parametrize("task", ["time.sleep(1000)", "while True: time.sleep(0.001)", "while True: pass"])
def test_daemon_workers_are_not_waited_for(end: str, task: str) -> None:
    done = run(
        f"""
        import silkmill, time
        def work():
            {task}
        pool = silkmill.ThreadPoolExecutor(3, daemon=True)
        for _ in range(3): pool.submit(work)
        time.sleep(0.05)
        {end}
        """
    )
    assert done.returncode == {"sys.exit(3)": 3, "raise KeyError(1)": 1}.get(end, 0), done.stderr
    assert "FATAL" not in done.stderr and "Fatal" not in done.stderr


def test_idle_pools_do_not_hold_up_the_end() -> None:
    for options in ("", "daemon=True"):
        done = run(
            f"""
            import silkmill
            pool = silkmill.ThreadPoolExecutor(4, {options})
            print(list(pool.map(abs, range(-3, 0))))
            """
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "[3, 2, 1]\n", "")


def test_no_task_is_taken_once_the_interpreter_ends() -> None:
    done = run(
        """
        import atexit, silkmill
        pool = silkmill.ThreadPoolExecutor(1)
        def late():
            try: pool.submit(int)
            except RuntimeError as error: print(error)
        atexit.register(late)
        pool.submit(int).result()
        """
    )
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_imported_when_the_interpreter_ends_takes_no_task() -> None:
    done = run(
        """
        import atexit, concurrent.futures.thread
        def late():
            import silkmill
            try: silkmill.ThreadPoolExecutor(1).submit(int)
            except RuntimeError as error: print(error)
        atexit.register(late)
        """
    )
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n"


def test_many_processes_end_in_the_middle_of_a_run() -> None:
    """By return, by `sys.exit`, by an exception, and with a thread that still submits."""
    ends = ["", "sys.exit(0)", "raise SystemExit", "os.kill(os.getpid(), signal.SIGINT)"]
    submit = """
        def submit():
            try:
                while True: pool.submit(abs, 1)
            except RuntimeError: pass
        threading.Thread(target=submit, daemon=DAEMON).start()
    """
    many = "200" if os.environ.get("SILKMILL_LONG") == "1" else "24"
    for number in range(int(os.environ.get("SILKMILL_ENDS", many))):
        end = ends[number % 4]
        busy = submit.replace("DAEMON", str(number % 3 == 0)) if number % 2 else ""
        code = (
            "import os, signal, threading, time, silkmill\n"
            f"pool = silkmill.ThreadPoolExecutor(4, queue_capacity=100, daemon={number % 5 == 0})\n"
            "for _ in range(20): pool.submit(time.sleep, 0.002)\n"
            + textwrap.dedent(busy)
            + f"time.sleep({number % 7} / 1000)\n"
            + end
        )
        done = run(code)
        expected = (-signal.SIGINT, 1, 130) if end.startswith("os.kill") else (0,)
        assert done.returncode in expected, (number, done.returncode, done.stderr)
        assert "Fatal" not in done.stderr and "FATAL" not in done.stderr, done.stderr


# ^C and other signals.

WAITS = {
    "result": "pool.submit(time.sleep, 5).result()",
    "exception": "pool.submit(time.sleep, 5).exception()",
    "result with a timeout": "pool.submit(time.sleep, 5).result(4)",
    "wait": "silkmill.wait([pool.submit(time.sleep, 5)])",
    "as_completed": "next(silkmill.as_completed([pool.submit(time.sleep, 5)]))",
    "map": "next(pool.map(time.sleep, [5]))",
    "submit to a full queue": "[pool.submit(time.sleep, 5) for _ in range(5)]",
    "shutdown": "pool.submit(time.sleep, 5); pool.shutdown()",
    "get": "pool._work_queue.get()",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_interrupts_end_every_wait(wait: str) -> None:
    done = run(
        f"""
        import os, signal, threading, time, silkmill
        pool = silkmill.ThreadPoolExecutor(1, queue_capacity=1, daemon=True)
        sent = None
        def interrupt():
            global sent
            sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.3, interrupt).start()
        try:
            {wait}
        except KeyboardInterrupt:
            print(time.monotonic() - sent)
        os._exit(0)
        """
    )
    assert done.stdout, done.stderr
    # A tenth of a second is the longest time between two looks. The rest is the machine's.
    assert float(done.stdout) < 1.0


def test_a_wait_goes_on_after_a_handler_with_the_time_that_is_left() -> None:
    future: silkmill.Future[int] = silkmill.Future()
    ran: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: ran.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        start = time.monotonic()
        with pytest.raises(silkmill.future.concurrent.futures.TimeoutError):
            future.result(0.4)
        assert ran == [1] and time.monotonic() - start >= 0.39
    finally:
        signal.signal(signal.SIGALRM, before)


def test_handlers_may_submit_and_shut_down() -> None:
    done = run(
        """
        import signal, time, silkmill
        pool = silkmill.ThreadPoolExecutor(8)
        futures = []
        def handler(*_):
            if len(futures) < 3000: futures.append(pool.submit(abs, -1))
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        end = time.monotonic() + 1
        count = 0
        while time.monotonic() < end:
            pools = silkmill.ThreadPoolExecutor(2)
            pools.submit(abs, -1).result()
            assert list(pool.map(abs, range(20))) == list(range(20))
            count += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert all(future.result() == 1 for future in futures) and futures and count
        signal.signal(signal.SIGALRM, lambda *_: pool.shutdown(wait=False))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0)
        try:
            while True: pool.submit(abs, 1)
        except RuntimeError as error:
            print(error)
        """
    )
    assert done.stdout == "cannot schedule new futures after shutdown\n", done.stderr


# Fork.


def in_child(function: Any) -> int:
    """Runs it in a forked child. Returns the exit code, or fails when the child hangs."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(code)
    end = time.monotonic() + LATE
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


def test_a_child_is_refused_by_old_executors_and_served_by_new_ones() -> None:
    gate = silkmill.future.concurrent.futures.Future()  # type: ignore[var-annotated]
    with silkmill.ThreadPoolExecutor(2) as pool:
        ended = pool.submit(pow, 2, 5)
        ended.result()
        running = pool.submit(gate.result)

        def child() -> None:
            assert ended.result() == 32
            with pytest.raises(RuntimeError, match="make a new executor"):
                pool.submit(int)
            with pytest.raises(RuntimeError, match="parent"):
                running.result()
            pool.shutdown()
            with silkmill.ThreadPoolExecutor(2) as new:
                assert new.submit(pow, 2, 6).result() == 64
                assert list(new.map(abs, range(-2, 0))) == [2, 1]

        try:
            for _ in range(5):
                assert in_child(child) == 0
        finally:
            gate.set_result(None)


def test_forking_from_a_busy_pool_never_hangs_the_child() -> None:
    with silkmill.ThreadPoolExecutor(4) as pool:
        stop = False

        def churn() -> None:
            while not stop:
                pool.submit(int).result()

        churns = [silkmill.Thread(target=churn) for _ in range(3)]
        for thread in churns:
            thread.start()

        def child() -> None:
            with silkmill.ThreadPoolExecutor(2) as new:
                assert list(new.map(abs, range(50))) == list(range(50))

        try:
            assert [in_child(child) for _ in range(20)] == [0] * 20
        finally:
            stop = True
            for thread in churns:
                thread.join()


def test_threads_that_fork_at_the_same_time_do_not_wait_for_each_other_for_ever() -> None:
    done = run(
        """
        import os, threading, warnings, silkmill
        warnings.simplefilter("ignore")
        sys.setswitchinterval(1e-6)
        over = threading.Event()

        def fork():
            for _ in range(12):
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)

        def work():
            while not over.is_set():
                list(silkmill.fetch(["http://127.0.0.1:1/"] * 3, retries=0))
                with silkmill.ThreadPoolExecutor(4) as pool:
                    list(pool.map(abs, range(20)))

        worker = threading.Thread(target=work)
        forks = [threading.Thread(target=fork) for _ in range(6)]
        for thread in [worker, *forks]:
            thread.start()
        for thread in forks:
            thread.join()
        over.set()
        worker.join()
        print("over")
        """
    )
    assert (done.stdout, done.returncode) == ("over\n", 0), done.stderr


def test_a_child_of_a_worker_ends_as_it_should_and_runs_nothing_of_its_parent() -> None:
    done = run(
        """
        import os, sys, time, warnings, silkmill
        warnings.simplefilter("ignore")
        def fork():
            time.sleep(0.05)
            child = os.fork()
            if child == 0: return "child"
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        pool = silkmill.ThreadPoolExecutor(1)
        first = pool.submit(fork)
        others = [pool.submit(os.getpid) for _ in range(5)]
        print(first.result(), {f.result() for f in others} == {os.getpid()}, flush=True)
        """
    )
    assert done.stdout == "0 True\n", done


def test_multiprocessing_forks_work_from_a_pool() -> None:
    done = run(
        """
        import multiprocessing, warnings, silkmill
        warnings.simplefilter("ignore")
        context = multiprocessing.get_context("fork")
        def child():
            with silkmill.ThreadPoolExecutor(2) as pool:
                assert pool.submit(pow, 2, 5).result() == 32
        def fork():
            process = context.Process(target=child)
            process.start()
            process.join()
            return process.exitcode
        with silkmill.ThreadPoolExecutor(2) as pool:
            print([pool.submit(fork).result() for _ in range(5)])
        """
    )
    assert done.stdout == "[0, 0, 0, 0, 0]\n", done


# Importing.


def test_importing_starts_nothing_and_handles_no_signal() -> None:
    done = run(
        """
        import signal, threading
        before = [signal.getsignal(number) for number in signal.valid_signals()]
        import os, silkmill
        print(threading.active_count(), len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
        print(before == [signal.getsignal(number) for number in signal.valid_signals()])
        slow = {"asyncio", "dataclasses", "inspect", "typing", "multiprocessing", "socket"} & set(sys.modules)
        print(sorted(slow))
        """
    )
    assert done.stdout == "1 1\nTrue\n[]\n", done
