from features import markup


def shown(source: str) -> str:
    return " ".join(markup.parse(source).shown.split())


def test_tags_part_words_and_are_kept_apart() -> None:
    parsed = markup.parse('<P align="center">one<br>two</P>')
    assert parsed.shown.split() == ["one", "two"]
    assert parsed.tags.split("\n") == ['<P align="center"', "<br"]


def test_comments_hide_and_do_not_part_words() -> None:
    parsed = markup.parse("V<!-- x -->iag<!-- y -->ra")
    assert (parsed.shown, parsed.comments) == ("Viagra", 2)


def test_unclosed_comment_and_style_take_the_rest() -> None:
    assert shown("seen <!-- never closed <b>unseen") == "seen"
    assert shown("seen <style>p {color: red}") == "seen"


def test_code_is_not_shown() -> None:
    assert shown("a<STYLE type='x'>p {}</style>b<script>if (a < b) c()</script >d") == "a b d"


def test_entities() -> None:
    assert shown("&lt;b&gt; &amp; &#8364;5 &#x41;&nbsp;&eacute; &unknown; &") == "<b> & \u20ac5 A \u00e9 &unknown; &"


def test_entities_that_are_no_characters() -> None:
    assert shown("&#0; &#xD800; &#9999999;") == "\ufffd \ufffd \ufffd"
    assert shown("&#" + "9" * 5000 + ";").endswith("9;")


def test_less_than_in_text_is_text() -> None:
    assert shown("1 < 2 and 3 > 2") == "1 < 2 and 3 > 2"
