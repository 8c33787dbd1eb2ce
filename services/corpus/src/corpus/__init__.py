"""A corpus of mails on a disk: one folder a kind of mail, one file a mail.

Pure standard library, so that every environment can hold it.
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
