"""Augmentation: the rows that the model learns from, the corpus's mails and what is made of them.

Each mail gives copies: dressed in HTML of today, a part, a short excerpt. Filled templates add kinds of mail that
public corpora lack. Copies are learned from and judge no model; with the mails, they set the threshold and the sigmoid.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

import features
from trainer import dressing, excerpts, parts, templates, vocabulary
from trainer.seen import Seen, seen

SETTINGS: dict[str, Any] = {
    "dressed": {"copies": 1, "ham": 0.02, "spam": 0.02},
    "part": {"copies": 1, "ham": 0.3, "spam": 0.3},
    "excerpt": {"copies": 1, "ham": 0.1, "spam": 0.0},
    "template": {"copies": 12, "ham": 0.03, "spam": 0.03},
    "shortest_part": 500,
    "part_dressed_share": 0.5,
}
"""Copies of each mail or template by kind, and the weight of a ham or spam copy where a mail of the corpus weighs 1.

A kind of 0 copies, or with a weight of 0, is left out, and so is a part with fewer than `shortest_part` characters.
Spam gives no excerpts, since a line of spam may say nothing.
"""
WORKERS = 2
SECONDS_ALONE = 2.0
"""Seconds after which the work is shared among `WORKERS` processes."""
_BATCH = 32
_BLOCK = 2048
_FIRST = 8

Job = TypeVar("Job")
Integers = NDArray[np.int_]
Progress = Callable[[str], None]
MailJob = tuple[int, int, bytes, bool]
"""Seed, number, raw mail and whether it is spam."""
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
    """What each row is [m]: mail, dressed, part, excerpt or template."""
    origins: Integers
    """Number of the mail that each row is made of, or n and the template's number [m]."""

    def __len__(self) -> int:
        """Return m."""
        return len(self.texts)

    @property
    def mails(self) -> int:
        """Return n."""
        return self.kinds.count("mail")

    def take(self, places: NDArray[np.intp]) -> "Rows":
        """Return the rows at some places."""
        return Rows(
            texts=[self.texts[place] for place in places],
            values=self.values[places],
            spam=self.spam[places],
            groups=self.groups[places],
            weights=self.weights[places],
            kinds=[self.kinds[place] for place in places],
            origins=self.origins[places],
        )


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
    found = list(_shared(_of_mail, _MailJobs(seed, mails, spam), "mails and their copies", progress))
    filled = list(_shared(_of_template, [(seed, each) for each in written], "templates", progress))
    owners = [
        *[(rows[0], spam[n], groups[n], n) for n, rows in enumerate(found)],
        *[(row, spam[n], groups[n], n) for n, rows in enumerate(found) for row in rows[1:]],
        *[(row, written[n].spam, first_group + n, len(found) + n) for n, rows in enumerate(filled) for row in rows],
    ]
    return _rows(owners)


def digest(root: Path = templates.ROOT) -> str:
    """Return the SHA-256 (hex) of the templates' names and contents, and of the words that fill them."""
    found = hashlib.sha256(vocabulary.FILE.read_bytes())
    for file in sorted(root.rglob("*.txt")):
        found.update(f"{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return found.hexdigest()


def _rows(owners: list[tuple[Row, Any, Any, int]]) -> Rows:
    rows, spam, groups, origins = zip(*owners, strict=True) if owners else ((), (), (), ())
    return Rows(
        texts=[found.text for _, _, found in rows],
        values=np.array([found.values for _, _, found in rows]).reshape(len(rows), len(features.NAMES)),
        spam=np.array(spam, dtype=np.int_),
        groups=np.array(groups, dtype=np.int_),
        weights=np.array([weight for _, weight, _ in rows]),
        kinds=[kind for kind, _, _ in rows],
        origins=np.array(origins, dtype=np.int_),
    )


@dataclass(frozen=True, slots=True)
class _MailJobs(Sequence[MailJob]):
    """Jobs of the mails, each mail read when its job is taken."""

    seed: int
    mails: Sequence[bytes]
    spam: Integers

    def __len__(self) -> int:
        return len(self.mails)

    @overload
    def __getitem__(self, number: int) -> MailJob: ...
    @overload
    def __getitem__(self, number: slice) -> list[MailJob]: ...
    def __getitem__(self, number: int | slice) -> MailJob | list[MailJob]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        return self.seed, number, self.mails[number], bool(self.spam[number])


def _of_mail(job: MailJob) -> list[Row]:
    """Return the rows of one mail, the mail itself first."""
    seed, number, raw, spam = job
    found, whole = seen(raw), features.extract(raw)
    makers: dict[str, Callable[[random.Random], features.Features | None]] = {
        "dressed": lambda chosen: features.extract(dressing.dressed(found, chosen)),
        "part": lambda chosen: _part(found, chosen),
        "excerpt": lambda chosen: features.extract(excerpts.excerpt(raw, chosen)),
    }
    rows = [("mail", 1.0, whole)]
    for kind, make in makers.items():
        made = [make(random.Random(f"{kind}/{seed}/{number}/{copy}")) for copy in _copies(kind, spam)]
        rows += [(kind, _weight(kind, spam), each) for each in made if each]
    return rows


def _part(found: Seen, chosen: random.Random) -> features.Features | None:
    """Return the features of a part of a mail, or None if the part is too short."""
    piece = parts.part(found, chosen)
    if len(piece.text) < SETTINGS["shortest_part"]:
        return None
    dressed = chosen.random() < SETTINGS["part_dressed_share"]
    return features.extract((dressing.dressed if dressed else dressing.plain_copy)(piece, chosen))


def _of_template(job: tuple[int, templates.Template]) -> list[Row]:
    """Return the rows of one template."""
    seed, template = job
    spam = bool(template.spam)
    weight = _weight("template", spam)
    filled = [templates.fill(template, 1000 * seed + copy) for copy in _copies("template", spam)]
    return [("template", weight, features.extract(raw)) for raw in filled]


def _copies(kind: str, spam: bool) -> range:
    return range(SETTINGS[kind]["copies"] if _weight(kind, spam) else 0)


def _weight(kind: str, spam: bool) -> float:
    weight: float = SETTINGS[kind]["spam" if spam else "ham"]
    return weight


def _shared(
    work: Callable[[Job], list[Row]], jobs: Sequence[Job], what: str, progress: Progress
) -> Iterator[list[Row]]:
    """Yield the results of the jobs in order; long work is shared among `WORKERS` processes."""
    start = monotonic()
    first = [work(job) for job in jobs[:_FIRST]]
    yield from first
    if (monotonic() - start) / _FIRST * (len(jobs) - len(first)) < SECONDS_ALONE:
        yield from map(work, jobs[len(first) :])
        return
    # Processes that are forked from one with threads can hang, so they are spawned by a server without any.
    with ProcessPoolExecutor(WORKERS, get_context("forkserver"), _settle, (SETTINGS,)) as pool:
        # A pool takes all its jobs at once: in blocks, few mails are in memory.
        for block in range(len(first), len(jobs), _BLOCK):
            yield from pool.map(work, jobs[block : block + _BLOCK], chunksize=_BATCH)
            progress(f"{what}: {min(block + _BLOCK, len(jobs))} of {len(jobs)}")


def _settle(settings: dict[str, Any]) -> None:
    """Give a new process the settings of its parent, which an experiment may have changed."""
    SETTINGS.update(settings)
