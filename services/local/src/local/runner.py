"""The processes of the Procfile under honcho."""

from collections.abc import Mapping
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager

INTERRUPTED = (130, 143)


class Runner(Manager):  # type: ignore[misc]
    """Honcho's manager, which ends everything when any process ends; this one only when the main process does.

    An environment whose processes die must not take the other one along, here as in a cluster.
    """

    def __init__(self, main: str) -> None:
        super().__init__()
        self._main = main

    def _any_stopped(self) -> bool:
        return self._terminating or self._processes[self._main].get("returncode") is not None

    def exit_code(self) -> int:
        """0 when a person ended it, else what the main process ended with."""
        if self.returncode in INTERRUPTED:
            return 0
        code = self._processes[self._main].get("returncode")
        return 1 if code is None else abs(code)


def runner(procfile: Path, main: str, environ: Mapping[str, str]) -> Runner:
    """A runner of the Procfile's processes with this environment, in the Procfile's folder."""
    made = Runner(main)
    for name, command in parse_procfile(procfile.read_text()).processes.items():
        made.add_process(name, command, env=dict(environ), cwd=str(procfile.parent))
    return made
