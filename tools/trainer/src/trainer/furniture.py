"""Furniture of HTML mail: what mailing systems put around a text, in its language.

Every piece of it is drawn alike for ham and spam, so none of its words, links and images tells the kinds apart.
"""

import html
import random
from dataclasses import dataclass, field

from trainer import details, hosts
from trainer.layout import Block, Kind, inline

_FONTS = (
    *("Arial, sans-serif", "Helvetica, Arial, sans-serif", "'Segoe UI', Tahoma, sans-serif", "Georgia, serif"),
    *("-apple-system, BlinkMacSystemFont, Roboto, sans-serif", "Verdana, Geneva, sans-serif", "'Open Sans', Arial"),
)
_COLOURS = (
    "#1a73e8",
    "#0066cc",
    "#ff6600",
    "#2e7d32",
    "#c62828",
    "#5e35b1",
    "#111111",
    "#00897b",
    "#d81b60",
    "#f5a623",
)
_SOCIAL = ("Facebook", "Instagram", "LinkedIn", "Twitter", "YouTube", "X", "TikTok")
_PADDING = ("&zwnj;&nbsp;", "&#847; &zwnj; &nbsp; ", "&#8199;&#65279;&#847; ", "&nbsp;&zwnj;")

_FOOTERS: dict[str, tuple[str, ...]] = {
    "en": (
        "You are receiving this email because you have an account with {brand}.|Unsubscribe|Privacy Policy|Contact us",
        "This email was sent to {email}.|Manage preferences|Unsubscribe from this list",
        "This is an automated message, please do not reply.|Help Center|Terms of Service|Privacy",
        "You got this because you signed up at our website.|Update your preferences|unsubscribe",
        "No longer want to receive these emails?|Unsubscribe.|View in browser",
        "If you have any questions, contact our support team.|Support|FAQ|Terms",
        "All rights reserved.|View online|Forward to a friend|Opt out",
    ),
    "de": (
        "Sie erhalten diese E-Mail, weil Sie bei {brand} registriert sind.|Abmelden|Datenschutz|Impressum",
        "Diese E-Mail wurde an {email} gesendet.|Newsletter abbestellen|Einstellungen",
        "Bitte antworten Sie nicht auf diese automatisch erstellte Nachricht.|Hilfe|AGB|Datenschutz",
        "Keine E-Mails mehr erhalten?|Hier abmelden|Im Browser ansehen",
    ),
    "fr": (
        "Vous recevez cet e-mail car vous avez un compte chez {brand}.|Se désabonner|Confidentialité|Nous contacter",
        "Cet e-mail a été envoyé à {email}.|Gérer mes préférences|Me désinscrire",
        "Ceci est un message automatique, merci de ne pas y répondre.|Aide|Mentions légales",
        "Vous ne souhaitez plus recevoir nos e-mails ?|Désabonnement|Voir dans le navigateur",
    ),
    "es": (
        "Recibes este correo porque tienes una cuenta en {brand}.|Darse de baja|Privacidad|Contacto",
        "Este correo se envió a {email}.|Gestionar preferencias|Cancelar suscripción",
        "Este es un mensaje automático, por favor no respondas.|Ayuda|Aviso legal|Privacidad",
        "¿No quieres recibir más correos?|Darme de baja|Ver en el navegador",
    ),
}
"""Footers: a sentence, then the words of its links."""
_SIGNATURES: dict[str, tuple[str, ...]] = {
    "en": ("Sent from my iPhone", "Get Outlook for iOS", "Sent from Yahoo Mail on Android", "Sent from my Galaxy"),
    "de": ("Von meinem iPhone gesendet", "Gesendet von Outlook für Android", "Diese Nachricht wurde mobil gesendet"),
    "fr": ("Envoyé de mon iPhone", "Télécharger Outlook pour iOS", "Envoyé depuis mon téléphone"),
    "es": ("Enviado desde mi iPhone", "Obtener Outlook para iOS", "Enviado desde mi móvil"),
}


@dataclass(slots=True)
class Look:
    """Look of one mail: its colours, its sender's name and hosts, all drawn at once."""

    chosen: random.Random
    language: str
    subject: str
    detail: details.Details = field(init=False)
    host: str = field(init=False)
    font: str = field(init=False)
    colour: str = field(init=False)

    def __post_init__(self) -> None:
        """Draw the look."""
        self.detail = details.Details(self.chosen, self.language)
        self.host = hosts.of_kind(self.chosen, self.detail.words, bad=self.chosen.random() < 0.3)
        self.font = self.chosen.choice(_FONTS)
        self.colour = self.chosen.choice(_COLOURS)

    def link(self) -> str:
        """Return a link of the mailing system, ready for an attribute."""
        return html.escape(hosts.link(self.chosen, self.host, bad=False))

    def often(self, share: float) -> bool:
        """Return true in a share of the mails."""
        return self.chosen.random() < share


def words(line: str, style: str = "") -> str:
    """Return a line as HTML, with its links as anchors."""
    look = f' style="{style}"' if style else ""
    return "".join(
        f'<a href="{html.escape(link)}"{look}>{html.escape(text)}</a>' if link else html.escape(text, quote=False)
        for text, link in inline(line)
    )


def lines(block: Block, style: str = "") -> str:
    """Return a block's lines as HTML with line breaks."""
    return "<br>\n".join(words(line, style) for line in block.lines)


def bullets(block: Block) -> str:
    """Return a block's lines as a list."""
    return "<ul>" + "".join(f"<li>{words(line)}</li>" for line in block.lines) + "</ul>"


def button(look: Look, block: Block) -> str:
    """Return a button as mailing systems build it."""
    link, text = html.escape(block.link), html.escape(block.lines[0])
    anchor = (
        f'<a href="{link}" target="_blank" style="display:inline-block;padding:12px 24px;background:{look.colour};'
        f'color:#ffffff;text-decoration:none;border-radius:4px;font-family:{look.font}">{text}</a>'
    )
    if look.often(0.5):
        return anchor
    return (
        '<table role="presentation" border="0" cellpadding="0" cellspacing="0" align="center"><tr>'
        f'<td bgcolor="{look.colour}" style="border-radius:4px">{anchor}</td></tr></table>'
    )


def block(look: Look, one: Block, style: str) -> str:
    """Return a block as HTML, its paragraphs in a style."""
    if one.kind is Kind.BUTTON:
        return button(look, one)
    if one.kind is Kind.BULLETS:
        return bullets(one)
    inner = lines(one, f"color:{look.colour}" if look.often(0.5) else "")
    if one.kind is Kind.QUOTE:
        return f'<blockquote style="margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex">{inner}</blockquote>'
    return f'<p style="{style}">{inner}</p>' if style else f"<p>{inner}</p>"


def preheader(look: Look, found: list[Block]) -> str:
    """Return the hidden text that a list of mails shows after the subject, taken from the text as mailers do."""
    if not found or look.often(0.3):
        return ""
    shown = " ".join(text for line in found[0].lines for text, _ in inline(line))
    text = html.escape(shown[: look.chosen.randrange(40, 140)], quote=False)
    padding = look.chosen.choice(_PADDING) * look.chosen.randrange(0, 90)
    style = look.chosen.choice(
        (
            "display:none;font-size:1px;color:#ffffff;line-height:1px;max-height:0px;max-width:0px;opacity:0;overflow:hidden",
            "display:none!important;visibility:hidden;mso-hide:all;font-size:0;max-height:0",
            "display:none",
        )
    )
    return f'<div style="{style}">{text}{padding}</div>'


def header_image(look: Look) -> str:
    """Return the sender's logo, or the sender's name where there is no image."""
    brand = html.escape(look.detail("company"))
    if look.often(0.25):
        return f'<span style="font-size:22px;color:{look.colour}">{brand}</span>'
    source = html.escape(f"https://{look.host}/images/{look.chosen.getrandbits(48):x}/logo.png")
    alternative = brand if look.often(0.6) else ""
    image = f'<img src="{source}" alt="{alternative}" width="{look.chosen.randrange(80, 600)}" border="0">'
    return f'<a href="{look.link()}">{image}</a>' if look.often(0.6) else image


def pixel(look: Look) -> str:
    """Return a tracking pixel, or nothing."""
    if look.often(0.35):
        return ""
    source = html.escape(f"https://{look.host}/open?u={look.chosen.getrandbits(96):x}&id={look.chosen.getrandbits(24)}")
    return f'<img src="{source}" width="1" height="1" alt="" style="display:block;border:0">'


def social(look: Look) -> str:
    """Return icons of social networks."""
    names = look.chosen.sample(_SOCIAL, look.chosen.randrange(2, 5))
    return " ".join(
        f'<a href="https://www.{name.lower()}.com/{hosts.name(look.chosen)}"><img src="https://{look.host}/'
        f'{name.lower()}.png" width="24" alt="{name if look.often(0.5) else ""}"></a>'
        for name in names
    )


def footer(look: Look) -> str:
    """Return the lines under a mailing: why it came, links to leave the list, and a postal address."""
    sentence, *texts = look.chosen.choice(_FOOTERS[look.language]).split("|")
    detail = look.detail
    links = look.chosen.choice((" | ", " &middot; ", " &nbsp; ", " - ")).join(
        f'<a href="{look.link()}" style="color:#999999">{text}</a>' for text in texts
    )
    sentence = html.escape(sentence.format(brand=detail("company"), email=detail("email")))
    address = html.escape(f"{detail('company')}, {detail('street')}, {detail('city')}")
    year = f"&copy; {look.chosen.randrange(2015, 2027)} " if look.often(0.5) else ""
    pieces = [f"{sentence}", links, f"{year}{address}"]
    look.chosen.shuffle(pieces)
    return "<br>".join(pieces[: look.chosen.choice((2, 3, 3))])


def signature(look: Look) -> str:
    """Return the line that a telephone's mail program adds."""
    return look.chosen.choice(_SIGNATURES[look.language])


LINK_WORDS = ("here", "View", "More", "Read more", "Open", "Details", "Website", "See all", "Click here", "Continue")
"""Words of links whose own words are not known."""
