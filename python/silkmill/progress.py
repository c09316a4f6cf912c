"""How far a run is, on a terminal or in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

#: A run that is shorter than this shows nothing, in seconds.
_SHOWN_AFTER = 0.5


def shown() -> Callable[..., object] | None:
    """Returns what shows the progress of one run, or None where nobody would see it."""
    if "ipykernel" in sys.modules:
        return _Line(_Cell())
    if sys.stderr is not None and sys.stderr.isatty():
        return _Line(_Terminal())
    return None


class _Line:
    """Words how far the run is."""

    def __init__(self, place: _Terminal | _Cell) -> None:
        self._place = place
        self._started = time.monotonic()

    def __call__(self, rows: int, errors: int, in_flight: int, is_over: bool) -> None:
        elapsed = time.monotonic() - self._started
        if is_over:
            self._place.clear()
        elif elapsed >= _SHOWN_AFTER:
            rate = rows / elapsed
            self._place.show(
                f"{rows:,} rows, {errors:,} errors, {in_flight:,} under way, {rate:,.0f}/s"
            )


class _Terminal:
    """One line of standard error, which is taken away at the end."""

    def __init__(self) -> None:
        self._is_shown = False

    def show(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
        self._is_shown = True

    def clear(self) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


class _Cell:
    """A line below the cell of a notebook."""

    def __init__(self) -> None:
        self._handle = None

    def show(self, text: str) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

        page = HTML(f"<pre>{text}</pre>")
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def clear(self) -> None:
        from IPython.display import HTML

        if self._handle is not None:
            self._handle.update(HTML(""))
