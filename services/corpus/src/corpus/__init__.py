"""A corpus of mails on a disk: one folder a kind of mail, one file a mail.

Pure standard library, so that every environment can hold it.
"""

from corpus.folder import FOLDERS_HINT, CorpusError, Digest, MailFile, find_mails, read_mail

__all__ = ["FOLDERS_HINT", "CorpusError", "Digest", "MailFile", "find_mails", "read_mail"]
