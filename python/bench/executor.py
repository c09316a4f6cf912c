"""The executor beside the standard library's, both sides in turn in one run: medians and ratios.

    python python/bench/executor.py [rounds] [--samples]

With ``--samples`` it prints what it measured, for ``cargo xtask bench python``: a line with the case, the unit, the side and one figure.

Rows: submit and read 20,000 calls that do nothing, with 1, 8 and 32 workers; one call at a time, submitted and read; `map` over
200,000 arguments; calls that wait, on as many workers; `asyncio` through `to_thread`; and importing the module.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import silkmill

BATCH = 20_000
ROUND_TRIPS = 3_000
MAPPED = 200_000
THREADED = 2_000
WAITING = 320
WAIT_SECONDS = 0.002

SIDES = {"standard": concurrent.futures.ThreadPoolExecutor, "silkmill": silkmill.ThreadPoolExecutor}

#: The row's limits: microseconds, and the share of the standard library's time.
TARGETS = {
    "batch": (1.0, 0.15),
    "round trip": (None, 0.6),
    "map": (None, 0.15),
    "import": (5000, None),
}


def nothing() -> None:
    pass


def batch(executor: Any, workers: int) -> float:
    with executor(workers) as pool:
        warm_up(pool)
        start = time.perf_counter()
        futures = [pool.submit(nothing) for _ in range(BATCH)]
        for future in futures:
            future.result()
        return (time.perf_counter() - start) / BATCH


def round_trip(executor: Any, workers: int) -> float:
    with executor(workers) as pool:
        warm_up(pool)
        start = time.perf_counter()
        for _ in range(ROUND_TRIPS):
            pool.submit(nothing).result()
        return (time.perf_counter() - start) / ROUND_TRIPS


def mapped(executor: Any, workers: int) -> float:
    with executor(workers) as pool:
        warm_up(pool)
        start = time.perf_counter()
        for _ in pool.map(abs, range(MAPPED)):
            pass
        return (time.perf_counter() - start) / MAPPED


def waiting(executor: Any, workers: int) -> float:
    with executor(workers) as pool:
        warm_up(pool)
        start = time.perf_counter()
        for _ in pool.map(time.sleep, [WAIT_SECONDS] * WAITING):
            pass
        return (time.perf_counter() - start) / WAITING


def threaded(executor: Any, _workers: int) -> float:
    to_thread = asyncio.to_thread if executor is SIDES["standard"] else silkmill.to_thread

    async def main() -> float:
        await to_thread(nothing)
        start = time.perf_counter()
        for _ in range(THREADED // 20):
            await asyncio.gather(*(to_thread(nothing) for _ in range(20)))
        return (time.perf_counter() - start) / THREADED

    return asyncio.run(main())


def importing(executor: Any, _workers: int) -> float:
    """What a fresh interpreter takes for the import, on top of the standard library's for ours."""
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    path = os.path.dirname(os.path.dirname(silkmill.__file__))
    if executor is SIDES["standard"]:
        code = code.format("concurrent.futures.thread")
    else:
        code = f"import sys; sys.path.insert(0, {path!r}); import concurrent.futures.thread; " + code
        code = code.format("silkmill")
    # Whoever installs a package compiles it.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def warm_up(pool: Any) -> None:
    for _ in pool.map(time.sleep, [0.0005] * 64):
        pass


Row = tuple[str, Callable[[Any, int], float], int]
ROWS: list[Row] = [
    *(("batch", batch, workers) for workers in (1, 8, 32)),
    *(("round trip", round_trip, workers) for workers in (1, 8, 32)),
    *(("map", mapped, workers) for workers in (1, 8, 32)),
    ("waiting", waiting, 32),
    ("to_thread", threaded, 0),
    ("import", importing, 0),
]


#: What ``--samples`` calls the rows.
NAMES = {
    "batch": f"{BATCH:,} calls that do nothing: submit all, then read all",
    "round trip": "submit one call, read it, repeat",
    "map": f"map of {MAPPED:,} numbers",
    "waiting": "calls that wait 2 ms",
    "to_thread": "asyncio's to_thread, 20 at a time",
    "import": "import: beside concurrent.futures, and what silkmill adds to it",
}


def main(rounds: int, samples: bool) -> None:
    if not samples:
        print(
            f"CPython {platform.python_version()}, {os.cpu_count()} processors, medians of {rounds}"
        )
        print(f"{'row':<12}{'workers':>8}{'standard':>12}{'silkmill':>12}{'ratio':>8}  (µs)")
    for name, measure, workers in ROWS:
        times: dict[str, list[float]] = {side: [] for side in SIDES}
        for turn in range(rounds):
            order = list(SIDES) if turn % 2 == 0 else list(reversed(SIDES))
            for side in order:
                times[side].append(measure(SIDES[side], workers))
        if samples:
            what = NAMES[name] + (f", {workers} workers" if workers else "")
            for side, name_of_side in (("silkmill", "silkmill"), ("standard", "CPython")):
                for seconds in times[side]:
                    print(what, "µs", name_of_side, seconds * 1e6, sep="\t", flush=True)
            continue
        standard, ours = (statistics.median(times[side]) * 1e6 for side in SIDES)
        ratio = ours / standard
        limit, share = TARGETS.get(name, (None, None))
        missed = (limit is not None and ours > limit) or (share is not None and ratio > share)
        print(
            f"{name:<12}{workers or '':>8}{standard:>12.2f}{ours:>12.2f}{ratio:>8.3f}"
            + ("  missed" if missed else "")
        )


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--samples"]
    main(int(words[0]) if words else 5, "--samples" in sys.argv)
