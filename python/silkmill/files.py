"""Text in many files: replaced safely, shown before, and put back.

:func:`replace` changes all files or none, whatever crashes, and keeps the originals; :func:`undo`, :func:`redo` and :func:`runs`
are about earlier runs, also those of the ``silkmill`` command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

from silkmill._silkmill import forget_runs, list_runs, revert_run, run_replace

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import Unpack

    from silkmill.options import ReplaceOptions, StrPath

#: Says what becomes of a match: its new text, or None to leave it.
OnMatch = Callable[["Match"], "str | bytes | None"]

_Answer = Callable[[str, str, "list[str | None]"], "str | bytes | None"]


class Change(NamedTuple):
    """What became of one file, or would become of it."""

    #: Where the file is, as the run reached it.
    path: str
    #: ``changed``, ``would-change``, ``renamed``, ``would-rename``, ``would-move``, ``skipped`` or ``failed``.
    action: str
    #: How many matches were replaced, or would be.
    replacements: int
    #: The length of the file before.
    bytes_before: int
    #: The length of the file after.
    bytes_after: int
    #: A unified diff that ``patch -p0`` accepts, in a preview.
    diff: bytes
    #: The new path of what is renamed.
    to: str | None
    #: Why the file was skipped or failed.
    reason: str | None


class ReplaceError(Exception):
    """A run of :func:`replace`, :func:`undo` or :func:`redo` that failed. No file was changed, unless the message says otherwise."""

    #: Why: ``io``, ``changed``, ``too-large``, ``encoding``, ``refused``, ``store`` and so on.
    kind: str
    #: Where, if it was at one file.
    path: str | None
    #: What was reported of single files before.
    changes: list[Change]
    #: What else there is to know, such as the files that were edited since.
    notices: list[str]

    def __init__(
        self,
        message: str,
        kind: str = "refused",
        path: str | None = None,
        changes: Iterable[Iterable[Any]] = (),
        notices: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.path = path
        self.changes = [Change(*change) for change in changes]
        self.notices = list(notices)

    def __str__(self) -> str:
        return "\n".join((*super().__str__().splitlines(), *self.notices))


class StoredRun(NamedTuple):
    """An earlier run that can be undone, or that was undone and can be made again."""

    #: The name of the run.
    id: str
    #: When the run began, in seconds since the epoch.
    begun: float
    #: What the run replaced by what.
    what: str
    #: The directories that the run worked in.
    roots: list[str]
    #: How many files the run changed.
    files: int
    #: How many replacements the run made.
    replacements: int
    #: How many bytes of files are kept for the run.
    bytes_held: int
    #: Whether the run is undone now.
    is_undone: bool
    #: The directory with what is kept.
    store: str


class Undone(NamedTuple):
    """What :func:`undo` or :func:`redo` has done, or would do."""

    #: The run that was undone, or made again.
    run: StoredRun
    #: The files, in the order in which the run had changed them.
    paths: list[str]
    #: The name of the undo itself, which is a run, too. None after a dry run.
    id: str | None


class Match:
    """One match, for a function that says what it becomes; it is read like a :class:`re.Match`.

    ``match[0]`` and ``match.group()`` are the text, ``match[1]`` and ``match["name"]`` its groups, None for a group that took no
    part. Bytes that are no UTF-8 are surrogates, as in file names (``errors="surrogateescape"``).
    """

    __slots__ = ("_groups", "_names", "path")

    #: The file.
    path: str

    def __init__(self, path: str, text: str, groups: list[str | None], names: Names) -> None:
        self.path = path
        self._groups = (text, *groups)
        self._names = names

    def _of(self, group: int | str) -> str | None:
        if isinstance(group, str):
            if group not in self._names:
                raise IndexError(f"there is no group {group!r}")
            group = self._names[group]
        if not 0 <= group < len(self._groups):
            raise IndexError(f"there is no group {group}")
        return self._groups[group]

    def __getitem__(self, group: int | str) -> str | None:
        return self._of(group)

    def group(self, *groups: int | str) -> Any:
        """Returns the text of a group, or of several as a tuple; without an argument the whole match."""
        if len(groups) > 1:
            return tuple(self._of(group) for group in groups)
        return self._of(groups[0] if groups else 0)

    def groups(self, default: str | None = None) -> tuple[str | None, ...]:
        """Returns all groups; ``default`` stands for those that took no part."""
        return tuple(default if group is None else group for group in self._groups[1:])

    def groupdict(self, default: str | None = None) -> dict[str, str | None]:
        """Returns the groups that have names; ``default`` stands for those that took no part."""
        found = {name: self._groups[group] for name, group in self._names.items()}
        return {name: default if text is None else text for name, text in found.items()}

    def __repr__(self) -> str:
        return f"<silkmill.Match {self._groups[0]!r} in {self.path!r}>"


Names = dict[str, int]


class Replacement:
    """A run of :func:`replace` that has reached its end."""

    #: The name of the run, by which it can be undone; None where nothing was changed, or nothing kept.
    run: str | None
    #: The files that were changed, skipped for a reason, or failed.
    changes: list[Change]
    #: What else there is to know.
    notices: list[str]
    files_seen: int
    files_changed: int
    files_skipped: int
    files_failed: int
    renamed: int
    replacements: int
    #: The time that the run took, in seconds.
    elapsed: float

    def __init__(self, found: dict[str, Any]) -> None:
        self.changes = [Change(*change) for change in found["changes"]]
        for name in ("run", "notices", *_COUNTS, "elapsed"):
            setattr(self, name, found[name])
        self._store: str | None = found["store"]

    def undo(self, *, force: bool = False) -> Undone:
        """Puts the files back: all of them, or none.

        A file that was edited since is named, and nothing is changed, unless ``force`` says to put it back all the same.
        """
        if self.run is None or self._store is None:
            raise ReplaceError("failed to undo: the run has changed nothing, or keeps no originals")
        return _reverted(self.run, os.path.dirname(self._store), {"force": force}, forth=False)

    def __repr__(self) -> str:
        return (
            f"<silkmill.Replacement {self.run}: {self.replacements} replacements in {self.files_changed} files of "
            f"{self.files_seen}>"
        )


_COUNTS = ("files_seen", "files_changed", "files_skipped", "files_failed", "renamed", "replacements")


class Plan:
    """What :func:`replace` would do. :meth:`apply` does it."""

    #: The files that would change, that were skipped for a reason, or failed.
    changes: list[Change]
    #: What else there is to know.
    notices: list[str]
    files_seen: int
    files_changed: int
    files_skipped: int
    files_failed: int
    renamed: int
    replacements: int
    #: The time that the preview took, in seconds.
    elapsed: float

    def __init__(self, found: dict[str, Any], apply: Callable[[int], Replacement]) -> None:
        self.changes = [Change(*change) for change in found["changes"]]
        for name in ("notices", *_COUNTS, "elapsed"):
            setattr(self, name, found[name])
        self._apply = apply

    def diff(self) -> str:
        """Returns the changes as a patch, as ``silkmill replace -n`` prints it.

        Bytes that are no UTF-8 are surrogates: write it with ``errors="surrogateescape"``.
        """
        return b"".join(change.diff for change in self.changes).decode(errors="surrogateescape")

    def apply(self) -> Replacement:
        """Makes the changes: all of them, or none.

        Raises :class:`ReplaceError` if there are more or fewer by now than the plan has. Where NEW is a function, what it has
        returned is used, and it is not called again.
        """
        return self._apply(self.replacements)

    def __repr__(self) -> str:
        return (
            f"<silkmill.Plan: {self.replacements} replacements in {self.files_changed} files of {self.files_seen}>"
        )


class _Questions:
    """Asks a function what a match becomes, and keeps its answers, so that they can be given again."""

    def __init__(self, new: OnMatch) -> None:
        self._new = new
        self._answers: list[tuple[str, str, str | bytes | None]] = []
        self.names: Names = {}

    def ask(self, path: str, text: str, groups: list[str | None]) -> str | bytes | None:
        answer = self._new(Match(path, text, groups, self.names))
        self._answers.append((path, text, answer))
        return answer

    def replay(self) -> _Answer:
        """Returns what gives the answers again, to the same questions."""
        answers: Iterator[tuple[str, str, str | bytes | None]] = iter(self._answers)

        def answer(path: str, text: str, groups: list[str | None]) -> str | bytes | None:
            known = next(answers, None)
            if known is None or known[:2] != (path, text):
                raise ReplaceError(
                    f"failed to apply the plan: {path!r} has changed since: nothing was changed"
                )
            return known[2]

        return answer


@overload
def replace(
    old: str | bytes | None = None,
    new: str | bytes | OnMatch | None = None,
    /,
    *path: StrPath,
    preview: Literal[False] = False,
    **options: Unpack[ReplaceOptions],
) -> Replacement: ...
@overload
def replace(
    old: str | bytes | None = None,
    new: str | bytes | OnMatch | None = None,
    /,
    *path: StrPath,
    preview: Literal[True],
    **options: Unpack[ReplaceOptions],
) -> Plan: ...
@overload
def replace(
    old: str | bytes | None = None,
    new: str | bytes | OnMatch | None = None,
    /,
    *path: StrPath,
    preview: bool = False,
    **options: Unpack[ReplaceOptions],
) -> Replacement | Plan: ...
def replace(
    old: str | bytes | None = None,
    new: str | bytes | OnMatch | None = None,
    /,
    *path: StrPath,
    preview: bool = False,
    **options: Unpack[ReplaceOptions],
) -> Replacement | Plan:
    r"""Replaces ``old`` with ``new`` in all files of each ``path``: in all of them, or in none.

    The paths are files, and directories to walk, as ``silkmill replace`` does: what is hidden, binary or ignored by
    ``.gitignore`` is left alone. Without any, it is the current directory; ``paths=`` takes a list of them, which may be empty. The originals are kept, and :func:`undo` or
    ``.undo()`` of what is returned puts them back. With ``preview=True`` nothing is written, and a :class:`Plan` is returned.

    >>> import tempfile, pathlib, silkmill
    >>> folder = tempfile.TemporaryDirectory()
    >>> page = pathlib.Path(folder.name, "page.txt")
    >>> _ = page.write_text("The colour of silk.\n")
    >>> plan = silkmill.replace("colour", "color", folder.name, preview=True)
    >>> plan.replacements, [change.action for change in plan.changes]
    (1, ['would-change'])
    >>> done = plan.apply()
    >>> page.read_text()
    'The color of silk.\n'
    >>> _ = done.undo()
    >>> page.read_text()
    'The colour of silk.\n'

    ``new`` may be a function, as with :func:`re.sub`: it is called on this thread with each :class:`Match`, file by file in the
    order of their paths, and returns the new text, or None to leave the match.

    >>> done = silkmill.replace(r"(\w+)\.", lambda match: match[1].upper() + "!", folder.name, regex=True)
    >>> page.read_text()
    'The colour of SILK!\n'
    >>> folder.cleanup()

    The options are those of the command, and mean the same: ``regex``, ``ignore_case``, ``smart_case``, ``word``,
    ``preserve_case``, ``multiline``, ``pairs`` (a mapping, or a file), ``paths``, ``max_count``, ``glob``, ``type``, ``hidden``,
    ``no_ignore``, ``encoding``, ``binary``, ``max_file_size``, ``context``, ``rename``, ``rename_only``, ``expect``, ``strict``,
    ``hard_links``, ``no_undo``, ``no_sync``, ``workers``.

    Raises :class:`ReplaceError` if the run fails; then no file was changed, unless the message says otherwise. A file that
    cannot be read is no failure of the run, but a :class:`Change` with the action ``failed``.
    """
    given = cast("dict[str, Any]", dict(options))
    if given.get("pairs") is not None:
        # As on the command line, what stands in the places of OLD and NEW are paths then.
        named = [one for one in (old, new, *path) if one is not None]
        if any(callable(one) for one in named):
            raise TypeError("replace() has pairs, which say what each text becomes: give no function")
        old = new = None
        path = tuple(cast("list[StrPath]", named))
    elif old is None or new is None:
        raise TypeError("replace() needs OLD and NEW, or pairs")
    if path:
        given["paths"] = _once(given.get("paths"), path)
    texts = (_bytes(old, "OLD"), None if callable(new) else _bytes(new, "NEW"))
    if not callable(new):
        found = run_replace(texts, given, preview=preview)
        if not preview:
            return Replacement(found)
        return Plan(found, lambda count: Replacement(_run(texts, {**given, "expect": count})))
    questions = _Questions(new)
    questions.names = _names(texts, given)
    found = run_replace(texts, given, preview=preview, on_match=questions.ask)
    if not preview:
        return Replacement(found)

    def apply(count: int) -> Replacement:
        replay = questions.replay()
        return Replacement(
            run_replace(texts, {**given, "expect": count}, preview=False, on_match=replay)
        )

    return Plan(found, apply)


def undo(
    run: str | None = None,
    *,
    directory: StrPath = ".",
    force: bool = False,
    dry_run: bool = False,
    no_sync: bool = False,
) -> Undone:
    """Puts the files of a run back: all of them, or none.

    Without the name of a run, it is the newest that changed a file in ``directory`` or below it and is not undone; again, the one
    before. With ``dry_run`` nothing is changed. A file that was edited since raises :class:`ReplaceError`, and nothing is changed,
    unless ``force`` is given.
    """
    options = {"force": force, "dry_run": dry_run, "no_sync": no_sync}
    return _reverted(run, os.path.abspath(os.fsdecode(directory)), options, forth=False)


def redo(
    run: str | None = None,
    *,
    directory: StrPath = ".",
    force: bool = False,
    dry_run: bool = False,
    no_sync: bool = False,
) -> Undone:
    """Makes a run again that was undone. Without its name, it is the one that was undone last in ``directory`` or below it."""
    options = {"force": force, "dry_run": dry_run, "no_sync": no_sync}
    return _reverted(run, os.path.abspath(os.fsdecode(directory)), options, forth=True)


def runs(*, directory: StrPath = ".") -> list[StoredRun]:
    """Returns every run that can be undone or made again, oldest first.

    Found are the runs of this user, and those whose originals lie beside the files in ``directory`` or above it.
    """
    return [_stored(run) for run in list_runs(os.path.abspath(os.fsdecode(directory)))]


def forget(run: str | None = None, *, directory: StrPath = ".") -> list[StoredRun]:
    """Removes what is kept for a run, or, without a name, for all of them. They cannot be undone any more. Returns those."""
    return [_stored(run) for run in forget_runs(run, os.path.abspath(os.fsdecode(directory)))]


def _run(texts: tuple[bytes | None, bytes | None], options: dict[str, Any]) -> dict[str, Any]:
    return run_replace(texts, options, preview=False)


def _names(texts: tuple[bytes | None, bytes | None], options: dict[str, Any]) -> Names:
    """Returns the places of the groups that have names."""
    old = texts[0]
    if old is None or options.get("regex") is not True:
        return {}
    nothing = {"regex": True, "multiline": options.get("multiline"), "paths": ()}
    found = run_replace((old, None), nothing, preview=True, on_match=lambda *_: None)
    names: list[str | None] = found["group_names"]
    return {name: place for place, name in enumerate(names, 1) if name is not None}


def _reverted(run: str | None, directory: str, options: dict[str, Any], *, forth: bool) -> Undone:
    found = revert_run(run, directory, options, forth=forth)
    paths, name = found.pop("paths"), found.pop("undo")
    return Undone(_stored(found), paths, name)


def _stored(found: Mapping[str, Any]) -> StoredRun:
    return StoredRun(**found)


def _once(listed: Any, paths: Iterable[StrPath]) -> list[StrPath]:
    """Returns the paths of both places where they can be given."""
    if listed is None:
        return list(paths)
    if isinstance(listed, (str, bytes, os.PathLike)):
        return [*paths, listed]
    return [*paths, *listed]


def _bytes(text: object, name: str) -> bytes | None:
    if text is None or isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode(errors="surrogateescape")
    if isinstance(text, re.Pattern):
        raise TypeError(
            f"{name} is a compiled regex of Python's; write its text and regex=True. Here ^ and $ match at every line, a match "
            "stays within its line unless multiline=True, NEW has $1 and ${name} for \\1 and \\g<name>, and there is no "
            "look-around and no backreference"
        )
    raise TypeError(f"{name} is a str or bytes, and not {type(text).__name__}")
