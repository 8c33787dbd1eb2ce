"""Baseline from a corpus and the model that will be watched."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

import features
from baseline.errors import GeneratorError
from bundle import Bundle
from corpus import Digest, MailFile, find_mails, read_mail
from inferencelog import MEASURES, Baseline

log = logging.getLogger("baseline")

BATCH = 2000
"""Mails scored at a time. It limits memory: the texts of a batch are held together."""


def from_corpus(root: Path, model: Bundle, least_rows: int) -> Baseline:
    """Return a baseline with the features and scores of a corpus's mails.

    Raises:
        CorpusError: If the folder is not a corpus.
        GeneratorError: If it has fewer than `least_rows` mails, or if the model was trained on another feature schema.
    """
    _check_schema(model)
    mails = find_mails(root, 0)
    if len(mails) < least_rows:
        raise GeneratorError(f"corpus {root} holds {len(mails)} mails; a baseline needs {least_rows} or more")
    digest = Digest(root)
    tables = list(_score(mails, model, digest))
    source = f"corpus {root.name}, {len(mails)} mails"
    if digest.hexdigest() == model.manifest.corpus.get("digest"):
        log.warning(
            "the model was trained on this corpus and is surer of it than of new mail: right for comparing with the"
            " same mail sent again (make simulate), wrong for real mail; the bundle's own baseline.parquet has"
            " out-of-fold scores"
        )
        source += " that the model was trained on"
    return _baseline(pa.concat_tables(tables), model, source)


def _score(mails: list[MailFile], model: Bundle, digest: Digest) -> Iterator[pa.Table]:
    for first in range(0, len(mails), BATCH):
        found = []
        for mail in mails[first : first + BATCH]:
            raw = read_mail(mail)
            digest.add(mail, raw)
            found.append(features.extract(raw))
        values = np.array([mail.values for mail in found])
        scores = model.score([mail.text for mail in found], values)
        log.info("scored", extra={"mails": first + len(found), "of": len(mails)})
        yield pa.Table.from_arrays([*map(pa.array, values.T.copy()), pa.array(scores)], names=[*MEASURES])


def _check_schema(model: Bundle) -> None:
    trained_on = model.manifest.feature_schema_version
    if trained_on != features.SCHEMA_VERSION:
        raise GeneratorError(
            f"the model was trained on feature schema {trained_on}, this generator makes {features.SCHEMA_VERSION};"
            " use the image that was released with the model"
        )


def _baseline(table: pa.Table, model: Bundle, source: str) -> Baseline:
    manifest = model.manifest
    return Baseline(
        table=table,
        model_name=manifest.name,
        model_version=manifest.version,
        model_sha256=model.sha256,
        feature_schema_version=manifest.feature_schema_version,
        threshold=manifest.threshold,
        source=source,
    )
