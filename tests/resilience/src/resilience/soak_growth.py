"""Growth of the processes of a soak: memory, open files and threads, from /proc."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from resilience.flood import resident_bytes

LOOK_SECONDS = 2.0
FIRST_SHARE = 1 / 3
"""Share of the soak after which growth counts."""
WINDOW_SHARE = 1 / 6
"""Share of the soak in which sizes are taken, at the start of the counted time and at its end."""


class Size(NamedTuple):
    """Resources of a process: bytes of memory, open files and threads."""

    memory: float
    files: float
    threads: float


class Growth(NamedTuple):
    """Sizes of a process at the start of the counted time and at its end."""

    name: str
    first: Size
    last: Size

    @property
    def memory_percent(self) -> float:
        """Return the growth of memory in percent."""
        return 100 * (self.last.memory / self.first.memory - 1)


def size(pid: int) -> Size:
    """Return the resources that a process uses now."""
    folder = Path(f"/proc/{pid}")
    return Size(resident_bytes(pid), len(os.listdir(folder / "fd")), len(os.listdir(folder / "task")))


@dataclass
class Looks:
    """Sizes of all processes over time, by name and process id."""

    found: dict[tuple[str, int], list[tuple[float, Size]]] = field(default_factory=dict)

    async def watch(self, processes: Callable[[], Mapping[str, int]]) -> None:
        """Record all processes at intervals, until cancelled."""
        while True:
            for name, pid in processes().items():
                try:
                    self.found.setdefault((name, pid), []).append((time.monotonic(), size(pid)))
                except OSError:
                    continue  # It was ended just now.
            await asyncio.sleep(LOOK_SECONDS)

    def write(self, file: Path) -> None:
        """Write each process's list of [seconds, bytes, open files, threads] by name, for finding a leak."""
        series = {
            f"{name} (pid {pid})": [[when, *size] for when, size in looks] for (name, pid), looks in self.found.items()
        }
        file.write_text(json.dumps(series))

    def growth(self, start: float, end: float) -> list[Growth]:
        """Return the growth of each process that lived through the last two thirds of the time from start to end."""
        length = end - start
        first, window = start + FIRST_SHARE * length, WINDOW_SHARE * length
        grown = []
        for (name, _), looks in self.found.items():
            early = [size for when, size in looks if first <= when <= first + window]
            late = [size for when, size in looks if end - window <= when <= end]
            if early and late and looks[0][0] <= first:
                grown.append(Growth(name, _usual(early), _usual(late)))
        return grown


def _usual(sizes: Sequence[Size]) -> Size:
    """Return the median of memory and the minimum of the rest: connections vary, but a leak raises the minimum."""
    memory, files, threads = zip(*sizes, strict=True)
    return Size(median(memory), min(files), min(threads))
