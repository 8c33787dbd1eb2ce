"""Corpus of mails on disk: folders with one file a mail, mailboxes and labelled tables."""

from corpus.errors import CorpusError, shown
from corpus.folder import find_mails, survey
from corpus.kinds import FOLDERS_HINT
from corpus.mails import Digest, MailFile, read_mail
from corpus.surveys import Survey

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
