"""The ``silkmill`` command that the package installs: the binary's exit codes, signals and pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from server import Server

SCRIPT = Path(sys.executable).parent / "silkmill"
COMMANDS = [[sys.executable, "-m", "silkmill"], *([[str(SCRIPT)]] if SCRIPT.exists() else [])]


@pytest.fixture(params=COMMANDS, ids=["module", "script"][: len(COMMANDS)])
def command(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


def run(command: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


def test_the_command_says_what_the_binary_says(command: list[str], server: Server) -> None:
    done = run(command, "--version")
    assert done.returncode == 0 and done.stdout.startswith("silkmill ")
    done = run(command, "scrape", "--help")
    assert done.returncode == 0 and "Usage: silkmill scrape" in done.stdout
    done = run(command, "no-such-command")
    assert done.returncode == 2 and "unrecognized subcommand 'no-such-command'" in done.stderr
    done = run(command, "scrape", f"{server.address}/7")
    assert done.returncode == 0 and "page 7" in done.stdout
    done = run(command, "fetch", "no url")
    assert done.returncode == 1 and "url" in done.stdout
    done = run(command, "replace", "(", "x", "-e")
    assert done.returncode == 2 and "unclosed group" in done.stderr


def test_an_interrupt_ends_the_command_with_130(command: list[str], server: Server) -> None:
    running = subprocess.Popen(
        [*command, "fetch", f"{server.address}/silent"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    while not server.total:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130 and b"Traceback" not in err


def test_an_interrupt_that_is_ignored_at_the_start_stays_ignored(
    command: list[str], server: Server
) -> None:
    running = subprocess.Popen(
        [*command, "fetch", f"{server.address}/slow/300"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    while not server.total:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate()
    assert running.returncode == 0 and b"slow/300" in out


def test_a_reader_that_leaves_is_no_error(command: list[str], server: Server) -> None:
    reader, writer = os.pipe()
    running = subprocess.Popen(
        [*command, "scrape", "-i", "-"],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    os.close(reader)
    _, err = running.communicate("\n".join(server.urls(50)))
    assert (running.returncode, err) == (0, "")


def test_importing_the_package_runs_nothing_of_the_command() -> None:
    code = "import signal, silkmill; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert run([sys.executable], "-c", code).stdout == "True\n"
