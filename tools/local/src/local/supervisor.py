"""Supervisor of the processes of the Procfile, none of which outlives it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local import guard, keeper
from local.keeper import GRACE_SECONDS, send
from local.output import Output

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PARENT_SECONDS = 0.5
"""Seconds between two checks whether the parent process lives."""
LAST_WORDS_SECONDS = 2.0
"""Seconds to read the output of a process that has ended; a child of it may hold the output open."""
LINE_BYTES = 1 << 16
"""Most bytes of a line of output; a longer line is broken."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Processes to run."""

    commands: Mapping[str, str]
    """Command line for the shell, by the name of the process."""
    main: str
    """Name of the process whose end ends all others."""
    environ: Mapping[str, str]
    folder: Path
    """Working directory of the commands."""
    with_parent: bool = False
    """Whether everything ends when the process that started the supervisor does."""


def read_procfile(path: Path) -> dict[str, str]:
    """Return the command of each process by name."""
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name.strip(): command.strip() for name, _, command in lines if not name.lstrip().startswith("#")}


class Supervisor:
    """Supervisor that runs processes, passes their output on, and ends all of them.

    All processes end when the main one does, at a signal, when nobody can read the output any more, or with the parent.
    As in a cluster, an environment whose processes die does not affect the other one. If the supervisor is killed, the
    kernel (`guard`) and a watching process (`keeper`) end the others.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._end = asyncio.Event()
        self._reason = ""
        self._code: int | None = None
        self._hurry = False

    @property
    def ending(self) -> bool:
        """Return whether everything is about to end."""
        return self._end.is_set()

    async def run(self, when_started: Callable[[Output], None] = lambda _: None) -> int:
        """Run everything until its end.

        Args:
            when_started: Called once all processes have been started.

        Returns:
            0 if a person ended it, else the exit code of the main process.
        """
        loop = asyncio.get_running_loop()
        self._handle_signals(loop)

        def gone() -> None:
            loop.call_soon_threadsafe(self._finish, "nobody reads the output any more")

        self._output = Output(1, list(self._plan.commands), gone)
        self._keeper = _start_keeper()
        parent = asyncio.create_task(self._watch_parent(os.getppid())) if self._plan.with_parent else None
        try:
            await self._start_all()
            if not self.ending:
                when_started(self._output)
            await self._end.wait()
        finally:
            if parent:
                parent.cancel()
            await self._end_all()
        return self._code if self._code is not None else 0

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in SIGNALS:
            # `nohup` makes the process ignore the end of the terminal, and that must stay so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        self._hurry = self.ending and number == signal.SIGINT
        self._finish(f"{number.name} received")
        if self._hurry:
            self._send_all(signal.SIGKILL)

    def _finish(self, reason: str, code: int | None = None) -> None:
        if not self.ending:
            self._reason, self._code = reason, code
            self._end.set()

    async def _watch_parent(self, parent: int) -> None:
        while os.getppid() == parent:
            await asyncio.sleep(PARENT_SECONDS)
        self._finish("the process that started this one has ended", 1)

    async def _start_all(self) -> None:
        for name, command in self._plan.commands.items():
            if self.ending:
                return
            process = await asyncio.create_subprocess_exec(
                *[sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), "/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self._plan.environ),
                cwd=self._plan.folder,
                start_new_session=True,
            )
            self._processes[name] = process
            self._tell_keeper("+", process.pid)
            self._output.line("system", f"{name} started (pid={process.pid})")
            self._watchers.append(asyncio.create_task(self._watch(name, process)))

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        reader = asyncio.create_task(self._pass_on(name, process))
        code = await process.wait()
        # Kill what is left of its group, so that others may reuse the group's number.
        send(process.pid, signal.SIGKILL)
        self._tell_keeper("-", process.pid)
        await asyncio.wait([reader], timeout=LAST_WORDS_SECONDS)
        reader.cancel()
        self._output.line("system", f"{name} stopped (rc={code})")
        if name == self._plan.main:
            self._finish(f"{name} has ended", abs(code))

    async def _pass_on(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        while content := await process.stdout.read(LINE_BYTES):
            *lines, rest = (rest + content).split(b"\n")
            if len(rest) > LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._output.line(name, line.decode(errors="replace"))
        if rest:
            self._output.line(name, rest.decode(errors="replace"))

    async def _end_all(self) -> None:
        self._output.line("system", self._reason or "ended")
        self._send_all(signal.SIGKILL if self._hurry else signal.SIGTERM)
        if self._watchers:
            _, left = await asyncio.wait(self._watchers, timeout=GRACE_SECONDS)
            if left:
                self._send_all(signal.SIGKILL)
                await asyncio.wait(left, timeout=GRACE_SECONDS)
        if self._keeper.stdin:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._keeper.stdin.close()
                await asyncio.to_thread(self._keeper.wait, LAST_WORDS_SECONDS)
        self._output.close(LAST_WORDS_SECONDS)

    def _send_all(self, number: signal.Signals) -> None:
        for name, process in self._processes.items():
            if process.returncode is None:
                self._output.line("system", f"sending {number.name} to {name} (pid {process.pid})")
                send(process.pid, number)

    def _tell_keeper(self, change: str, group: int) -> None:
        # If the keeper is gone, only the kernel ends the processes of a killed supervisor.
        with contextlib.suppress(OSError):
            assert self._keeper.stdin is not None
            self._keeper.stdin.write(f"{change}{group}\n".encode())
            self._keeper.stdin.flush()


def _start_keeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
