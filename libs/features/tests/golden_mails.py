"""Fixed mails of all kinds, written for the golden test. Change none of them: add one instead."""

# ruff: noqa: E501
import base64
import quopri


def _html(source: str, charset: str = "utf-8") -> bytes:
    return f"Subject: Your order\nContent-Type: text/html; charset={charset}\n\n{source}".encode(charset)


def _plain(charset: str, text: str, subject: str = "Note") -> bytes:
    return f"Subject: {subject}\nContent-Type: text/plain; charset={charset}\n\n".encode() + text.encode(charset)


NEWSLETTER = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Autumn</title><style>p { color: #333 }
.pre { display: none }</style></head><body><!-- header --><div class="pre">Only today inside the shop</div>
<table><tr><td><img src="https://img.shop.example/a.png" alt="Shop"></td><td>Autumn sale</td></tr></table>
<p>Hello Anna,<br>all boots are <b>40&nbsp;%</b> off &ndash; from &euro;59.90.</p>
<a href="https://www.shop.example/boots?id=7&amp;u=1">See <i>all</i> boots</a> <a href="https://shop.example/stop">Unsubscribe</a>
<img src="https://t.shop.example/open.gif" width="1" height="1"></body></html>"""

PHISHING = """<html><body><p>Dear customer,</p><p>Your account will be <b>LIMITED</b>!!! Verify within 24 hours:</p>
<form action="http://192.0.2.7:8080/login"><input name="user"><select><option>1</select></form>
<a href="http://secure.bank.example@3221225991/verify">https://bank.example/verify</a>
<span style="font-size:0">meadow river stone</span><span hidden>lantern</span></body></html>"""

MAILS: dict[str, bytes] = {
    "empty": b"",
    "one word": b"hello",
    "text without headers": b"Hi Tom,\n\nsee you at ten.\n> can we meet?\n> Tom\n",
    "plain": b"From: a@x.example\nTo: b@y.example\nSubject: Re: minutes of Monday\nDate: Tue, 1 Sep 2026 10:00:00 +0000\n\n"
    b"Hello Eve,\n\nthe minutes are at http://wiki.x.example/minutes, please don't forget slide 4.\n\nBob\n-- \nBob, x.example\n",
    "carriage returns": b"Subject: lines\r\nContent-Type: text/plain\r\n\r\none\r\ntwo\rthree\r\n",
    "plain spam": b"Subject: $$$ EARN MONEY FAST $$$\n\nDEAR FRIEND,\n\nEARN $5,000 OR 2 MILLION DOLLARS!!! VISIT "
    b"HTTP://WWW.CASH.EXAMPLE:81/NOW AND www.gold.example.\nYou win, your money, you choose.\n",
    "advance fee": b"Subject: URGENT ASSISTANCE\n\nAttn: Beneficiary\n\nI am Mr. John Low. The sum of US$ 18.5 million waits for "
    b"you. Reply to john@low.example with your bank account.\n",
    "parcel in German": _plain(
        "utf-8", "Sehr geehrter Kunde,\n\nIhr Paket wartet. Zahlen Sie 1,99 \u20ac: https://b\u00fccher.example/zoll?x=1\n"
    ),
    "note in French": _plain("iso-8859-1", "Bonjour Zo\u00e9,\n\nvotre colis est arriv\u00e9. \u00c0 demain\xa0!\n"),
    "note in Spanish": _plain("windows-1252", "Estimado cliente:\n\n\u00bfQuiere usted ganar 1 mill\u00f3n? \u2013 \u201cS\u00ed\u201d\n"),
    "note in Russian": _plain("koi8-r", "\u041f\u0440\u0438\u0432\u0435\u0442! \u0421\u043a\u0438\u0434\u043a\u0430 \u0434\u043e 50%.\n"),
    "note in Greek": _plain("iso-8859-7", "\u0394\u03c9\u03c1\u03b5\u03ac\u03bd \u03a3\u0391\u03a3\n"),
    "note in Chinese": _plain("gb18030", "\u60a8\u597d\uff0c\u8fd9\u662f\u5e7f\u544a\uff01\u8bf7\u70b9\u51fb\u3002\n"),
    "note in Japanese": _plain("iso-2022-jp", "\u4f1a\u8b70\u306e\u304a\u77e5\u3089\u305b\u3002\u300c\u7121\u6599\u300d\n"),
    "note in Korean": _plain("euc-kr", "\ud68c\uc758 \uc548\ub0b4, 3\uc2dc\n"),
    "note in Hebrew": _plain("windows-1255", "\u05e9\u05dc\u05d5\u05dd, \u05de\u05d7\u05e8\n"),
    "Latin-1 without a label": b"Subject: caf\xe9\n\nGr\xfc\xdfe aus K\xf6ln\n",
    "UTF-8 without a label": "Subject: caf\u00e9\n\nGr\u00fc\u00dfe aus K\u00f6ln\n".encode(),
    "UTF-16": _plain("utf-16", "wide letters\n"),
    "unknown charset": b"Subject: x\nContent-Type: text/plain; charset=x-none\n\n\x93quoted\x94 text\n",
    "encoded subject": b"Subject: =?utf-8?B?UsOpY2xhbWU=?= =?iso-8859-1?Q?_sp=E9ciale?=\n\nbody\n",
    "folded subject": b"Subject: a long subject\n that goes on\n\nbody goes on\n",
    "newsletter": _html(NEWSLETTER),
    "phishing": _html(PHISHING),
    "base64": b"Subject: s\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(PHISHING.encode()),
    "quoted-printable": b"Subject: s\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    + quopri.encodestring(NEWSLETTER.encode()),
    "alternatives": b"Subject: Receipt 4711\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"b\"\n\npreamble\n--b\n"
    b"Content-Type: text/plain; charset=utf-8\n\nYour receipt 4711: 12.00 EUR. Thank you!\n--b\nContent-Type: text/html; charset=utf-8\n\n"
    b"<p>Your <b>receipt</b> 4711: 12.00 EUR.</p><p><a href='//pay.example/4711'>Open</a></p>\n--b--\n",
    "attachments": b"Subject: invoice\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nSee the invoice.\n--m\n"
    b"Content-Type: application/pdf\nContent-Disposition: attachment; filename=a.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0=\n"
    b"--m\nContent-Type: message/rfc822\n\nSubject: inner\n\nforwarded words\n--m--\n",
    "boundary that is not there": b"Subject: s\nContent-Type: multipart/mixed; boundary=q\n\njust text\n",
    "links": b"Subject: links\n\n(http://a.example/x_(y)), <https://B.example>; http://%65vil.example. http://[2001:db8::1]:8080/ "
    b"http://0x7f.1/ http://1.2..3/ http://user:pw@c.example:8443/p?q#r http://d.example,http://e.example\n",
    "odd links": _html(
        '<a href="ht&#10;tp:\\\\evil.example\\a">a</a><a href="http://good.example#@evil.example/">b</a>'
        '<a href="mailto:a@x.example">c</a><a href="data:text/plain,x">d</a><a href="http://xn--bcher-kva.example/">e</a>'
    ),
    "broken HTML": _html("<p>one<p>two <b>three</p>four</b> <a href=http://x.example/?a>five <!-- six <i>seven"),
    "raw text in HTML": _html("<script>var a = '<p>no</p>';</script><textarea>yes &amp; no</textarea><style>q{}"),
    "invisible characters": "Subject: vi\u200bagra\n\nun\u00adsubscribe \ufeffnow \u202eabc\u202c\n".encode(),
    "emoji": "Subject: \U0001f389 Win\n\n\U0001f525Free \u2705Win\u2757\ufe0f 1\ufe0f\u20e3 step\n".encode(),
    "letters of mathematics": "Subject: s\n\n\U0001d405\U0001d42b\U0001d41e\U0001d41e \uff26\uff32\uff25\uff25\n".encode(),
    "quotation marks": "Subject: s\n\nDon\u2019t \u2018stop\u2019 'now' \u201cever\u201d \u2026 rock\u2019n\u2019roll\n".encode(),
    "long text": b"Subject: long\n\n" + b"lorem ipsum dolor 12 sit " * 2_000 + b"end\n",
    "long HTML": _html("<style>" + ".a { color: red }\n" * 2_000 + "</style><p>" + "word " * 5_000 + '<a href="http://z.example">z</a>'),
    "text and long HTML": b"Subject: s\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n" + b"first " * 4_000
    + b"\n--b\nContent-Type: text/html\n\n<p>second <a href='http://second.example/'>link</a>\n--b--\n",
    "noise": bytes(range(256)) * 2,
}  # fmt: skip
