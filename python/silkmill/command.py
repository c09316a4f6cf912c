"""The ``silkmill`` command. It is the same program as the binary, in this process."""

from __future__ import annotations

import signal
import sys

from silkmill._silkmill import run_command


def main() -> int:
    """Runs the command with the words of the command line, and returns its exit code."""
    # Python's handler would only note ^C for later. What was ignored at the start stays ignored, as under nohup.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run_command(sys.argv[1:])
