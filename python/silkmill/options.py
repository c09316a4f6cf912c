"""The options of calls, for annotations: ``def mine(**options: Unpack[silkmill.options.FetchOptions])``.

They have the names of the options of the ``silkmill`` command, and mean the same; ``silkmill fetch --help`` says what.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict, Union

#: A path, as the functions of this package take it.
StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class ReplaceOptions(TypedDict, total=False):
    """The options of :func:`silkmill.replace`."""

    #: OLD is a regex, and NEW a template with ``$1`` and ``${name}``.
    regex: bool
    #: Letters of different case are equal.
    ignore_case: bool
    #: They are, unless OLD has an upper-case letter.
    smart_case: bool
    #: Whole words only.
    word: bool
    #: Also other styles of names: ``old_name``, ``OldName``, ``OLD_NAME``.
    preserve_case: bool
    #: A regex may match across lines.
    multiline: bool
    #: Many texts in one pass: a mapping of OLD to NEW, or a ``.tsv``, ``.csv`` or ``.json`` file.
    pairs: Mapping[str, str] | StrPath | None
    #: The most matches that are replaced in each file.
    max_count: int | None
    #: Files and directories, beside those of the call. An empty list is none of them, and not the current directory.
    paths: StrPath | Iterable[StrPath] | None
    #: Only files that match, or, with a leading "!", that do not.
    glob: str | Iterable[str] | None
    #: Only files of these types, such as ``py``.
    type: str | Iterable[str] | None
    #: Also hidden files.
    hidden: bool
    #: Also files that ``.gitignore`` and ``.ignore`` exclude.
    no_ignore: bool
    #: How files without a byte order mark are read, such as ``latin1``; ``bytes`` edits bytes.
    encoding: str | None
    #: What to do with a file that has a NUL.
    binary: Literal["skip", "edit"] | None
    #: Larger files are left alone: bytes, or a text such as "10M".
    max_file_size: int | str | None
    #: Unchanged lines around each change of a diff (3).
    context: int | None
    #: Also the names of files and directories.
    rename: bool
    #: Only these names.
    rename_only: bool
    #: Refuse the run unless it makes exactly this many replacements.
    expect: int | None
    #: Refuse the run if any file cannot be read.
    strict: bool
    #: What to do with a file that has several names.
    hard_links: Literal["keep", "split", "refuse"] | None
    #: Do not keep the originals.
    no_undo: bool
    #: Do not force the new files to disk.
    no_sync: bool
    #: Threads that read and write.
    workers: int | None
