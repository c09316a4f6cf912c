"""The package: its types, its documentation, and what importing it costs."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import silkmill

PACKAGE = Path(silkmill.__file__).parent
ROOT = Path(__file__).parent.parent.parent


def checker(name: str) -> None:
    """Skips the test where the program is not installed."""
    if importlib.util.find_spec(name) is None:
        if os.environ.get("SILKMILL_REQUIRE") == "1":
            pytest.fail(f"{name} is not installed, and SILKMILL_REQUIRE=1 asks for it")
        pytest.skip(f"{name} is not installed")


def mypy(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    checker("mypy")
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    if PACKAGE.parent.name != "site-packages":  # where mypy looks anyway, and does not want to be told to
        env["MYPYPATH"] = str(PACKAGE.parent)
    env["MYPY_CACHE_DIR"] = str(folder / "cache")
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_package_is_typed_without_exceptions(tmp_path: Path) -> None:
    done = mypy("mypy", "--strict", str(ROOT / "python" / "silkmill"), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_say_what_the_module_is(tmp_path: Path) -> None:
    done = mypy("mypy.stubtest", "silkmill", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def examples(folder: Path) -> None:
    """Writes the snippets of the documentation down as one program, as they are typed."""
    parser = doctest.DocTestParser()
    text = (ROOT / "docs" / "python.md").read_text().replace("\n```\n", "\n\n")
    sources = [example.source for example in parser.get_examples(text)]
    (folder / "examples.py").write_text("".join(sources))


@pytest.mark.skipif(
    os.environ.get("SILKMILL_LONG") != "1", reason="pyright is run with SILKMILL_LONG=1 alone"
)
def test_pyright_finds_nothing_in_the_package_and_its_examples(tmp_path: Path) -> None:
    checker("pyright")
    examples(tmp_path)
    for folder in ("silkmill", "bench"):
        shutil.copytree(ROOT / "python" / folder, tmp_path / folder)
    settings = {
        "include": ["silkmill", "bench", "examples.py"],
        # A snippet shows what it has computed, and knows that a run has ended.
        "reportUnusedExpression": False,
        "reportOptionalMemberAccess": False,
        # The standard library's class has another signature in each version.
        "reportIncompatibleMethodOverride": False,
        "typeCheckingMode": "standard",
        "pythonVersion": "3.10",
        # Those of engines and parsers are there only where these are used.
        "reportMissingImports": False,
        "reportMissingModuleSource": False,
    }  # fmt: skip
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    words = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout


def test_results_have_the_types_of_their_functions(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import silkmill\n"
        "def repeat(count: int, *, text: str) -> list[str]:\n"
        "    return [text] * count\n"
        "with silkmill.ThreadPoolExecutor(2) as pool:\n"
        "    future = pool.submit(repeat, 2, text='x')\n"
        "    reveal_type(future.result())\n"
        "    reveal_type(pool.shutdown(timeout=1.0))\n"
        "    reveal_type(next(pool.map(str, [1])))\n"
        "    pool.submit(repeat, 'two', text='x')\n"
    )
    done = mypy("mypy", "--strict", "use.py", folder=tmp_path)
    for words in (
        'Revealed type is "list[str]"',
        'Revealed type is "silkmill.executor.ShutdownReport"',
        'Revealed type is "str"',
        'use.py:9: error: Argument 2 to "submit"',
    ):
        assert words in done.stdout.replace("builtins.", ""), done.stdout + done.stderr


@pytest.mark.parametrize("page", ["python.md"])
def test_every_snippet_of_the_documentation_runs(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    snippets = text.count("```python")
    parser = doctest.DocTestParser()
    test = parser.get_doctest(text.replace("\n```\n", "\n\n"), {}, page, page, 0)
    assert snippets >= 10 and len(test.examples) >= snippets
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    result = runner.run(test, out=report.append)
    assert result.failed == 0, "".join(report)


def test_every_public_name_is_documented() -> None:
    for name in silkmill.__all__:
        if name.isupper():
            continue
        public = getattr(silkmill, name)
        assert public.__doc__, name
        if isinstance(public, type) and public.__module__.startswith("silkmill"):
            for member, value in vars(public).items():
                if not member.startswith("_") and callable(value):
                    assert value.__doc__, f"{name}.{member}"
