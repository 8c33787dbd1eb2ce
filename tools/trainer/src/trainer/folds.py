"""Folds in which near-duplicates stay together.

Spam comes in campaigns and news in issues. If one copy were in training and another in the test, the test would measure
memory.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.model_selection import StratifiedGroupKFold

from corpus import CorpusError

Indices = NDArray[np.intp]
Split = tuple[Indices, Indices]
"""Rows to train on, rows to test on."""

FOLDS = 5
SIMILARITY = 0.9
"""Cosine of two mails' sets of words at or above which they are near-duplicates."""
_BLOCK = 256


def near_duplicates(texts: list[str]) -> NDArray[np.int_]:
    """Return the number of each mail's group of near-duplicates [n]: connected components of cosine >= `SIMILARITY`.

    Sets of a and b words, a <= b, have a cosine of at most sqrt(a / b). Mails sorted by size therefore need comparing
    only within a window. Blocks of rows limit the memory to `_BLOCK` x n.
    """
    vectors = HashingVectorizer(analyzer=str.split, n_features=2**20, binary=True, alternate_sign=False)
    rows = vectors.transform(texts)
    order = np.argsort(np.diff(rows.indptr), kind="stable")
    rows = rows[order]
    pairs = [_pairs(rows, start) for start in range(0, len(texts), _BLOCK)]
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = sparse.coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(len(texts), len(texts)))
    groups = np.empty(len(texts), np.int_)
    groups[order] = connected_components(graph, directed=False)[1]
    return groups


def _pairs(rows: sparse.csr_matrix, start: int) -> tuple[Indices, Indices]:
    sizes = np.diff(rows.indptr)
    stop = min(start + _BLOCK, rows.shape[0])
    window = np.searchsorted(sizes, sizes[stop - 1] / SIMILARITY**2, side="right")
    cosines = (rows[start:stop] @ rows[start:window].T).tocoo()
    near = cosines.data >= SIMILARITY
    return cosines.row[near] + start, cosines.col[near] + start


def check(spam: NDArray[np.int_], groups: NDArray[np.int_]) -> None:
    """Check that every fold, and every fold of the rest without it, has mails of both kinds.

    Raises:
        CorpusError: If there are too few groups of near-duplicates for that.
    """
    for kind, label in (("ham", 0), ("spam", 1)):
        count = len(np.unique(groups[spam == label]))
        if count < FOLDS + 1:
            raise CorpusError(_too_few(f"{count} groups of near-duplicate {kind} and needs {FOLDS + 1} or more"))
    for train, test in split(spam, groups):
        inner = [rows for pair in split(spam[train], groups[train]) for rows in pair]
        if not all(_has_both(kinds) for kinds in (spam[test], *(spam[train][rows] for rows in inner))):
            raise CorpusError(_too_few(f"near-duplicates that do not fall into {FOLDS} folds with both kinds in each"))


def _has_both(kinds: NDArray[np.int_]) -> bool:
    return len(np.unique(kinds)) == 2


def _too_few(what: str) -> str:
    return f"the corpus has {what}: add mails that differ, since copies of one mail say nothing of another"


def split(spam: NDArray[np.int_], groups: NDArray[np.int_], seed: int = 0) -> list[Split]:
    """Split rows into `FOLDS` folds with equal shares of spam; no group is in two of them."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(spam)), spam, groups))
