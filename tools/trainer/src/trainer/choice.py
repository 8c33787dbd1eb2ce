"""Choice of the corpus: the one that is named, else the one the model was trained on, else SpamAssassin's."""

import os
from pathlib import Path

from corpus import CorpusError, shown, survey
from trainer.errors import TrainerError
from trainer.fetch import FOLDER, fetch_corpus

MINIMUM = 25
"""Fewest mails of each kind, five for each fold; a fold of fewer says nothing."""
BACK = "CORPUS_DIR= (empty) goes back to the SpamAssassin corpus"


def choose(named: str | None, trained: Path, cache: Path) -> Path:
    """Return the folder or file of the corpus to use.

    Args:
        named: Value of CORPUS_DIR. Empty means the SpamAssassin corpus; None means that nothing is set.
        trained: File that names the user's own corpus that the model was trained on, if there is one.
        cache: Folder that holds the SpamAssassin corpus.

    Raises:
        CorpusError: If the folder is not a corpus, or if the corpus that the model was trained on is gone.
        TrainerError: If the SpamAssassin corpus cannot be fetched.
    """
    if named:
        return Path(named).absolute()
    if named is None and trained.is_file():
        folder = noted(trained)
        if not folder.exists():
            raise CorpusError(
                f"corpus {shown(folder)}, which the model was trained on, is gone;"
                f" name another by CORPUS_DIR, or {BACK}"
            )
        return folder
    return fetch_corpus(cache)


def note(folder: Path, at: Path) -> None:
    """Write the folder's name to a file, unless the file names it already and nothing in the folder is newer.

    `make` trains again when the file is newer than the model. A folder that is not a corpus is not written.

    Raises:
        CorpusError: If the folder is not a corpus.
        TrainerError: If the file cannot be written.
    """
    if is_noted(folder, at):
        return
    survey(folder, MINIMUM)
    _write(folder, at)


def noted(at: Path) -> Path:
    """Return the folder that a file names.

    Raises:
        TrainerError: If the file cannot be read.
    """
    try:
        return Path(os.fsdecode(at.read_bytes().rstrip(b"\n")))
    except OSError as error:
        raise TrainerError(f"{at}, which names the corpus, cannot be read: {error.strerror}") from None


def keep(folder: Path, trained: Path) -> None:
    """Write down which corpus the model was trained on, or remove the file if it is SpamAssassin's.

    Raises:
        TrainerError: If the file cannot be written.
    """
    if folder.name == FOLDER:
        trained.unlink(missing_ok=True)
    else:
        _write(folder, trained)


def _write(folder: Path, at: Path) -> None:
    fresh = at.with_name(f"{at.name}.{os.getpid()}")
    try:
        fresh.write_bytes(os.fsencode(folder) + b"\n")
        fresh.replace(at)
    except OSError as error:
        raise TrainerError(f"{at} cannot be written: {error.strerror}; free space or change permissions") from None


def is_noted(folder: Path, at: Path) -> bool:
    """Return whether the file names this folder and nothing in the folder has changed since."""
    try:
        content, since = at.read_bytes(), at.stat().st_mtime_ns
    except OSError:
        return False
    return content == os.fsencode(folder) + b"\n" and not _changed_since(folder, since)


def _changed_since(folder: Path, since: int) -> bool:
    """Return whether a file or folder is newer, down to the mails of a Maildir's subfolders."""
    below = (path for pattern in ("*", "*/*", "*/*/*") for path in folder.glob(pattern))
    return any(_is_newer(path, since) for path in (folder, *below))


def _is_newer(path: Path, since: int) -> bool:
    try:
        return path.stat().st_mtime_ns > since
    except OSError:
        # A link that leads nowhere changes nothing.
        return False
