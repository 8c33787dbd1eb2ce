"""The processes of the Procfile under honcho."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from honcho.environ import parse_procfile
from honcho.manager import Manager


class Runner(Manager):  # type: ignore[misc]
    """Honcho's manager, with two differences.

    It ends everything only when the main process ends, not when any does: an environment whose processes
    die must not take the other one along, here as in a cluster.

    And it ends everything from its loop, not from within the signal handler: honcho's own handler needs the
    process ids of all processes, so that a signal during the start left processes behind, and it prints,
    possibly in the middle of another print.
    """

    def __init__(self, main: str, when_started: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._main = main
        self._when_started = when_started
        self._signal: signal.Signals | None = None

    @property
    def ending(self) -> bool:
        """Whether a person or the main process ended it."""
        return self._signal is not None or self._processes[self._main].get("returncode") is not None

    def exit_code(self) -> int:
        """0 when a person ended it, else what the main process ended with."""
        if self._signal is not None:
            return 0
        code = self._processes[self._main].get("returncode")
        return 1 if code is None else abs(code)

    def _start(self) -> None:
        # `loop` has set its own handlers just before.
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        super()._start()
        self._when_started()

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signal = signal.Signals(number)

    def _any_stopped(self) -> bool:
        return self.ending

    def terminate(self) -> None:
        """End all processes, saying why."""
        if self._signal is not None:
            self._system_print(f"{self._signal.name} received\n")
        super().terminate()


def runner(
    procfile: Path, main: str, environ: Mapping[str, str], when_started: Callable[[], None] = lambda: None
) -> Runner:
    """A runner of the Procfile's processes with this environment, in the Procfile's folder."""
    made = Runner(main, when_started)
    for name, command in parse_procfile(procfile.read_text()).processes.items():
        made.add_process(name, command, env=dict(environ), cwd=str(procfile.parent))
    return made
