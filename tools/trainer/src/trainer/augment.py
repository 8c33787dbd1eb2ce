"""Augmentation: the rows that the model learns from, the corpus's mails and what is made of them.

Each mail gives copies: dressed in HTML of today, a part of its words, a short excerpt. Filled templates add kinds of
mail that public corpora lack. Copies are learned from and never scored.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import features
from trainer import dressing, excerpts, parts, templates, vocabulary
from trainer.seen import Seen, seen

SETTINGS: dict[str, Any] = {
    "dressed_copies": 1,
    "dressed_weight": 1.0,
    "part_copies": 1,
    "part_weight": 1.0,
    "part_dressed_share": 0.5,
    "excerpt_copies": 1,
    "excerpt_weight": 1.0,
    "template_copies": 12,
    "template_weight": 1.0,
    "template_part_copies": 0,
    "template_part_weight": 1.0,
}
"""Copies of each mail or template by kind, and the weight of each copy where a mail of the corpus weighs 1.

`template_part_copies` are parts of each filled template.

Ham and spam have the same counts and weights. A weight or count of 0 leaves the kind out.
"""
WORKERS = 2
SECONDS_ALONE = 2.0
"""Seconds after which the work is shared among `WORKERS` processes."""
_BATCH = 64
_FIRST = 8

_LINE_EVERY = 2048

Job = TypeVar("Job")
Integers = NDArray[np.int_]
Progress = Callable[[str], None]
Row = tuple[str, float, features.Features]
"""Kind, weight and features of one row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of n mails of a corpus, in their order, then of all copies and templates: m rows together."""

    texts: list[str]
    values: NDArray[np.float64]
    """Named numbers [m, k] in the order of `features.NAMES`."""
    spam: Integers
    """1 for spam, 0 for ham [m]."""
    groups: Integers
    """Groups that folds keep together [m]: a copy is in its mail's, each template has one of its own."""
    weights: NDArray[np.float64]
    """Weight of each row in the fit [m]."""
    kinds: list[str]
    """What each row is [m]: mail, dressed, part, excerpt, template or template_part."""


def augmented(
    mails: Sequence[bytes],
    spam: Integers,
    groups: Integers,
    seed: int,
    progress: Progress = lambda line: None,
    root: Path = templates.ROOT,
) -> Rows:
    """Return the features of mails, of their copies and of filled templates.

    Args:
        mails: Raw mails [n].
        spam: Kind of each mail [n].
        groups: Group of near-duplicates of each mail [n].
        seed: Which of the possible copies; the same arguments give the same rows.
        progress: Called with each line of progress.
        root: Folder of the templates.

    Raises:
        TrainerError: If a template is malformed.
    """
    written = templates.load(root)
    first_group = int(groups.max()) + 1 if len(groups) else 0
    jobs = [(seed, number, raw) for number, raw in enumerate(mails)]
    found = list(_shared(_of_mail, jobs, "mails and their copies", progress))
    filled = list(_shared(_of_template, [(seed, each) for each in written], "templates", progress))
    owners = [
        *[(row, spam[number], groups[number]) for number, rows in enumerate(found) for row in rows[:1]],
        *[(row, spam[number], groups[number]) for number, rows in enumerate(found) for row in rows[1:]],
        *[(row, written[n].spam, first_group + n) for n, rows in enumerate(filled) for row in rows],
    ]
    return _rows(owners)


def digest(root: Path = templates.ROOT) -> str:
    """Return the SHA-256 (hex) of the templates' names and contents, and of the words that fill them."""
    found = hashlib.sha256(vocabulary.FILE.read_bytes())
    for file in sorted(root.rglob("*.txt")):
        found.update(f"{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return found.hexdigest()


def _rows(owners: list[tuple[Row, Any, Any]]) -> Rows:
    return Rows(
        texts=[row[2].text for row, _, _ in owners],
        values=np.array([row[2].values for row, _, _ in owners]).reshape(len(owners), len(features.NAMES)),
        spam=np.array([kind for _, kind, _ in owners], dtype=np.int_),
        groups=np.array([group for _, _, group in owners], dtype=np.int_),
        weights=np.array([row[1] for row, _, _ in owners]),
        kinds=[row[0] for row, _, _ in owners],
    )


def _of_mail(job: tuple[int, int, bytes]) -> list[Row]:
    """Return the rows of one mail, the mail itself first."""
    seed, number, raw = job
    found = seen(raw)
    makers: dict[str, Callable[[random.Random], bytes | str]] = {
        "dressed": lambda chosen: dressing.dressed(found, chosen),
        "part": lambda chosen: _part(found, chosen),
        "excerpt": lambda chosen: excerpts.excerpt(raw, chosen),
    }
    rows = [("mail", 1.0, features.extract(raw))]
    for kind, make in makers.items():
        made = [make(random.Random(f"{kind}/{seed}/{number}/{copy}")) for copy in _copies(kind)]
        rows += [(kind, SETTINGS[f"{kind}_weight"], features.extract(each)) for each in made]
    return rows


def _part(found: Seen, chosen: random.Random) -> bytes:
    piece = parts.part(found, chosen)
    if chosen.random() < SETTINGS["part_dressed_share"]:
        return dressing.dressed(piece, chosen)
    return dressing.plain_message(piece.text, dressing.Sent(piece.subject), chosen)


def _of_template(job: tuple[int, templates.Template]) -> list[Row]:
    """Return the rows of one template, each filled copy before its parts."""
    seed, template = job
    rows: list[Row] = []
    for copy in _copies("template"):
        raw = templates.fill(template, 1000 * seed + copy)
        rows.append(("template", SETTINGS["template_weight"], features.extract(raw)))
        found = seen(raw)
        for part in _copies("template_part"):
            made = _part(found, random.Random(f"template part/{seed}/{template.name}/{copy}/{part}"))
            rows.append(("template_part", SETTINGS["template_part_weight"], features.extract(made)))
    return rows


def _copies(kind: str) -> range:
    return range(SETTINGS[f"{kind}_copies"] if SETTINGS[f"{kind}_weight"] else 0)


def _shared(work: Callable[[Job], list[Row]], jobs: list[Job], what: str, progress: Progress) -> Iterator[list[Row]]:
    """Yield the results of the jobs in order; long work is shared among `WORKERS` processes."""
    start = monotonic()
    first = [work(job) for job in jobs[:_FIRST]]
    rest = jobs[_FIRST:]
    yield from first
    if (monotonic() - start) / _FIRST * len(rest) < SECONDS_ALONE:
        yield from map(work, rest)
        return
    # Processes that are forked from one with threads can hang, so they are spawned by a server without any.
    with ProcessPoolExecutor(WORKERS, get_context("forkserver"), _settle, (SETTINGS,)) as pool:
        for number, rows in enumerate(pool.map(work, rest, chunksize=_BATCH), len(first) + 1):
            yield rows
            if number % _LINE_EVERY == 0 or number == len(jobs):
                progress(f"{what}: {number} of {len(jobs)}")


def _settle(settings: dict[str, Any]) -> None:
    """Give a new process the settings of its parent, which an experiment may have changed."""
    SETTINGS.update(settings)
