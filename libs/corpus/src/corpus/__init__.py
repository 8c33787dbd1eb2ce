"""Corpus of mails on disk: one folder for each kind of mail, one file for each mail.

It uses only the standard library, so any environment can install it.
"""

from corpus.folder import CorpusError, Digest, MailFile, Survey, find_mails, read_mail, shown, survey
from corpus.kinds import FOLDERS_HINT

__all__ = [
    "FOLDERS_HINT",
    "CorpusError",
    "Digest",
    "MailFile",
    "Survey",
    "find_mails",
    "read_mail",
    "shown",
    "survey",
]
