"""Model that is known to be weaker than the trainer's own for the same corpus, and is judged on the same folds.

Run in the trainer's environment. Only what the model learns from is changed, never what it is judged by. So the
evidence for a promotion can compare the two mail by mail:

coarse    With `COARSE` instead of the trainer's settings: a model from before they were chosen.
shuffled  With the labels of a tenth of the mails, drawn with a fixed seed, exchanged among themselves, as by a sorting
          mistake. About four in ten of those labels are then wrong, since most mails are ham.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from corpus import find_mails
from trainer import model
from trainer.augment import Rows
from trainer.train import train

Labels = NDArray[np.int_]

COARSE = {"svm_c": 0.3, "numbers_weight": 0.03}
"""Settings weak enough that the difference is significant, and close enough that models agree on 98 of 100 mails."""
SHUFFLED_SHARE = 0.1
SEED = 0


def shuffled(labels: Labels) -> Labels:
    """Return labels [n] in which those of a share of the mails have been exchanged among themselves."""
    random = np.random.default_rng(SEED)
    drawn = random.choice(len(labels), int(SHUFFLED_SHARE * len(labels)), replace=False)
    told = labels.copy()
    told[drawn] = random.permutation(labels[drawn])
    return told


def mislead(corpus: Path) -> None:
    """Let every later fit learn the shuffled labels of a corpus."""
    told = shuffled(np.array([mail.spam for mail in find_mails(corpus, 1)], np.int_))
    learn = model.learn

    def learn_shuffled(rows: Rows) -> Pipeline:
        # Templates, which come after the corpus's mails, keep their labels.
        of_mails = rows.origins < len(told)
        labels = np.where(of_mails, told[np.where(of_mails, rows.origins, 0)], rows.spam)
        return learn(replace(rows, spam=labels))

    model.learn = learn_shuffled


def main() -> None:
    """Train a weaker model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("coarse", "shuffled"))
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="root of the bundles, as of trainer train")
    options = parser.parse_args()
    if options.kind == "shuffled":
        mislead(options.corpus)
    else:
        model.SETTINGS |= COARSE
    # The version names what was done: the trainer's own would be that of the corpus with its true labels.
    print(train(options.corpus, options.out, options.kind, False, print))


if __name__ == "__main__":
    main()
