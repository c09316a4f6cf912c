"""The standard library's own tests, run on silkmill's classes.

They are found on this machine, where `.ci/run` puts them, and nothing of them is kept in this repository.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
CACHE = ROOT / "target" / "cpython-tests"


class Missing(Exception):
    """The tests of a version cannot be had here, and why."""


def tests_of(version: str) -> Path:
    """The folder `test` of CPython ``version``, with its tests of executors."""
    for folder in _candidates(version):
        if (folder / "test_concurrent_futures" / "test_thread_pool.py").is_file():
            return folder
    raise Missing(
        f"the tests of CPython {version} are not on this machine: .ci/run fetches Debian's package of them"
    )


def _candidates(version: str) -> list[Path]:
    places = [
        str(CACHE / version / "usr/lib" / f"python{version}" / "test"),
        f"/usr/lib/python{version}/test",
        f"/usr/local/lib/python{version}/test",
        os.path.expanduser(f"~/.pyenv/versions/{version}.*/lib/python{version}/test"),
    ]
    return [Path(found) for place in places for found in sorted(glob.glob(place))]


def environment(folder: Path) -> Path:
    """Makes a virtual environment in ``folder`` that sees silkmill, and in which it stands in for the standard library.

    A file of its own in ``site-packages`` does it, as tests start interpreters that ignore ``PYTHONPATH``. Returns its interpreter.
    """
    import silkmill

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    package = Path(silkmill.__file__).parent.parent
    (site / "silkmill_tests.pth").write_text(
        f"{package}\n{HERE}\nimport os; os.environ.get('SILKMILL_SUBSTITUTE') and __import__('substitute')\n"
    )
    return python


def run(
    python: Path, which: str, names: list[str], tests: Path | None = None, seconds: float = 1500
) -> tuple[int, str]:
    """Runs the tests ``names`` with ``which`` (``futures``, ``threading``) substituted. Returns how many passed, and the log."""
    env = {**os.environ, "SILKMILL_SUBSTITUTE": which}
    env.pop("PYTHONPATH", None)
    if tests is not None:
        env["SILKMILL_STANDARD_TESTS"] = str(tests)
    command = [str(python), "-W", "ignore", "-m", "unittest", "-v", *names]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=seconds, check=False
    )
    log = done.stdout + done.stderr
    ran = re.search(r"^Ran (\d+) tests? in", log, re.M)
    if done.returncode != 0 or ran is None:
        failures = "\n======".join(log.split("\n======")[1:]) or log[-5000:]
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{failures}")
    return int(ran.group(1)), log


def without(python: Path, module: str, classes: list[str], names: set[str]) -> list[str]:
    """The tests of ``classes`` in ``module``, without those of ``names``, as names that `unittest` takes."""
    code = (
        "import unittest, importlib; m = importlib.import_module({!r})\n"
        "for c in {!r}:\n"
        "    for n in unittest.defaultTestLoader.getTestCaseNames(getattr(m, c, unittest.TestCase)):\n"
        "        if n not in {!r}: print({!r} + '.' + c + '.' + n)"
    ).format(module, classes, names, module)
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.split()
