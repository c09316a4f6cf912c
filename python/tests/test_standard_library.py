"""CPython's own tests pass on silkmill's classes: those of executors and futures from 3.13, 3.14 and 3.15, those of threads and
of asyncio of the version that runs this."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import standard

# They take their time, and machines may be slow.
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.environ.get("SILKMILL_LONG") != "1", reason="SILKMILL_LONG=1 runs CPython's own tests"
    ),
]

#: The classes that are about thread pools, and how many tests they have in each version.
CLASSES = [
    "test_future.FutureTests",
    "test_thread_pool.ThreadPoolExecutorTest",
    "test_shutdown.ThreadPoolShutdownTest",
    "test_wait.ThreadPoolWaitTests",
    "test_as_completed.ThreadPoolAsCompletedTest",
    "test_init.ThreadPoolInitializerTest",
    "test_init.ThreadPoolFailingInitializerTest",
]
COUNTS = {"3.13": 65, "3.14": 76, "3.15": 77}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standard.environment(tmp_path_factory.mktemp("standard") / "venv")


@pytest.mark.parametrize("version", COUNTS)
def test_executors_pass_the_tests_of(version: str, python: Path) -> None:
    try:
        tests = standard.tests_of(version)
    except standard.Missing as missing:
        skip_or_fail(str(missing))
    names = [f"test.test_concurrent_futures.{name}" for name in CLASSES]
    ran, _log = standard.run(python, "futures", names, tests)
    assert ran >= COUNTS[version]


def test_asyncio_passes_its_tests_with_ours_as_default_executor(python: Path) -> None:
    names = ["test_threads", "test_events", "test_futures", "test_base_events", "test_tasks"]
    require("test.test_asyncio.test_events")
    ran, _log = standard.run(
        python, "futures", [f"test.test_asyncio.{name}" for name in names]
    )
    assert ran > 500


def test_threads_pass_the_tests_of_this_version(python: Path) -> None:
    require("test.test_threading")
    classes = [
        "ThreadTests",
        "ThreadJoinOnShutdown",
        "ThreadingExceptionTests",
        "ExceptHookTests",
        "TimerTests",
        "AtexitTests",
    ]
    names = standard.without(python, "test.test_threading", classes, INTERNALS)
    ran, _log = standard.run(python, "threading", names)
    assert ran > 40


def require(module: str) -> None:
    import importlib.util

    if importlib.util.find_spec(module) is None:
        skip_or_fail(f"this Python was installed without {module}")


def skip_or_fail(why: str) -> None:
    if os.environ.get("SILKMILL_REQUIRE") == "1":
        pytest.fail(why)
    pytest.skip(why)


#: They look into the standard library's class itself, or ask for an interpreter that has not imported it.
INTERNALS = {
    "test_import_from_another_thread",
    "test_limbo_cleanup",
    "test_shutdown_locks",
    "test_tstate_lock",
}
