"""``replace``, ``undo``, ``redo``, ``runs`` and ``forget``."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import silkmill

TEXTS = {"a.txt": "The colour of silk.\nIts colour fades.\n", "sub/b.txt": "no colour\n", "c": "-"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def texts(tree: Path) -> dict[str, str]:
    return {name: (tree / name).read_bytes().decode() for name in TEXTS}


def colored() -> dict[str, str]:
    return {name: text.replace("colour", "color") for name, text in TEXTS.items()}


def test_all_files_change_and_are_put_back(tree: Path) -> None:
    done = silkmill.replace("colour", "color", tree)
    assert texts(tree) == colored()
    assert (done.replacements, done.files_changed, done.files_seen) == (3, 2, 3)
    assert [(change.action, change.replacements) for change in done.changes] == [
        ("changed", 2),
        ("changed", 1),
    ]
    assert done.run in [run.id for run in silkmill.runs()]
    undone = done.undo()
    assert texts(tree) == TEXTS
    assert undone.run.id == done.run and undone.run.is_undone
    silkmill.redo(done.run)
    assert texts(tree) == colored()
    silkmill.undo(directory=tree)
    assert texts(tree) == TEXTS
    assert done.run in [run.id for run in silkmill.forget(done.run)]
    assert done.run not in [run.id for run in silkmill.runs()]


def test_a_preview_writes_nothing_and_its_patch_is_what_apply_does(tree: Path) -> None:
    plan = silkmill.replace("colour", "color", tree, preview=True)
    assert texts(tree) == TEXTS
    assert (plan.replacements, plan.files_changed) == (3, 2)
    assert [change.action for change in plan.changes] == ["would-change"] * 2
    assert "-The colour of silk.\n-Its colour fades.\n+The color of silk.\n" in plan.diff()
    done = plan.apply()
    assert texts(tree) == colored() and done.replacements == 3


def test_a_plan_of_which_the_files_have_changed_is_not_applied(tree: Path) -> None:
    plan = silkmill.replace("colour", "color", tree, preview=True)
    (tree / "c").write_text("colour")
    with pytest.raises(silkmill.ReplaceError, match="expected 3 replacements, found 4") as caught:
        plan.apply()
    assert caught.value.kind == "refused"
    assert (tree / "a.txt").read_text() == TEXTS["a.txt"]


def test_a_function_says_what_each_match_becomes_on_the_callers_thread(tree: Path) -> None:
    seen: list[tuple[str, Any]] = []

    def number(match: silkmill.Match) -> str | None:
        assert threading.current_thread() is threading.main_thread()
        seen.append((os.path.basename(match.path), match.groups()))
        return None if len(seen) == 2 else f"{str(match['first']).upper()}{len(seen)}"

    done = silkmill.replace(r"(?<first>col)(x)?(ou?r)", number, tree, regex=True)
    assert done.replacements == 2
    assert seen == [("a.txt", ("col", None, "our"))] * 2 + [("b.txt", ("col", None, "our"))]
    assert texts(tree)["a.txt"] == "The COL1 of silk.\nIts colour fades.\n"
    assert texts(tree)["sub/b.txt"] == "no COL3\n"


def test_a_function_sees_what_re_gives(tree: Path) -> None:
    pattern = r"(?P<word>\w+) (of)?"
    for path in (tree / "a.txt", tree / "sub/b.txt"):
        ours: list[Any] = []
        silkmill.replace(
            pattern,
            lambda match: ours.append(  # type: ignore[func-returns-value]
                (match[0], match.groups("-"), match.groupdict(), match.group("word", 2))
            ),
            path,
            regex=True,
            preview=True,
        )
        theirs = [
            (match[0], match.groups("-"), match.groupdict(), match.group("word", 2))
            for match in re.finditer(pattern, path.read_text())
        ]
        assert ours == theirs and ours


def test_a_previewed_function_is_not_called_again(tree: Path) -> None:
    calls = []
    plan = silkmill.replace(
        "colour", lambda match: calls.append(match) or f"hue{len(calls)}", tree, preview=True
    )
    assert len(calls) == 3 and texts(tree) == TEXTS
    assert "+The hue1 of silk." in plan.diff()
    assert plan.apply().replacements == 3
    assert len(calls) == 3
    assert texts(tree)["a.txt"] == "The hue1 of silk.\nIts hue2 fades.\n"

    plan = silkmill.replace("hue1", lambda match: "colour", tree, preview=True)
    (tree / "a.txt").write_text("Now hue2, hue1\n")
    (tree / "c").write_text("hue1")
    with pytest.raises(silkmill.ReplaceError):
        plan.apply()
    assert (tree / "a.txt").read_text() == "Now hue2, hue1\n"


@pytest.mark.parametrize(
    "new, error",
    [
        (lambda match: 1 / 0, ZeroDivisionError),
        (lambda match: 5, TypeError),
        (lambda match: match["nothing"], IndexError),
        (lambda match: sys.exit(3), SystemExit),
    ],
)
def test_what_the_function_raises_changes_nothing(
    tree: Path, new: Any, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        silkmill.replace("colour", new, tree)
    assert texts(tree) == TEXTS


def test_bytes_that_are_no_text_come_through_a_function(tree: Path) -> None:
    (tree / "c").write_bytes(b"\xff <colour> \xfe")
    silkmill.replace("<colour>", lambda match: b"<" + match[0].encode()[::-1] + b">", tree)
    assert (tree / "c").read_bytes() == b"\xff <>ruoloc<> \xfe"


def test_pairs_come_from_a_mapping_or_a_file(tree: Path) -> None:
    silkmill.replace(tree, pairs={"colour": "silk", "silk": "colour"})
    assert texts(tree)["a.txt"] == "The silk of colour.\nIts silk fades.\n"
    listed = tree.parent / "pairs.tsv"
    listed.write_text("colour\tsilk\nsilk\tcolour\n")
    silkmill.replace(pairs=listed, paths=[tree])
    assert texts(tree) == TEXTS


def test_options_are_the_commands(tree: Path) -> None:
    def count(*words: Any, **options: Any) -> int:
        return silkmill.replace(*words, tree, preview=True, **options).replacements

    assert count("COLOUR", "x") == 0
    assert count("COLOUR", "x", ignore_case=True) == 3
    assert count("colour", "x", smart_case=True) == 3
    assert count("colou", "x", word=True) == 0
    assert count("col(our)", "$1", regex=True) == 3
    assert count("colour", "x", max_count=1) == 2
    assert count("colour", "x", glob="*.txt") == 3
    assert count("colour", "x", glob=["*.txt", "!b.txt"]) == 2
    assert count("colour", "x", max_file_size="20") == 1
    assert count("a.txt", "x", rename_only=True) == 1


def test_bad_input_is_an_exception_that_says_what_to_do(tree: Path) -> None:
    for error, words, call in [
        (TypeError, "compiled regex", lambda: silkmill.replace(re.compile("a"), "b", tree)),  # type: ignore[call-overload]
        (TypeError, "is a str or bytes, and not int", lambda: silkmill.replace(5, "b", tree)),  # type: ignore[call-overload]
        (TypeError, "needs OLD and NEW", lambda: silkmill.replace("a")),
        (TypeError, 'did you mean "workers"', lambda: silkmill.replace("a", "b", worker=1)),  # type: ignore[call-overload]
        (TypeError, "True or False", lambda: silkmill.replace("a", "b", tree, regex=1)),  # type: ignore[call-overload]
        (TypeError, "give no function", lambda: silkmill.replace("a", str, tree, pairs={})),  # type: ignore[call-overload]
        (ValueError, "unclosed group", lambda: silkmill.replace("(", "b", tree, regex=True)),
        (ValueError, "no group", lambda: silkmill.replace("a", "$1", tree, regex=True)),
        (ValueError, "at least 1", lambda: silkmill.replace("a", "b", tree, max_count=0)),
        (ValueError, 'one of "skip", "edit"', lambda: silkmill.replace("a", "b", binary="x")),  # type: ignore[call-overload]
        (ValueError, "bytes", lambda: silkmill.replace("a", "b", tree, max_file_size="1X")),
        (silkmill.ReplaceError, "no run", lambda: silkmill.undo("nope")),
        (silkmill.ReplaceError, "expected 9", lambda: silkmill.replace("colour", "b", tree, expect=9)),
    ]:  # fmt: skip
        with pytest.raises(error, match=words):
            call()
    assert texts(tree) == TEXTS


def test_a_missing_file_fails_alone(tree: Path) -> None:
    done = silkmill.replace("colour", "color", tree, tree / "nowhere")
    assert done.files_failed == 1 and done.files_changed == 2
    (failed,) = [change for change in done.changes if change.action == "failed"]
    assert failed.path.endswith("nowhere") and "no such file" in (failed.reason or "")


def test_an_edited_file_is_named_and_not_put_back(tree: Path) -> None:
    done = silkmill.replace("colour", "color", tree)
    (tree / "a.txt").write_text("new text")
    with pytest.raises(silkmill.ReplaceError) as caught:
        done.undo()
    assert "a.txt" in str(caught.value) and (tree / "a.txt").read_text() == "new text"
    assert (tree / "sub/b.txt").read_text() == "no color\n"
    done.undo(force=True)
    assert texts(tree) == TEXTS


def test_errors_and_reports_can_be_pickled(tree: Path) -> None:
    done = silkmill.replace("colour", "color", tree)
    assert pickle.loads(pickle.dumps(done)).changes == done.changes
    error = silkmill.ReplaceError("failed", "io", "x", done.changes, ["and more"])
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.kind, copy.path) == ("failed\nand more", "io", "x")
    assert copy.changes == done.changes


def test_an_interrupt_while_a_function_decides_changes_nothing(tree: Path) -> None:
    code = (
        "import os, signal, sys, silkmill\n"
        "def new(match):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 'color'\n"
        "try:\n"
        "    silkmill.replace('colour', new, sys.argv[1])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tree)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "interrupted True\n", done.stderr
    assert texts(tree) == TEXTS


def test_another_thread_runs_while_files_are_replaced(tree: Path) -> None:
    for number in range(300):
        (tree / f"{number}.txt").write_text("colour\n" * 50)
    ticks, over = [0], threading.Event()

    def tick() -> None:
        while not over.wait(0.001):
            ticks[0] += 1

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    silkmill.replace("colour", "color", tree)
    over.set()
    ticker.join()
    assert ticks[0] > 0
