"""Repository that Argo CD follows: a copy of this one, changed only by commits and pushes."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from settings import ROOT, ClusterSettings

ARGOCD_FILES = ("2-project.yaml", "3-applicationset.yaml")
REPOSITORY = re.compile(r"https://git\.example\.com/\S+")


class Repository:
    """Working copy, and where it is pushed to."""

    def __init__(self, folder: Path, settings: ClusterSettings) -> None:
        self.folder = folder
        self._url = f"{settings.git_url}/gitops.git"
        self._url_in_cluster = f"{settings.git_url_in_cluster}/gitops.git"

    def copy_from_here(self) -> None:
        """Copy the files that Git knows here, as they are now, and commit them there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        self._git("init", "--quiet", "--initial-branch", "main")
        self._git("config", "user.name", "e2e")
        self._git("config", "user.email", "e2e@example.com")
        # Send a push in one piece, because some small Git servers refuse chunks.
        self._git("config", "http.postBuffer", str(64 << 20))
        self._git("remote", "add", "origin", self._url)
        self._name_repository()
        self.commit("The repository as it is")

    def set(self, environment: str, file: str, values: Mapping[str, Any]) -> None:
        """Change values in an environment's file; names are dotted, and None removes a value."""
        path = self.folder / "environments" / environment / f"{file}.yaml"
        found = yaml.safe_load(path.read_text())
        for name, value in values.items():
            _put(found, name.split("."), value)
        path.write_text(yaml.safe_dump(found, sort_keys=False))

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """Change the text of a file."""
        file = self.folder / path
        before = file.read_text()
        after = change(before)
        assert after != before, f"{path} has nothing to change"
        file.write_text(after)

    def commit(self, message: str) -> str:
        """Commit all changes and return the new revision."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        return self.head()

    def push(self) -> str:
        """Push what is committed and return its revision."""
        self._git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
        return self.head()

    def revert(self, revision: str) -> str:
        """Revert a commit, push, and return the new revision."""
        self._git("revert", "--no-edit", revision)
        return self.push()

    def head(self) -> str:
        """Return the committed revision."""
        return self._git("rev-parse", "HEAD").strip()

    def message(self) -> str:
        """Return the message of the last commit."""
        return self._git("log", "-1", "--format=%B")

    def make(self, *arguments: str) -> str:
        """Run one of the repository's commands in the copy, with the tools that are set up here."""
        done = self._run_make(arguments)
        assert done.returncode == 0, f"make {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def refused(self, command: str, *arguments: str) -> str:
        """Run a command that must end with exit code 1, a refusal; any other code means that nothing was decided.

        Returns:
            The output of the command.
        """
        done = self._run_make([command, *arguments])
        said = done.stderr + done.stdout
        # Make's own exit code is 2, whatever its command's was.
        assert done.returncode and f"{command}] Error 1" in said, f"make {command}: {done.returncode} {said}"
        return said

    def _run_make(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        command = ["make", "--silent", f"TOOLS={ROOT / '.tools'}", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)

    def _name_repository(self) -> None:
        for name in ARGOCD_FILES:
            self.edit(f"argocd/{name}", lambda text: REPOSITORY.sub(self._url_in_cluster, text))

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout


def _put(values: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        values = values.setdefault(name, {})
    if value is None:
        values.pop(names[-1])
    else:
        values[names[-1]] = value
