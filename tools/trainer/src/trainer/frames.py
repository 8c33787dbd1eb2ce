"""Frames: the HTML that mailing systems and mail programs of 2015 to 2026 put around a text."""

import html
from collections.abc import Callable

from trainer import furniture
from trainer.furniture import Look
from trainer.layout import Block, Kind

_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n<html xmlns="http://www.w3.org/1999/xhtml">'
)
_MEDIA = """<style type="text/css">
body,table,td,a{-webkit-text-size-adjust:100%;-ms-text-size-adjust:100%}
table,td{mso-table-lspace:0pt;mso-table-rspace:0pt}
img{border:0;height:auto;line-height:100%;outline:none;text-decoration:none}
@media only screen and (max-width:600px){.container{width:100%!important}.stack{display:block!important}}
</style>"""
_DARK = """<style>:root{color-scheme:light dark;supported-color-schemes:light dark}
@media (prefers-color-scheme:dark){.body{background:#1e1e1e!important}.text{color:#eeeeee!important}}
[data-ogsc] .text{color:#eeeeee!important}</style>"""
_MSO = (
    "<!--[if mso]><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml>"
    "<![endif]-->"
)


def newsletter(look: Look, blocks: list[Block]) -> str:
    """Return nested tables of 600 pixels with a header image and a footer."""
    style = f"margin:0 0 16px;font:{look.chosen.randrange(13, 18)}px {look.font};color:#333333"
    rows = "\n".join(
        f'<tr><td style="padding:10px 30px" class="text">{furniture.block(look, block, style)}</td></tr>'
        for block in blocks
    )
    return (
        f"{_DOCTYPE}<head><meta http-equiv='Content-Type' content='text/html'>{_MEDIA}{_title(look)}</head>"
        f'<body style="margin:0;background:#f4f4f4">{furniture.preheader(look, blocks)}'
        '<table width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td align="center">'
        '<table width="600" class="container" cellpadding="0" cellspacing="0" style="background:#ffffff">'
        f'<tr><td align="center">{furniture.header_image(look)}</td></tr>{rows}</table>'
        f'<table width="600" class="container"><tr><td align="center" style="font:11px {look.font};color:#999999">'
        f"{furniture.footer(look)}</td></tr></table></td></tr></table>{furniture.pixel(look)}</body></html>"
    )


def marketing(look: Look, blocks: list[Block]) -> str:
    """Return a mailing with style sheets, dark mode, a picture, social icons and a tracking pixel."""
    body = "\n".join(f'<div class="text stack">{furniture.block(look, block, "")}</div>' for block in blocks)
    hero = f'<a href="{look.link()}"><img src="https://{html.escape(look.host)}/hero.jpg" width="640" alt=""></a>'
    return (
        f'<!doctype html><html lang="{look.language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{_title(look)}{_MEDIA}{_DARK}{_MSO}</head>'
        f'<body class="body" style="font-family:{look.font}">{furniture.preheader(look, blocks)}'
        f'<center><div style="max-width:640px;margin:auto">{furniture.header_image(look)}'
        f"{hero if look.often(0.6) else ''}{body}<hr>{furniture.social(look)}"
        f'<p style="font-size:11px;color:#888">{furniture.footer(look)}</p></div></center>{furniture.pixel(look)}'
        "</body></html>"
    )


def receipt(look: Look, blocks: list[Block]) -> str:
    """Return a transactional mail whose lists are the rows of a table."""
    cell = f"padding:8px;border-bottom:1px solid #e5e5e5;font:14px {look.font}"
    body = "\n".join(_rows(look, block, cell) for block in blocks)
    return (
        f'<html><head><meta name="viewport" content="width=device-width">{_title(look)}</head><body>'
        f'<table width="100%" bgcolor="#fafafa"><tr><td><table width="560" align="center" bgcolor="#ffffff">'
        f'<thead><tr><th colspan="2" align="left">{furniture.header_image(look)}</th></tr></thead>'
        f"<tbody>{body}</tbody></table>"
        f'<p align="center"><small>{furniture.footer(look) if look.often(0.7) else ""}</small></p></td></tr></table>'
        f"{furniture.pixel(look)}</body></html>"
    )


def _rows(look: Look, block: Block, cell: str) -> str:
    if block.kind is not Kind.BULLETS:
        return f'<tr><td colspan="2">{furniture.block(look, block, "margin:12px 0")}</td></tr>'
    pairs = [line.partition(": ") for line in block.lines]
    return "".join(
        f'<tr><td style="{cell}">{furniture.words(left + colon.rstrip())}</td>'
        f'<td style="{cell}" align="right">{furniture.words(right)}</td></tr>'
        for left, colon, right in pairs
    )


def gmail(look: Look, blocks: list[Block]) -> str:
    """Return the bare divisions that Gmail's editor writes."""
    inner = "<div><br></div>".join(f"<div>{_simple(block)}</div>" for block in blocks)
    close = '<div class="gmail_signature" dir="ltr"><br></div>' if look.often(0.4) else ""
    return f'<div dir="ltr">{inner}</div>{close}'


def gmail_reply(look: Look, blocks: list[Block]) -> str:
    """Return Gmail's answer, with all but the first block quoted."""
    first = _simple(blocks[0]) if blocks else ""
    rest = "<br>".join(f"<div>{_simple(block)}</div>" for block in blocks[1:])
    return (
        f'<div dir="auto">{first}</div><br><div class="gmail_quote">'
        '<blockquote class="gmail_quote" style="margin:0 0 0 .8ex;border-left:1px #ccc solid;padding-left:1ex">'
        f"{rest}</blockquote></div>"
    )


def outlook(look: Look, blocks: list[Block]) -> str:
    """Return Word's HTML as Outlook for Windows sends it."""
    body = "\n".join(
        f"<p class=MsoNormal>{_simple(block)}<o:p></o:p></p><p class=MsoNormal><o:p>&nbsp;</o:p></p>"
        for block in blocks
    )
    return (
        '<html xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office" '
        'xmlns:w="urn:schemas-microsoft-com:office:word" xmlns="http://www.w3.org/TR/REC-html40"><head>'
        '<meta http-equiv=Content-Type content="text/html"><meta name=Generator content="Microsoft Word 15 '
        '(filtered medium)"><style><!--\n/* Font Definitions */\n@font-face {font-family:Calibri;}\n'
        "p.MsoNormal, li.MsoNormal {margin:0cm;font-size:11.0pt;font-family:Calibri,sans-serif;}\n"
        "@page WordSection1 {size:612.0pt 792.0pt;}\n--></style><!--[if gte mso 9]><xml>"
        '<o:shapedefaults v:ext="edit" spidmax="1026" /></xml><![endif]--></head>'
        f'<body lang={look.language.upper()} link="#0563C1" vlink="#954F72"><div class=WordSection1>{body}</div>'
        "</body></html>"
    )


def outlook_web(look: Look, blocks: list[Block]) -> str:
    """Return the HTML of Outlook on the web."""
    style = "font-family: Aptos, Calibri, Helvetica, sans-serif; font-size: 12pt; color: rgb(0, 0, 0);"
    body = "\n".join(f'<div class="elementToProof" style="{style}">{_simple(block)}<br></div>' for block in blocks)
    end = f'<div id="ms-outlook-mobile-signature">{furniture.signature(look)}</div>' if look.often(0.3) else ""
    return (
        '<html><head><meta http-equiv="Content-Type" content="text/html"><style type="text/css" '
        'style="display:none;"> P {margin-top:0;margin-bottom:0;} </style></head><body dir="ltr">'
        f"{body}{end}</body></html>"
    )


def apple(look: Look, blocks: list[Block]) -> str:
    """Return Apple Mail's HTML, sometimes as an answer with the rest quoted."""
    cut = look.chosen.randrange(1, len(blocks) + 1) if blocks else 0
    first = "<div><br></div>".join(_simple(block) for block in blocks[:cut])
    rest = "<br>".join(_simple(block) for block in blocks[cut:])
    quote = f'<div><blockquote type="cite"><div>{rest}</div></blockquote></div>' if rest else ""
    end = f"<div dir='ltr'>{furniture.signature(look)}</div>" if look.often(0.4) else ""
    return (
        '<html><head><meta http-equiv="content-type" content="text/html"></head><body dir="auto" style="overflow-wrap: '
        f'break-word; -webkit-nbsp-mode: space; line-break: after-white-space;">{first}<br>{end}{quote}</body></html>'
    )


def notification(look: Look, blocks: list[Block]) -> str:
    """Return the notice of a web service: paragraphs, grey small print, machine-readable action."""
    body = "\n".join(furniture.block(look, block, "") for block in blocks)
    action = (
        '<script type="application/ld+json">[{"@context":"http://schema.org","@type":"EmailMessage",'
        '"potentialAction":{"@type":"ViewAction","name":"View"}}]</script>'
    )
    return (
        f'<div style="font-family:{look.font}">{body}</div>\n<p style="font-size:small;color:#666">&mdash;<br />'
        f"{furniture.footer(look)}{furniture.pixel(look)}</p>{action if look.often(0.5) else ''}"
    )


def card(look: Look, blocks: list[Block]) -> str:
    """Return a card of rounded corners on a grey page, as identity and payment services send it."""
    style = f"font-family:{look.font};font-size:16px;line-height:24px;margin:16px 0;color:#3c4043"
    body = "".join(furniture.block(look, block, style) for block in blocks)
    title = html.escape(look.subject, quote=False) if look.often(0.5) else ""
    heading = f'<h1 style="font-size:24px">{title}</h1>' if title else ""
    return (
        f'<html dir="ltr" lang="{look.language}"><head><meta name="x-apple-disable-message-reformatting">{_DARK}</head>'
        f'<body style="background:#f6f9fc">{furniture.preheader(look, blocks)}<table align="center" role="presentation"'
        ' style="max-width:37.5em;border:1px solid #dadce0;border-radius:8px"><tbody><tr style="width:100%"><td>'
        f"{furniture.header_image(look)}{heading}{body}<hr style='border-top:1px solid #eaeaea'>"
        f'<p style="font-size:12px;color:#8898aa">{furniture.footer(look) if look.often(0.7) else ""}</p>'
        "</td></tr></tbody></table></body></html>"
    )


def columns(look: Look, blocks: list[Block]) -> str:
    """Return a mailing of a drag-and-drop editor (MJML), with conditional tables for Outlook."""
    start = '<!--[if mso | IE]><table align="center" border="0" style="width:600px;"><tr><td><![endif]-->'
    end = "<!--[if mso | IE]></td></tr></table><![endif]-->"
    sections = "\n".join(
        f'{start}<div style="margin:0px auto;max-width:600px"><div class="mj-column-per-100" style="font-size:0px;'
        'text-align:left;display:inline-block;width:100%"><div style="font-size:15px;line-height:1.5;'
        f'font-family:{look.font};color:#000000">{furniture.block(look, block, "margin:0")}</div></div></div>{end}'
        for block in blocks
    )
    return (
        f'<!doctype html><html xmlns="http://www.w3.org/1999/xhtml"><head>{_title(look)}<!--[if !mso]><!-->'
        '<link href="https://fonts.googleapis.com/css?family=Lato" rel="stylesheet" type="text/css"><!--<![endif]-->'
        f"{_MEDIA}</head><body>{furniture.preheader(look, blocks)}{furniture.header_image(look)}{sections}"
        f'<div style="font-size:11px">{furniture.social(look) if look.often(0.4) else ""}<br>{furniture.footer(look)}'
        f"</div>{furniture.pixel(look)}</body></html>"
    )


def thunderbird(look: Look, blocks: list[Block]) -> str:
    """Return the plain HTML of a desktop mail program."""
    body = "\n".join(furniture.block(look, block, "") for block in blocks)
    head = '<head><meta http-equiv="content-type" content="text/html"></head>'
    return f'<html>{head}<body text="#000000">{body}</body></html>'


Frame = Callable[[Look, list[Block]], str]
FRAMES: tuple[Frame, ...] = (
    *(newsletter, marketing, receipt, gmail, gmail_reply, outlook),
    *(outlook_web, apple, notification, card, columns, thunderbird),
)


def _title(look: Look) -> str:
    return f"<title>{html.escape(look.subject) if look.often(0.6) else ''}</title>"


def _simple(block: Block) -> str:
    """Return a block as a mail program's editor writes it: no buttons, only links."""
    if block.kind is Kind.BUTTON:
        return furniture.words(f"[{block.lines[0]}]({block.link})")
    if block.kind is Kind.QUOTE:
        return f"<blockquote>{furniture.lines(block)}</blockquote>"
    return furniture.bullets(block) if block.kind is Kind.BULLETS else furniture.lines(block)
