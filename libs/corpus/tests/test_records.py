"""Tests of files that hold many mails: mbox, JSON lines and tables."""

import bz2
import gzip
import json
import lzma
import mailbox
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from corpus import CorpusError, Digest, find_mails, read_mail, survey
from corpus.mails import SIZE_LIMIT

FROM = b"From a@b Thu Aug 22 12:36:23 2002\n"


def found(root: Path) -> list[tuple[bool, bytes]]:
    return [(mail.spam, read_mail(mail)) for mail in find_mails(root, 0)]


def test_an_mbox_of_the_standard_library_is_read(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "spam.mbox")
    written = [b"Subject: a\n\nFrom here on\n\nFrom there\n", b"Subject: b\n\ntext\n", b"Subject: c\n\n\n"]
    for mail in written:
        box.add(mail)
    box.close()
    assert found(tmp_path) == [(True, mail) for mail in written]


def test_a_line_of_text_that_begins_with_from_begins_no_mail(tmp_path: Path) -> None:
    text = b"Subject: a\n\nFrom now on\nFrom a@b Thu Aug 22 12:36:23 2002\n\nFrom 10:30 to 12:00 in 2002\n"
    (tmp_path / "ham.mbox").write_bytes(FROM + text + b"\n" + FROM + b"Subject: b\n\n>>From x\n")
    assert found(tmp_path) == [(False, text), (False, b"Subject: b\n\n>From x\n")]


def test_line_ends_of_windows_are_kept(tmp_path: Path) -> None:
    line = FROM.replace(b"\n", b"\r\n")
    (tmp_path / "ham.mbox").write_bytes(line + b"Subject: a\r\n\r\ntext\r\n\r\n" + line + b"Subject: b\r\n\r\nx\r\n")
    assert [raw for _, raw in found(tmp_path)] == [b"Subject: a\r\n\r\ntext\r\n", b"Subject: b\r\n\r\nx\r\n"]


@pytest.mark.parametrize("name", ["Inbox", "INBOX.mbox", "ham/all", "ham/all.txt", "ham.mbox/mbox", "ham.mbox"])
def test_mailboxes_have_the_kind_of_their_name_or_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes((FROM + b"Subject: a\n\nb\n\n") * 2)
    assert [spam for spam, _ in found(tmp_path)] == [False, False]


def test_mailboxes_of_sent_mail_and_the_like_are_skipped_and_said(tmp_path: Path) -> None:
    for name in ("Inbox", "Sent", "Trash.mbox", "Junk"):
        (tmp_path / name).write_bytes((FROM + b"Subject: a\n\nb\n\n") * 2)
    (tmp_path / "Inbox.msf").write_text("index")
    assert [spam for spam, _ in found(tmp_path)] == [False, False, True, True]
    assert survey(tmp_path, 0).remarks() == (
        "skipped 3: 1 beside the folders (Inbox.msf), 2 mailboxes of no kind (Sent, Trash.mbox)"
    )


def test_a_packed_mailbox_is_read(tmp_path: Path) -> None:
    (tmp_path / "INBOX.mbox.gz").write_bytes(gzip.compress(FROM + b"Subject: a\n\nb\n"))
    assert found(tmp_path) == [(False, b"Subject: a\n\nb\n")]


def test_a_second_mail_far_from_the_beginning_is_found(tmp_path: Path) -> None:
    (tmp_path / "spam").mkdir()
    (tmp_path / "spam/all").write_bytes(FROM + b"x\n" * 300_000 + b"\n" + FROM + b"y\n")
    assert [len(raw) for _, raw in found(tmp_path)] == [600_000, 2]


def test_only_so_much_of_a_mail_in_a_mailbox_is_kept(tmp_path: Path) -> None:
    (tmp_path / "ham.mbox").write_bytes(FROM + b"x" * (3 * SIZE_LIMIT) + b"\n\n" + FROM + b"y\n")
    assert [len(raw) for _, raw in found(tmp_path)] == [SIZE_LIMIT, 2]
    assert survey(tmp_path, 0).remarks() == "read only the first MiB of 1 larger mails"


def test_what_is_named_mbox_and_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ham.mbox").write_bytes(b"Subject: a\n\nb\n")
    with pytest.raises(CorpusError, match=r"ham\.mbox is no mbox: its first line must be"):
        find_mails(tmp_path, 0)


def lines(*objects: object) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


MAILS = lines({"spam": 0, "mail": "Subject: \xe9\n\na"}, {"spam": 1, "mail": "b"}, {"spam": True, "mail": "€"})
READ = [(False, b"Subject: \xe9\n\na"), (True, b"b"), (True, "€".encode())]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


@pytest.mark.parametrize("end", PACKERS)
def test_json_lines_are_read_however_they_are_packed(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"mails.jsonl{end}"
    path.write_bytes(PACKERS[end](MAILS))
    assert found(tmp_path) == READ
    assert found(path) == READ, "the file itself may be named"


@pytest.mark.parametrize("end", list(PACKERS)[1:])
@pytest.mark.parametrize("hurt", [lambda data: data[:-9], lambda data: data[:20] + b"?!" * 9 + data[38:]])
def test_a_damaged_file_is_named(tmp_path: Path, end: str, hurt: Callable[[bytes], bytes]) -> None:
    (tmp_path / f"mails.jsonl{end}").write_bytes(hurt(PACKERS[end](MAILS * 40)))
    with pytest.raises(CorpusError, match=rf"mails\.jsonl{end}.* (is cut short or damaged|is no JSON)"):
        find_mails(tmp_path, 0)


def test_json_lines_need_no_known_name_beside_the_folders(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_bytes(lines({"label": "ham", "subject": "Hi\nyou", "text": "ä"}))
    assert found(tmp_path) == [(False, "Subject: Hi you\n\nä".encode())]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"spam": 0, "mail": "a"', "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[1]", "is no JSON object"),
        (b'{"spam": 2, "mail": "a"}', "has the label '2'; known: spam, junk, 1"),
        (b'{"spam": null, "mail": "a"}', "has the label 'None'"),
        (b'{"spam": 1, "words": "a"}', "has no field for the mail: found 'spam', 'words'; known: label"),
        (b'{"spam": 1, "mail": 5}', "has no text as 'mail'"),
        (b'{"spam": 1, "mail": "\\ud800"}', "holds half a surrogate pair"),
    ],
)
def test_a_broken_line_of_json_is_numbered(tmp_path: Path, line: bytes, why: str) -> None:
    (tmp_path / "mails.jsonl").write_bytes(MAILS + b"\n" + line + b"\n")
    with pytest.raises(CorpusError, match=f"mails.jsonl, line 5 {why}") as error:
        find_mails(tmp_path, 0)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


TABLES = {
    "plain": 'label,text\nham,"a, ""b""\nc"\nspam,d\n',
    "semicolons": 'Category;Message\nham;"a, ""b""\nc"\nspam;d\n',
    "tabs": 'text\tspam\n"a, ""b""\nc"\t0\nd\t1\n',
    "kaggle": ',v1,v2,,\n0,ham,"a, ""b""\nc",,\n1,spam,d,,\n',
    "bom": '\ufeffis_spam,email_content\n0,"a, ""b""\nc"\n1.0,d\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "mails.csv").write_text(TABLES[name])
    assert found(tmp_path) == [(False, b'a, "b"\nc'), (True, b"d")]


def test_a_table_of_uci_has_no_header_and_odd_quotes(tmp_path: Path) -> None:
    (tmp_path / "SMSSpamCollection").write_text('ham\tsaid "hello\nspam\tWIN\nham\t"x\n')
    assert found(tmp_path) == [(False, b'said "hello'), (True, b"WIN"), (False, b'"x')]


def test_a_subject_becomes_that_of_the_mail(tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text("Message ID,Subject,Message,Spam/Ham\n1,a,b,ham\n2,,c,spam\n")
    assert found(tmp_path) == [(False, b"Subject: a\n\nb"), (True, b"Subject: \n\nc")]


def test_a_table_need_not_be_utf_8(tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_bytes(b"label,text\nham,\xa3 5 \x93x\x94\nham,\xc3\xa4\nham,\x81\n")
    assert [raw.decode() for _, raw in found(tmp_path)] == ["£ 5 “x”", "ä", "\x81"]


def test_a_table_without_labels_has_the_kind_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "spam.csv").write_text("text\na\n")
    assert found(tmp_path) == [(True, b"a")]
    (tmp_path / "spam.csv").write_text("text,label\na,ham\n")
    assert found(tmp_path) == [(False, b"a")], "a label counts more than the name"


def test_columns_found_and_known_are_named(tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text("kind,words\nham,a\n")
    with pytest.raises(CorpusError, match="no column for the mail: found 'kind', 'words'; known: label, spam, class"):
        find_mails(tmp_path, 0)
    (tmp_path / "mails.csv").write_text("kind,text\nham,a\n")
    with pytest.raises(CorpusError, match=r"mails\.csv has no label: found 'kind', 'text'; known: label, spam"):
        find_mails(tmp_path, 0)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('ham,"b', "line 5 is no row of a table .unexpected end of data."),
        ('ham,"b"c', "line 5 is no row"),
        ("ham", "line 5 has 1 columns and the header 2"),
        ("ham,b,c", "line 5 has 3 columns"),
        ("perhaps,b", "line 5 has the label 'perhaps'"),
    ],
)
def test_a_broken_line_of_a_table_is_numbered(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "mails.csv").write_text(f'label,text\nham,"x\ny"\n\n{line}\n')
    with pytest.raises(CorpusError, match=f"mails.csv, {why}"):
        find_mails(tmp_path, 0)


def test_a_broken_header_is_numbered(tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text('"label"x,text\nham,a\n')
    with pytest.raises(CorpusError, match=r"mails\.csv, line 1 is no row of a table"):
        find_mails(tmp_path, 0)


def test_utf_16_is_named(tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text("label,text\nham,a\n", "utf-16")
    with pytest.raises(CorpusError, match=r"mails\.csv is UTF-16; save it as UTF-8"):
        find_mails(tmp_path, 0)


def test_forms_are_mixed_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "ham").mkdir()
    (tmp_path / "ham/a").write_text("file")
    (tmp_path / "README.md").write_text("text")
    (tmp_path / "more.jsonl").write_bytes(lines({"spam": 0, "mail": " \n"}, {"spam": 1, "mail": "json"}))
    (tmp_path / "spam.mbox").write_bytes(FROM + b"box\n")
    assert found(tmp_path) == [(False, b"file"), (True, b"json"), (True, b"box\n")]
    assert [mail.name.partition("/")[2] for mail in find_mails(tmp_path, 0)] == ["a", "more.jsonl#2", "spam.mbox#1"]
    assert survey(tmp_path, 0).remarks() == "skipped 2: 1 beside the folders (README.md), 1 empty (more.jsonl#1)"


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mails.jsonl").write_bytes(MAILS)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda prefix: os.fdopen(os.open("/dev/full", os.O_RDWR), "r+b", 0))
    with pytest.raises(CorpusError, match="temporary file: No space left on device; set TMPDIR to a folder with room"):
        find_mails(tmp_path, 0)
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(CorpusError, match="temporary file: No such file or directory; set TMPDIR"):
        find_mails(tmp_path, 0)


def test_the_digest_knows_the_mails_of_a_file(tmp_path: Path) -> None:
    def digest(content: bytes) -> str:
        (tmp_path / "mails.jsonl").write_bytes(content)
        made = Digest(tmp_path)
        for mail in find_mails(tmp_path, 0):
            made.add(mail, read_mail(mail))
        return made.hexdigest()

    one, other = {"spam": 0, "mail": "a"}, {"spam": 0, "mail": "b"}
    contents = [lines(one, other), lines(other, one), lines(one), lines({**one, "spam": 1}, other)]
    assert len({digest(content) for content in contents}) == 4
    assert digest(contents[0]) == digest(contents[0].replace(b" ", b""))


def test_an_unlabelled_table_of_no_clear_kind_is_refused_among_folders(tmp_path: Path) -> None:
    (tmp_path / "words.jsonl").write_bytes(lines({"text": "a"}))
    with pytest.raises(CorpusError, match=r"words\.jsonl, line 1 has no label: found 'text'; known"):
        find_mails(tmp_path, 0)
