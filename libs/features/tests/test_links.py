"""Tests of links and their hosts, by the rules of the WHATWG URL standard and of mail readers."""

import time

import pytest

from features import hosts, links


def host_of(value: str) -> str | None:
    found = links.find("", [value])
    return found[0].host if found else None


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("http://evil.example/", "evil.example"),
        ("HtTpS://EVIL.Example", "evil.example"),
        (" \x01\n http://evil.example ", "evil.example"),
        ("ht\ntp:/\t/ev\ril.example/", "evil.example"),
        ("http:evil.example", "evil.example"),
        ("http:////evil.example", "evil.example"),
        ("http:\\\\evil.example\\a", "evil.example"),
        ("//evil.example/a", "evil.example"),
        ("/\\evil.example/a", "evil.example"),
        ("http://good.example@evil.example/", "evil.example"),
        ("http://good.example:pw@x@evil.example:8080/", "evil.example"),
        ("http://evil.example\\@good.example/", "evil.example"),
        ("http://evil.example#@good.example/", "evil.example"),
        ("http://evil.example?@good.example/", "evil.example"),
        ("http://evil.example;@good.example/", "good.example"),
        ("http://%65vil%2Eexample/", "evil.example"),
        ("http://evil.example./", "evil.example"),
        ("http://evil\u3002example/", "evil.example"),
        ("http://\uff45vil.example/", "evil.example"),
        ("http://e\u00advil.example/", "evil.example"),
        ("http://B\u00dcCHER.example/", "xn--bcher-kva.example"),
        ("http://bu\u0308cher.example/", "xn--bcher-kva.example"),
        ("http://b%C3%BCcher.example/", "xn--bcher-kva.example"),
        ("http://XN--bcher-KVA.example/", "xn--bcher-kva.example"),
        ("http://fa\u00df.example/", "xn--fa-hia.example"),
        ("http://\u2603.example/", "xn--n3h.example"),
        ("http://my_shop.example/", "my_shop.example"),
        ("http://192.168.1.1/", "192.168.1.1"),
        ("http://3232235777/", "192.168.1.1"),
        ("http://0xC0A80101/", "192.168.1.1"),
        ("http://0300.0250.1.0x1/", "192.168.1.1"),
        ("http://192.168.257/", "192.168.1.1"),
        ("http://%31%39%32.168.1.1./", "192.168.1.1"),
        ("http://[2001:DB8:0:0::1]:8080/", "[2001:db8::1]"),
        ("http://[::ffff:1.2.3.4]/", "[::ffff:102:304]"),
    ],
)
def test_host_of_an_attribute(value: str, host: str) -> None:
    assert host_of(value) == host


@pytest.mark.parametrize(
    "value",
    [
        *("", "/a/b", "a.html", "#top", "?q", "mailto:a@b.example", "javascript:x", "data:text/html,x", "cid:a@b"),
        *("ftp://a.example/", "http://", "http:///", "http://u@/", "http://a b.example/", "http://a<b.example/"),
        *("http://1.2..3/", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://4294967296/", "http://a.08/"),
        *("http://a.example:99999/", "http://a.example:x/", "http://[::1/", "http://[x]/", "http://[::1%25eth0]/"),
        *("http://a%00.example/", "http://" + "a" * 256, "http://" + "a" * 5000 + "@b.example", "http://0x100000000/"),
    ],
)
def test_no_link(value: str) -> None:
    assert links.find("", [value]) == []


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("see http://a.example, (http://a.example) or http://a.example.", ["a.example/"]),
        ("[http://b.example] *http://b.example* _http://b.example_ http://b.example;", ["b.example/"]),
        ("<http://a.example/x>. \u201chttp://a.example/x\u201d 'http://a.example/x'!", ["a.example/x"]),
        ("(http://a.example/x_(y)), http://a.example/z)", ["a.example/x_(y)", "a.example/z"]),
        ("http://a.example,http://b.example", ["a.example/", "b.example/"]),
        ("http://a.example?b=1 http://a.example#c", ["a.example/?b=1", "a.example/#c"]),
        ("http://a.example:80/ https://a.example:443 http://a.example:8080", ["a.example/", "a.example:8080/"]),
        ("\u8bf7\u8bbf\u95eehttp://a.example\u3002\u8c22\u8c22", ["a.example/"]),
        ("www.a.example, http://www.a.example and www.b.example/x.", ["www.a.example/", "www.b.example/x"]),
        (
            "http://a.example@b.example@c.example/ \u8bf7www.d.example",
            ["c.examplea.example@b.example@/", "www.d.example/"],
        ),
        ("me@www.a.example x.www.a.example www.a www. http://", []),
        ("http://good.example@1.2.3.4:99/?to=http://c.example", ["1.2.3.4good.example@:99/?to=http://c.example"]),
    ],
)
def test_links_of_text(text: str, addresses: list[str]) -> None:
    assert [link.address for link in links.find(text, [])] == addresses


@pytest.mark.parametrize(
    ("value", "is_address", "is_odd"),
    [
        ("http://a.example/", False, False),
        ("http://1.2.3.4/", True, True),
        ("http://[::1]/", True, True),
        ("http://u@a.example/", False, True),
        ("http://a.example:8080/", False, True),
        ("https://a.example:443/", False, False),
    ],
)
def test_odd_links(value: str, is_address: bool, is_odd: bool) -> None:
    (link,) = links.find("", [value])
    assert (link.is_address, link.is_odd) == (is_address, is_odd)


def test_at_most_a_hundred_links() -> None:
    values = [f"http://a.example/{n}" for n in range(300)]
    assert len(links.find(" ".join(values), values)) == links.LINK_LIMIT


@pytest.mark.parametrize(
    "unit", ["http://", "www.", "http://a@", "http://a.example/" + ")" * 50, "http://%", "http://[", "http://\u00fc."]
)
def test_hostile_text_costs_little(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    links.find(text, [text] * 100)
    assert time.process_time() - start < 1.0


def test_hostile_hosts_cost_little() -> None:
    start = time.process_time()
    for n in range(200):
        hosts.read("\u00fc" * 590 + str(n))
    assert time.process_time() - start < 0.5
