"""Tests of HTML as a reader sees it. Expectations are what Chromium shows (`document.body.innerText`)."""

import pytest

from features import markup


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
