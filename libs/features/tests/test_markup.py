"""Tests of HTML as a reader sees it. Expectations are what Chromium shows (`document.body.innerText`)."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import markup, tags


def shown(source: str) -> str:
    return markup.parse(source).shown


def test_entities() -> None:
    assert shown("&lt;b&gt; &amp; &#8364;5 &#x41;&nbsp;&eacute; &unknown; &") == "<b> & \u20ac5 A \u00e9 &unknown; &"


def test_entities_that_are_no_characters() -> None:
    assert shown("&#0; &#xD800; &#9999999;") == "\ufffd \ufffd \ufffd"
    assert shown("&#" + "9" * 5000 + ";").endswith("9;")


LINES = {
    "<p>one</p><p>two</p>": "one\ntwo",
    "one<br>two<BR/>three</br>four": "one\ntwo\nthree\nfour",
    "<P align='center'>one<p>two": "one\ntwo",
    "one<div>two</div>three": "one\ntwo\nthree",
    "<ul>\n\n <li>one</li>\n\n <li>two\n<li>three</ul>": "one\ntwo\nthree",
    "<table>\n\n<tr>\n<td>\n one\n </td>\n</tr>\n</table>\n": "one",
    "<table><tr><td>a<td>b<tr><td>c</table>": "a b\nc",
    "<h1>a</h1><h2>b</h2>c<hr>d": "a\nb\nc\nd",
    "<dl><dt>a<dd>b<dt>c</dl>": "a\nb\nc",
    "<blockquote>a</blockquote><center>b</center><address>c</address>": "a\nb\nc",
    "a \n\t b\r\n c": "a b c",
    "<pre>a\nb</pre>c": "a\nb\nc",
    "<p style='white-space: pre-wrap'>a\nb</p>": "a\nb",
    "<span style='display:block'>a</span><span style='display:block'>b</span>": "a\nb",
    "<div style='display:inline'>a</div><div style='display:inline'>b</div>": "ab",
    "<option>a<option>b": "a\nb",
    "": "",
}


@pytest.mark.parametrize("source", LINES)
def test_block_elements_part_lines(source: str) -> None:
    assert shown(source) == LINES[source]


WORDS = {
    "fr<b>e</b>e": "free",
    "<p>V<b></b>ia<span>gr</span>a</p>": "Viagra",
    "V<!-- x -->iag<!-- y -->ra": "Viagra",
    "V</div>iagra": "Viagra",
    "V<x>iag</x>ra<o:p></o:p>": "Viagra",
    "V<wbr>ia<img src=x>gr<a name=x></a>a": "Viagra",
    "<FONT\nsize=2>V</FONT\n>iagra": "Viagra",
    "V<span style='font-size:0'>x</span>iagra": "Viagra",
}


@pytest.mark.parametrize("source", WORDS)
def test_inline_elements_do_not_part_words(source: str) -> None:
    assert shown(source) == WORDS[source]


BROKEN = {
    "1 < 2 and 3 > 2": "1 < 2 and 3 > 2",
    "<<b>a": "<a",
    "a</>b</ x>c<!x>d<?x>e": "abcde",
    "<![if !mso]>a<![endif]>b": "ab",
    "<!--[if mso]>no<![endif]-->yes": "yes",
    "<!--[if !mso]><!-->yes<!--<![endif]-->": "yes",
    "<!-->a": "a",
    "<!--->a": "a",
    "<!---->a": "a",
    "<!-- --!>a": "a",
    "<!-- -- > --> a": "a",
    "seen <!-- never closed <b>unseen": "seen",
    "seen <a href='never closed>unseen": "seen",
    "a<": "a<",
    "a</": "a</",
    "<img alt='a > b'>c": "c",
    '<img alt="a > b" src="cid:x">c': "c",
    "<a title=\"<!--\" href='x'>a</a> b": "a b",
    "<a title='\"'>a</a><a title='\"'>b</a>": "ab",
    "<a title=a\"b href='c>d'>a": "a",
    '<a "title>a': "a",
    "<a title=>a": "a",
    "<a title = '>' b>a": "a",
    "<a/title='>'/>a": "a",
    "<a x=\"1>2\"y='3>4'z=5>a": "a",
    "<a href=http://x.example/'>a</a>b": "ab",
    "a<title>b</title>c": "ac",
    "a<STYLE type='x'>p {}</style >b<script>if (a < b) c()</script >d": "abd",
    "<style><!-- .a{} </style>a": "a",
    "<noframes><style></noframes>a": "a",
    "<noembed><!--</noembed>a": "a",
    "<iframe><style></iframe>a": "a",
    "<noscript><style></noscript>a": "a",
    "<textarea><style></textarea>a": "<style>a",
    "<xmp><b>&amp;</xmp>a": "<b>&amp;\na",
    "<title><!--</title>a": "a",
    "<script></scripty></script>a": "a",
    "<template>a</template>b": "b",
    "a<plaintext>b</plaintext>": "a\nb</plaintext>",
    "<style/>a</style>b": "b",
    "\0a<\0b>b": "ab",
}


@pytest.mark.parametrize("source", BROKEN)
def test_broken_markup_as_a_browser_takes_it(source: str) -> None:
    assert shown(source) == BROKEN[source]


HIDING_STYLES = [
    *("display:none", "DISPLAY : NONE !important", "visibility:hidden", "visibility: collapse", "font-size:0"),
    *("font-size:0px", "font-size: 1px", "font:0/0 a", "opacity:0", "opacity: 0.0", "height:0;overflow:hidden"),
    *("max-height:0px;overflow:hidden", "width:1px;overflow:hidden", "mso-hide:all", "text-indent:-9999px"),
    *("position:absolute;left:-9999px", "position:fixed; top: -100em", "color:#fff", "color:white", "color:#FFFFFF"),
    *("color:rgb(255, 255, 255)", "color:rgba(0,0,0,0)", "color:transparent", "color:hsl(0,0%,100%)"),
    *("color:#fefefe", "background:#000", "background-color:black;color:#010101", "/* x */display:none"),
    *("color:red;display:block;display:none", "display:none!important;display:block", "clip:rect(0,0,0,0)"),
]


@pytest.mark.parametrize("style", HIDING_STYLES)
@pytest.mark.parametrize("tag", ["div", "span"])
def test_text_of_a_style_that_hides_is_counted_and_not_shown(tag: str, style: str) -> None:
    for source in (
        f'<p>a</p><{tag} style="{style}">two words</{tag}>b',
        f"<p>a</p><{tag.upper()} STYLE='{style}'>two<b> words</b></{tag}>b",
        f"<style>.x {{{style}}}</style><p>a</p><{tag} class='y x'>two words</{tag}>b",
        f"<style>#x {{{style}}}</style><p>a</p><{tag} id=x>two words</{tag}>b",
        f"<style>{tag} {{{style}}}</style><p>a</p><{tag}>two words</{tag}>b",
        f"<style>@media screen {{ {tag}.x {{{style}}} }}</style><p>a</p><{tag} class=x>two words</{tag}>b",
    ):
        found = markup.parse(source)
        assert (found.shown.split(), found.hidden) == (["a", "b"], 2), source


SEEN = [
    *("<p style='display:block'>a</p>", "<p aria-hidden='true'>a</p>", "<p style='font-size:14px'>a</p>"),
    *("<p style='color:#fff;background:#00f'>a</p>", "<body bgcolor=black><font color=white>a</font>"),
    *("<table bgcolor='#000'><tr><td style='color:white'>a</table>", "<td background='x.png'><font color=#fff>a"),
    *("<p style='visibility:hidden'><span style='visibility:visible'>a</span></p>", "<p style='height:0'>a</p>"),
    *("<p style='font-size:0'><span style='font-size:14px'>a</span></p>", "<p style='opacity:0.5'>a</p>"),
    *("<style>@media (max-width:600px){p{display:none}}</style><p>a</p>", "<p data-x='display:none'>a</p>"),
    *("<style>@media print{p{display:none}}</style><p>a</p>", "<p title=' style=\"display:none\"'>a</p>"),
    *(
        "<style>.x{display:none}</style><p class=xy>a</p>",
        "<style>p{display:none}.x{display:block}</style><p class=x>a",
    ),
    *("<style>p{display:none}</style><p style='display:block'>a", "<!--<style>p{display:none}</style>--><p>a</p>"),
    *("<p hidden><p>a", "<table><tr><td hidden><td>a</table>", "<ul><li hidden><li>a</ul>"),
    *(
        "<div><span hidden></div>a",
        "<p style='background:url(x.png);color:#fff'>a</p>",
        "<p style='left:-9999px'>a</p>",
    ),
    *("<table style='display:none'>a</table>", "<div style='display:none'/></div>a", "<font size=0>a</font>"),
    *("<p style='color:white;background:linear-gradient(red,blue)'>a", "<a style='color:inherit' href=x>a</a>"),
]


@pytest.mark.parametrize("source", SEEN)
def test_text_that_nothing_hides_is_shown(source: str) -> None:
    found = markup.parse(source)
    assert (found.shown, found.hidden) == ("a", 0)


HIDDEN = {
    "<p hidden>x y</p>a": 2,
    "<div hidden>x<div>y</div>z</div>a": 3,
    "<body bgcolor='#000000'><font color='#fff'>a<font color=black>x</font></font>": 1,
    "<body text=white>x<font color=red>a": 1,
    "<table bgcolor=navy><tr><td><font color='#000080'>x</font><font color=white>a</table>": 1,
    "<p style='font-size:0'><span style='font-size:2em'>x</span></p>a": 1,
    "<div style='display:none'><p style='display:block;visibility:visible'>x</p></div>a": 1,
    "<p><font style='display:none'>x</p>y</font>a": 2,
    "a<style>x y z": 3,
    "a<!-- x y": 2,
    "a<script>x": 1,
    "a<noframes>x": 1,
    "a<b title='x y": 2,
}


@pytest.mark.parametrize("source", HIDDEN)
def test_hidden_words_are_counted(source: str) -> None:
    found = markup.parse(source)
    assert found.shown == "a"
    assert found.hidden == HIDDEN[source] or "title" in source


def test_what_stands_before_the_content_does_not_starve_it() -> None:
    for before in (
        "<style>" + ".a{color:red}\n" * 10_000 + "</style>",
        "<div style='display:none'>" + "word " * 10_000 + "</div>",
        "<!--" + "x" * 100_000 + "-->",
        '<img src="data:image/png;base64,' + "A" * 100_000 + '">',
        "<div>" * 20_000,
    ):
        assert shown(before + "<p>seen</p>") == "seen"


def test_links_are_the_values_of_attributes_that_name_an_address() -> None:
    source = (
        "<!DOCTYPE html PUBLIC '-//W3C' 'http://dtd.example/'><html xmlns='http://ns.example/'>"
        '<a href="http://a.example/?x=1&amp;y=2">x</a><a title="href=no" HREF=http://b.example/ >y</a>'
        "<form action='http://c.example/'><img alt='src=\"no\"' src = \"cid:d\"><td background=e.png>"
    )
    assert markup.parse(source).links == [
        *("http://a.example/?x=1&y=2", "http://b.example/", "http://c.example/", "cid:d", "e.png"),
    ]


def test_an_end_tag_links_nowhere() -> None:
    assert markup.parse("<a href=x>y</a href=z>").links == ["x"]


def test_looks_that_are_kept_hold_for_their_own_style_sheet_only() -> None:
    element = "<p class=x>a</p>"
    for sheet, hidden in (("", 0), ("<style>.x{display:none}</style>", 1), ("<style>.y{display:none}</style>", 0)) * 2:
        assert markup.parse(sheet + element).hidden == hidden


def test_tags_beyond_the_limit_of_what_is_kept_are_read_as_well() -> None:
    for sheet in ("", "<style>.x{display:none}</style>"):
        source = sheet + "".join(f"<a href=u{number}>a</a>" for number in range(tags.KNOWN_LIMIT + 2))
        assert len(markup.parse(source).links) == tags.KNOWN_LIMIT + 2


def test_counts_of_elements() -> None:
    found = markup.parse("<p><b>x</b></p><img><IMAGE><form><input><select></select><textarea><b></textarea><!---->")
    assert (found.tags, found.images, found.form_fields, found.comments) == (8, 2, 3, 1)


HOSTILE = [
    *("<div>", "<b>", "<b><p>", "<a><p>", "<font color=red><p>", "<table><tr><td>", "<table>x<b>y", "<svg><math>"),
    *("</p>", "<i><div></i>", "<li><ul>", "<button><div>", "<template>", "<", "<!", "</", "&", "<!--", "<!-->", "<p "),
    *("<div hidden>", "<b hidden><p>", "<span hidden><td>", "<p style='color:#fff'>x", "<h1 hidden></h2>", "<a b='"),
    *('<a b="', "<style>", "<style></style>", "<style>@media x{", "<style>/*", "<style>a,", "<style>a{", "<p hidden ="),
    *("<textarea>", "<plaintext>", "<o:p></o:p>", "<x></y>", "&#x41;", "<pre>\n", "\0", "<style>.a{display:none}"),
]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "<div style='display:none'>", "<style>b{color:#fff}.x{display:none}</style>"])
def test_time_is_linear_whatever_the_source_holds(unit: str, before: str) -> None:
    source = before + unit * (200_000 // len(unit))
    start = time.process_time()
    markup.parse(source)
    # Linear steps need about 0.2 s; quadratic ones need minutes.
    assert time.process_time() - start < 2.0


PIECES = [
    *HOSTILE,
    *(
        "word ",
        ">",
        "-->",
        "</style>",
        "</td>",
        "</b>",
        "</div>",
        "'",
        '"',
        "=",
        ";",
        "color:#fff",
        "font-size:",
        "1e9",
    ),
    *(
        "rgb(1,2",
        "9" * 400,
        "opacity:.",
        "</table>",
        "{",
        "}",
        "hsl(9%,",
        "\u0130",
        "\ud800",
        "background:",
        "position:",
    ),
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_source_raises(source: str) -> None:
    found = markup.parse(source)
    assert "\0" not in found.shown
    assert min(found.hidden, found.tags, found.images, found.form_fields, found.comments) >= 0


@pytest.mark.parametrize("opening", ["<style>", "<script>", "<title>", "<noscript><style>", "<style><style>"])
def test_a_mail_that_an_unclosed_element_swallows_is_read_all_the_same(opening: str) -> None:
    text = "<p>" + "win " * 30 + "<a href=http://a.example/>now</a></p>"
    found = markup.parse(f"{opening}{text}")
    assert found.shown.split() == ["win"] * 30 + ["now"]
    assert found.hidden >= 30
    assert found.links == ["http://a.example/"]


def test_few_words_that_an_unclosed_element_swallows_stay_unseen() -> None:
    assert shown("a<style>x y z") == "a"
