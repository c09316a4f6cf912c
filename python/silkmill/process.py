"""What a process does once: it forks, and it ends. Starts nothing, and handles no signal."""

from __future__ import annotations

import os
import threading
from concurrent.futures import thread as _standard

from silkmill._silkmill import (
    WorkQueue,
    after_fork_in_child,
    after_fork_in_parent,
    before_exit,
    before_fork,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install() -> None:
    """Registers what is to be done at a fork and at the end of the interpreter."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=before_fork,
            after_in_parent=after_fork_in_parent,
            after_in_child=_after_fork_in_child,
        )
    try:
        # Called before the standard library's, which registered first, and joins the workers.
        threading._register_atexit(before_exit)  # type: ignore[attr-defined]
    except RuntimeError:
        # The interpreter ends already, and will call nothing more.
        before_exit()


def _after_fork_in_child() -> None:
    after_fork_in_child()
    # The child has none of these threads. If it was forked by one of them, it would wait for itself at its end.
    queues: Any = _standard._threads_queues
    for thread, queue in list(queues.items()):
        if isinstance(queue, WorkQueue):
            queues.pop(thread, None)
