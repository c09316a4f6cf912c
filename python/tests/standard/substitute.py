"""Puts silkmill's classes in the place of the standard library's, and gives old test support what new tests ask of it.

Loaded at the start of every interpreter of the test environment, also of those that tests start with ``-I``.
"""

import os
import sys


def substitute() -> None:
    which = os.environ.get("SILKMILL_SUBSTITUTE", "")
    if not which:
        return
    _patch_silkmill(which.split(","))
    folder = os.environ.get("SILKMILL_STANDARD_TESTS")
    if folder:
        import test

        _shim_support()
        # New tests first, so that an older copy of the same file is not taken. Support stays this version's own.
        test.__path__.insert(0, folder)


def _patch_silkmill(which: list) -> None:
    import silkmill

    if "futures" in which:
        import concurrent.futures
        import concurrent.futures._base
        import concurrent.futures.process
        import concurrent.futures.thread

        futures = concurrent.futures
        futures.ThreadPoolExecutor = futures.thread.ThreadPoolExecutor = silkmill.ThreadPoolExecutor
        futures.Future = futures._base.Future = silkmill.Future
        futures.wait = silkmill.wait
        futures.as_completed = silkmill.as_completed
        if not hasattr(futures, "InterpreterPoolExecutor"):
            futures.InterpreterPoolExecutor = type("InterpreterPoolExecutor", (), {})
    if "threading" in which:
        import threading

        threading.Thread = silkmill.Thread
        threading.Timer.__bases__ = (silkmill.Thread,)
        # The class statement would have wrapped these.
        threading.Timer.run = silkmill.thread._kept(threading.Timer.run)


def _shim_support() -> None:
    """What the tests of CPython 3.13 to 3.15 ask of `test.support`, for versions that have not got it."""
    import contextlib
    import time
    import unittest
    from test import support
    from test.support import threading_helper, warnings_helper

    def nothing(*_args, **_options):
        def decorate(item):
            return item

        return decorate

    @contextlib.contextmanager
    def no_warnings():
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield

    def sleeping_retry(timeout, err_msg=None, /, *, init_delay=0.010, max_delay=1.0, error=True):
        end = time.monotonic() + timeout
        delay = init_delay
        while True:
            yield
            if time.monotonic() > end:
                break
            time.sleep(delay)
            delay = min(delay * 2, max_delay)
        if error:
            raise AssertionError(err_msg or f"timed out after {timeout} s")

    def shim(module, name, value, force=False):
        if force or not hasattr(module, name):
            setattr(module, name, value)

    shim(support, "Py_GIL_DISABLED", False)
    shim(support, "requires_gil_enabled", nothing)
    shim(support, "force_not_colorized", lambda function: function)
    shim(support, "sleeping_retry", sleeping_retry)
    shim(support, "SHORT_TIMEOUT", 30.0)
    shim(support, "LONG_TIMEOUT", 300.0)
    shim(support, "requires_fork", lambda: unittest.skipUnless(hasattr(os, "fork"), "needs fork"))
    shim(support, "has_fork_support", hasattr(os, "fork"))
    shim(support, "skip_if_sanitizer", nothing, force=True)
    shim(support, "check_sanitizer", lambda **_options: False, force=True)
    shim(support, "requires_resource", nothing, force=True)
    shim(threading_helper, "requires_working_threading", lambda **_options: nothing())
    shim(warnings_helper, "ignore_fork_in_thread_deprecation_warnings", no_warnings)
    if sys.version_info < (3, 11):
        import builtins
        import concurrent.futures

        # The tests were written when the two had become one.
        builtins.TimeoutError = concurrent.futures.TimeoutError
    if sys.version_info < (3, 12) and hasattr(os, "fork"):
        fork = os.fork

        def warning_fork():
            import warnings

            words = "use of fork() may lead to deadlocks in the child"
            warnings.warn(words, DeprecationWarning, stacklevel=2)
            return fork()

        os.fork = warning_fork
    if not hasattr(os, "process_cpu_count"):
        os.process_cpu_count = os.cpu_count
    if not hasattr(unittest, "addModuleCleanup"):
        unittest.addModuleCleanup = lambda *_args: None
    if not hasattr(support, "setswitchinterval"):
        support.setswitchinterval = sys.setswitchinterval


substitute()
