"""What an executor has measured, and what follows from it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A processor that is busy for this share of the time has nothing left for more threads.
_SATURATED = 0.8
#: Tasks that wait for this share of their time leave room for others.
_WAITS = 0.5
#: A queue in which tasks stay for this share of a task's time is worth another worker.
_QUEUES = 0.1


class Stats:
    """Figures of one executor since it was made. Times are in seconds.

    Tasks are timed by sample: the first 16 of each worker, then one in 16. ``task_cpu_seconds`` is what the worker's thread
    took of a processor; a wait for the network, for a disk or for the interpreter's lock is none.
    """

    workers: int
    idle: int
    running: int
    queued: int
    submitted: int
    returned: int
    raised: int
    cancelled: int
    running_max: int
    timed: int
    task_seconds: float
    task_cpu_seconds: float
    queue_seconds: float
    queue_seconds_max: float
    busy_seconds: float
    max_workers: int

    __slots__ = (
        "busy_seconds",
        "cancelled",
        "idle",
        "max_workers",
        "queue_seconds",
        "queue_seconds_max",
        "queued",
        "raised",
        "returned",
        "running",
        "running_max",
        "submitted",
        "task_cpu_seconds",
        "task_seconds",
        "timed",
        "workers",
    )

    def __init__(self, **figures: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, figures[name])

    @property
    def cores(self) -> float:
        """How many processors the tasks kept busy, while any task ran."""
        if not self.busy_seconds:
            return 0.0
        return self.task_cpu_seconds * (self.returned + self.raised) / self.busy_seconds

    @property
    def waiting(self) -> float:
        """The share of a task's time in which it did not compute, from 0 to 1."""
        if not self.task_seconds:
            return 0.0
        return max(0.0, 1.0 - self.task_cpu_seconds / self.task_seconds)

    def advice(self) -> str:
        """One sentence that says whether more workers would help, with the numbers it follows from."""
        if not self.timed:
            return "no task has ended yet, so there is nothing to go by"
        waiting = f"tasks wait for {self.waiting:.0%} of their {_time(self.task_seconds)}"
        if self.cores >= _SATURATED:
            return (
                f"the tasks compute: they keep {self.cores:.1f} processors busy, and the interpreter's lock lets one "
                "thread compute at a time, so more workers do not help; processes do, or calls that release the lock"
            )
        is_full = self.running_max >= self.max_workers
        is_queueing = self.queue_seconds > _QUEUES * self.task_seconds
        if self.waiting >= _WAITS and is_full and is_queueing:
            return (
                f"more workers help: {waiting}, all {self.max_workers} workers were busy, and a task stayed in the "
                f"queue for {_time(self.queue_seconds)}"
            )
        return (
            f"there are enough workers: {waiting}, at most {self.running_max} of {self.max_workers} workers were busy, "
            f"and a task stayed in the queue for {_time(self.queue_seconds)}"
        )

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Stats({figures})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stats):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds * 1e6:.0f} µs"
