"""Git command in one working tree."""

import io
import subprocess
import tarfile
from pathlib import Path

from release.errors import ReleaseError


class Git:
    """Git repository."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def around(cls, folder: Path) -> "Git":
        """Return the repository that contains a folder.

        Raises:
            ReleaseError: If no repository contains it.
        """
        return cls(Path(cls(folder).run("rev-parse", "--show-toplevel").strip()))

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run git and return its output.

        Raises:
            ReleaseError: If git fails.
        """
        return self._run(arguments, text.encode() if text is not None else None).decode()

    def resolves(self, revision: str) -> bool:
        """Return whether a name resolves to a commit."""
        command = ["git", "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}"]
        return subprocess.run(command, cwd=self.root, capture_output=True, check=False).returncode == 0

    def changes(self, *paths: str) -> list[str]:
        """Return the files below these paths that are new or differ from the last commit."""
        listed = self.run("status", "--porcelain", "--untracked-files=all", "--", *paths)
        return [line[3:] for line in listed.splitlines()]

    def export(self, revision: str, target: Path, *paths: str) -> None:
        """Write a commit's files below these paths into a folder, if it has any."""
        there = [path for path in paths if self.run("ls-tree", "--name-only", revision, "--", path)]
        if there:
            archive = self._run(("archive", "--format=tar", revision, "--", *there))
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                # Python before 3.11.4 has no filter; the archive is git's own.
                files.extraction_filter = getattr(tarfile, "data_filter", None)
                files.extractall(target)

    def _run(self, arguments: tuple[str, ...], content: bytes | None = None) -> bytes:
        done = subprocess.run(["git", *arguments], cwd=self.root, input=content, capture_output=True, check=False)
        if done.returncode:
            raise ReleaseError(f"git {arguments[0]} failed: {done.stderr.decode().strip()}")
        return done.stdout
