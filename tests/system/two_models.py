"""Bundles of two models that are known to differ: one calls mail with a word spam, the other mail with another word.

Run it in the trainer's environment: two_models.py FOLDER WORD OTHER_WORD writes FOLDER/WORD and FOLDER/OTHER_WORD.
"""

import sys
from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

import bundle
import features


def write(folder: Path, word: str) -> None:
    """Write the bundle of a model that is sure of mail with the word, and of mail without it."""
    texts = [word, "lunch", f"{word} lunch", "report"]
    columns = ColumnTransformer([("text", CountVectorizer(vocabulary=[word], analyzer=str.split), "text")])
    frame = pd.DataFrame({"text": texts, **dict.fromkeys(features.NAMES, 0.0)})
    pipeline = Pipeline([("columns", columns), ("classifier", DecisionTreeClassifier())]).fit(frame, [1, 0, 1, 0])
    bundle.write(
        folder / word,
        bundle.dump(pipeline),
        name="spam-detector",
        version=f"finds-{word}",
        feature_schema_version=features.SCHEMA_VERSION,
        columns=("text", *features.NAMES),
        threshold=0.5,
        metrics={},
        corpus={},
        files={},
    )


if __name__ == "__main__":
    for given in sys.argv[2:]:
        write(Path(sys.argv[1]), given)
