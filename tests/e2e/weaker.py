"""A model that is known to be weaker than the trainer's own of the same corpus, and is judged on the same folds.

Run in the trainer's environment. Only what the model learns from is changed, never what it is judged by, so that the
evidence for a promotion can compare the two mail by mail:

coarse    With `COARSE` instead of the trainer's settings: a model of before they were chosen.
shuffled  Of a tenth of the mails, drawn with a fixed seed, the labels have changed places among themselves, as when
          somebody has sorted a file wrongly. About four labels in ten of those are wrong then, since most are ham.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus import find_mails
from trainer import model
from trainer.train import train

Labels = NDArray[np.int_]

COARSE = {"svm_c": 10.0, "numbers_weight": 0.05}
"""So much weaker that the difference is significant, and so little that the models agree on 98 mails in 100."""
SHUFFLED_SHARE = 0.1
SEED = 0


def shuffled(labels: Labels) -> Labels:
    """Labels [n], of which those of a share of the mails have changed places among themselves."""
    random = np.random.default_rng(SEED)
    drawn = random.choice(len(labels), int(SHUFFLED_SHARE * len(labels)), replace=False)
    told = labels.copy()
    told[drawn] = random.permutation(labels[drawn])
    return told


def mislead(corpus: Path) -> None:
    """Have every later fit learn the shuffled labels of a corpus."""
    told = shuffled(np.array([mail.spam for mail in find_mails(corpus, 1)], np.int_))
    fit = model.fit
    # A row of the table keeps the number of its mail within the corpus, in whatever fold it is.
    model.fit = lambda frame, _, groups, excerpts: fit(frame, told[frame.index], groups, excerpts)


def main() -> None:
    """Train one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("coarse", "shuffled"))
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="root of the bundles, as of trainer train")
    options = parser.parse_args()
    if options.kind == "shuffled":
        mislead(options.corpus)
    else:
        model.SETTINGS |= COARSE
    # Named by what was done to it: the trainer's own name would be that of the corpus with its true labels.
    print(train(options.corpus, options.out, options.kind, False, print))


if __name__ == "__main__":
    main()
