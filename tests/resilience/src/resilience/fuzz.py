"""Fuzzer of the features library; `bad_input` runs it as its own process, because libFuzzer ends the one it runs in.

    python -m resilience.fuzz --corpus FOLDER --out FOLDER --seconds 1800

atheris (libFuzzer) mutates real and hostile mails, guided by the lines of the library that a mail reaches. A mail that
breaks a rule is written to `--out` as `crash-…`; `python -m resilience.fuzz --out FOLDER --again FILE` reproduces it.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["features"]):
    import features

from corpus import find_mails, read_mail
from corpus.hostile import FAMILIES

MAIL_BYTES = 1 << 20
SEED_BYTES = 4_096
SEED_MAILS = 1_000
MAIL_SECONDS = 2.0
"""Most CPU seconds for a mail of 1 MiB: many times what the worst family needs, even with instrumented code."""
TEXT_CHARACTERS = 4 * features.TEXT_LIMIT + 64_000

WORDS = (
    *(
        "Subject: ",
        "Content-Type: ",
        "Content-Transfer-Encoding: ",
        "Content-Disposition: attachment",
        "multipart/mixed",
    ),
    *("message/rfc822", "text/html", "; boundary=", "; charset=", "base64", "quoted-printable", "=?utf-8?b?", "=?x?q?"),
    *("?=", "--b", "--b--", "<!--", "-->", "<style>", "</style>", "<script", "&#x", "&amp;", "http://", "iso-2022-jp"),
    *("utf-7", "utf-16", "utf-32", "hz", "idna", "punycode", "unicode_escape", "zlib", "undefined", "gb18030", "big5"),
)


def check(mail: bytes) -> None:
    """Check the rules that hold for every mail.

    Raises:
        AssertionError: If the mail breaks one.
    """
    for source in (mail, mail.decode("utf-8", "surrogateescape")):
        started = time.process_time()
        found = features.extract(source)
        seconds = time.process_time() - started
        assert seconds < MAIL_SECONDS, f"{len(mail):,} bytes took {seconds:.2f} s of CPU"
        assert len(found.values) == len(features.NAMES), f"{len(found.values)} values"
        assert all(math.isfinite(value) and value >= 0 for value in found.values), f"values {found.values}"
        assert len(found.text) <= TEXT_CHARACTERS, f"{len(found.text):,} characters of text"
        found.text.encode()
        assert features.extract(source) == found, "another result the second time"


def main() -> None:
    """Fuzz for a while, or try one finding again."""
    parser = argparse.ArgumentParser(prog="resilience.fuzz", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for seeds and findings")
    parser.add_argument("--corpus", type=Path, help="folder whose folders hold mails, a file each")
    parser.add_argument("--seconds", type=int, default=1800, help="how long (%(default)s)")
    parser.add_argument("--again", type=Path, help="a finding to reproduce")
    options = parser.parse_args()
    if options.again:
        check(options.again.read_bytes())
        return
    seeds = write_seeds(options.out, options.corpus)
    flags = [f"-max_total_time={options.seconds}", f"-max_len={MAIL_BYTES}", f"-artifact_prefix={options.out}/"]
    flags += [f"-dict={write_dictionary(options.out)}", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags, str(seeds)], check)
    atheris.Fuzz()


def write_seeds(folder: Path, corpus: Path) -> Path:
    """Write the beginnings of real mails at even steps, and every hostile family in small; return the folder."""
    seeds = folder / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    mails = find_mails(corpus, 1)
    for number, mail in enumerate(mails[:: max(1, len(mails) // SEED_MAILS)]):
        (seeds / f"{number:05}").write_bytes(read_mail(mail)[:SEED_BYTES])
    for name, family in FAMILIES.items():
        (seeds / name.replace(" ", "-")).write_bytes(family(SEED_BYTES).encode("utf-8", "surrogatepass"))
    return seeds


def write_dictionary(folder: Path) -> Path:
    """Write the words of the formats as libFuzzer reads them, and return the file."""
    file = folder / "words.dict"
    file.write_text("".join(f'"{word}"\n' for word in WORDS))
    return file


if __name__ == "__main__":
    main()
