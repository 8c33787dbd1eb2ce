"""CPU time of processes, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """Parent's id of a process, and its CPU time in clock ticks including its ended children."""

    parent: int
    ticks: int


def parse(stat: str) -> Process:
    """Parse /proc/<pid>/stat (proc_pid_stat(5)): ppid, utime + stime + cutime + cstime."""
    # The command's name is in parentheses and may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return Process(parent=int(fields[1]), ticks=sum(int(field) for field in fields[11:15]))


def processes() -> dict[int, Process]:
    """Return all processes by id."""
    found = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            found[int(folder.name)] = parse((folder / "stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def seconds(roots: Iterable[int]) -> float:
    """Return the CPU time in seconds that these processes and all their descendants have used so far."""
    return tree_ticks(processes(), set(roots)) / TICKS


def tree_ticks(found: dict[int, Process], roots: set[int]) -> int:
    """Return the CPU time in clock ticks of the process trees below `roots`."""
    missing = roots - found.keys()
    if missing:
        raise ProcessLookupError(f"processes {sorted(missing)} have ended")
    return sum(process.ticks for pid, process in found.items() if _descends(pid, found, roots))


def _descends(pid: int, found: dict[int, Process], roots: set[int]) -> bool:
    while pid in found:
        if pid in roots:
            return True
        pid = found[pid].parent
    return False
