"""Hostile mail, made by rule: each family aims at one step of reading a mail, at any length.

What is linear in its length stays so from `family(n)` to `family(2 * n)`; that is how a family is used.
"""

import encodings
import pkgutil
from collections.abc import Callable, Iterator
from encodings.aliases import aliases
from itertools import cycle

Family = Callable[[int], str]
"""Number of characters -> a mail of that many characters, or a few less; never more."""

CODECS = tuple(
    sorted({*aliases, *aliases.values(), *(module.name for module in pkgutil.iter_modules(encodings.__path__))})
)
"""Every name under which Python knows a codec: also those that are no text, execute escapes or are quadratic."""

PLAIN = "Subject: x\n\n"
HTML = "Subject: x\nContent-Type: text/html\n\n"
MIXED = 'Subject: x\nContent-Type: multipart/mixed; boundary="b"\n\n'
FORWARDED = "Content-Type: message/rfc822\n\n"
BASE64 = "Content-Transfer-Encoding: base64\n"
QUOTED = "Content-Transfer-Encoding: quoted-printable\n"


def _filled(head: str, unit: str, tail: str = "") -> Family:
    """A head, as many units as there is room for, and a tail."""

    def make(n: int) -> str:
        return head + unit * ((n - len(head) - len(tail)) // len(unit)) + tail

    return make


def _joined(head: str, pieces: Callable[[], Iterator[str]]) -> Family:
    """A head, and pieces for as long as there is room."""

    def make(n: int) -> str:
        found, room = [head], n - len(head)
        for piece in pieces():
            room -= len(piece)
            if room < 0:
                break
            found.append(piece)
        return "".join(found)

    return make


def _numbers() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _boxes() -> Iterator[str]:
    for depth in _numbers():
        yield f'Content-Type: multipart/mixed; boundary="b{depth}"\n\n--b{depth}\n'


def _continuations() -> Iterator[str]:
    for number in _numbers():
        yield f"\n boundary*{number}*=%62;"


def _codec_parts(body: str) -> Callable[[], Iterator[str]]:
    def pieces() -> Iterator[str]:
        for name in cycle(CODECS):
            yield f"--b\nContent-Type: text/plain; charset={name}\n{body}"

    return pieces


def _unknown_codec_parts() -> Iterator[str]:
    for number in _numbers():
        yield f"--b\nContent-Type: text/plain; charset=x-{number}\n\n\xe4\n"


def _codec_words() -> Iterator[str]:
    for name in cycle(CODECS):
        yield f"Subject: =?{name}?b?eJzLSM3JyVcozy/KSQEAGgsEXQ==?=\n\nx\n--b\n{FORWARDED}"


def _cyclic_references() -> Iterator[str]:
    for number in _numbers():
        head = f"--b\nContent-Type: text/html\nContent-ID: <{number}@x>\n\n"
        yield f'{head}<img src="cid:{number + 1}@x"><img src="cid:0@x">\n'


def _links() -> Iterator[str]:
    for number in _numbers():
        yield f"http://{number}.example/{number} "


def _headers() -> Iterator[str]:
    for number in _numbers():
        yield f"X-{number}: y\n"


FAMILIES: dict[str, Family] = {
    # Containers
    "nested parts": _joined("Subject: x\n", _boxes),
    "nested parts of one boundary": _filled(MIXED, "--b\nContent-Type: multipart/mixed; boundary=b\n\n"),
    "prefixes as boundaries": _filled('Subject: x\nContent-Type: multipart/mixed; boundary="-"\n\n', "\n---"),
    "boundary of dashes": _filled(
        f'Subject: x\nContent-Type: multipart/mixed; boundary="{"-" * 200}"\n\n', "\n" + "-" * 201
    ),
    "forwarded mails": _filled("Subject: x\n", FORWARDED),
    "forwarded mails in parts": _filled(
        "Subject: x\n", f"Content-Type: multipart/mixed; boundary=b\n\n--b\n{FORWARDED}"
    ),
    "many parts": _filled(MIXED, "--b\n\nx\n"),
    "empty parts": _filled(MIXED, "--b\n"),
    "ends of parts": _filled(MIXED, "--b--\n"),
    "parts in parts": _filled(MIXED + '--b\nContent-Type: multipart/mixed; boundary="c"\n\n', "--c\n" * 200 + "--b\n"),
    "cyclic references": _joined(MIXED, _cyclic_references),
    "boundary of blanks": _filled("Subject: x\nContent-Type: multipart/mixed; boundary", " ", "x\n\n"),
    "boundaries": _filled("Subject: x\nContent-Type: multipart/mixed", ';boundary="', "\n\n"),
    "continued parameters": _joined("Subject: x\nContent-Type: multipart/mixed;", _continuations),
    # Headers
    "one long header": _filled("Subject: x\nX: ", "y", "\n\nbody"),
    "one long header name": _filled("Subject: x\n", "X", ": y\n\nbody"),
    "one long subject": _filled("Subject: ", "y ", "\n\nbody"),
    "many headers": _joined("Subject: x\n", _headers),
    "short headers": _filled("Subject: x\n", "X:\n", "\nbody"),
    "folded header": _filled("Subject: x\nX: y", "\n z", "\n\nbody"),
    "folded subject": _filled("Subject: x", "\n z", "\n\nbody"),
    "headers that never end": _filled("Subject: x\n", "Subject: x\n"),
    "colons": _filled("", ":"),
    "envelope lines": _filled("", "From x\n"),
    "encoded words": _filled("Subject: ", "=?utf-8?b?w6Q=?= ", "\n\nbody"),
    "encoded words never closed": _filled("Subject: ", "=?a?q?", "\n\nbody"),
    "blanks in subject": _filled("Subject: ?=", " ", "x\n\nbody"),
    "charset of blanks": _filled("Subject: x\nContent-Type: text/plain; charset", " ", "x\n\nbody"),
    # Codecs
    "every codec": _joined(MIXED, _codec_parts("\n+AGE-\xff\x1b$B~{\n")),
    "every codec in base64": _joined(MIXED, _codec_parts(BASE64 + "\neJzLSM3JyVcozy/KSQEAGgsEXQ==\n")),
    "every codec in subjects": _joined(MIXED + "--b\n" + FORWARDED, _codec_words),
    "unknown codecs": _joined(MIXED, _unknown_codec_parts),
    "utf-7": _filled("Subject: x\nContent-Type: text/plain; charset=utf-7\n\n", "+AGE-\xff"),
    "punycode": _filled("Subject: x\nContent-Type: text/plain; charset=punycode\n\n", "a-9\xff"),
    "escapes of iso-2022": _filled("Subject: x\nContent-Type: text/plain; charset=iso-2022-jp\n\n", "\x1b$B\x1b(B"),
    "escapes of hz": _filled("Subject: x\nContent-Type: text/plain; charset=hz\n\n", "~{~}"),
    # Transfer encodings
    "base64": _filled(f"Subject: x\n{BASE64}\n", "QUJD"),
    "base64 of blanks": _filled(f"Subject: x\n{BASE64}\n", "=\n"),
    "compressed in base64": _filled(f"Subject: x\nContent-Type: text/plain; charset=zlib\n{BASE64}\n", "eJztwQENAAAA"),
    "quoted-printable": _filled(f"Subject: x\n{QUOTED}\n", "=41"),
    "quoted-printable line ends": _filled(f"Subject: x\n{QUOTED}\n", "=\n"),
    "quoted-printable blanks": _filled(f"Subject: x\n{QUOTED}\n", " ", "\nx"),
    # HTML
    "openings": _filled(HTML, "<"),
    "tags": _filled(HTML, "<b>"),
    "tags never closed": _filled(HTML, "<a"),
    "attributes": _filled(HTML + "<a", " a=b"),
    "comments": _filled(HTML, "<!---->"),
    "comments never closed": _filled(HTML, "<!--"),
    "styles": _filled(HTML, "<style></style"),
    "styles never closed": _filled(HTML, "<style>"),
    "scripts of blanks": _filled(HTML + "<script", " "),
    "entities": _filled(HTML, "&#x41;"),
    "long entities": _filled(HTML, "&CounterClockwiseContourIntegra"),
    "entity of digits": _filled(HTML + "&#", "9"),
    "ampersands": _filled(HTML, "&"),
    # Text
    "links": _filled(PLAIN, "http://"),
    "different links": _joined(PLAIN, _links),
    "one word": _filled(PLAIN, "a"),
    "different words": _joined(PLAIN, lambda: (f"{number} " for number in _numbers())),
    "line ends": _filled("", "\n"),
    "carriage returns": _filled(PLAIN, "\r"),
    "nothing but NUL": _filled("", "\0"),
    "NUL between": _filled(PLAIN, "a\0"),
    "surrogates": _filled(PLAIN, "\ud800"),
    "hidden bytes": _filled(PLAIN, "\udcff"),
    "letters that grow": _filled(PLAIN, "\u0130"),
    "line separators": _filled(PLAIN, "\u2028\x85"),
    "wide characters": _filled(PLAIN, "\U0001f4a9"),
}
"""Families of hostile mail by name."""
