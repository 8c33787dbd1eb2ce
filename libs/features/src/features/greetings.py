"""Greetings to anyone, such as "Dear customer", which a sender writes who does not know the reader's name."""

import re

GREETING_CHARACTERS = 1_000
"""Characters at the beginning of a text where a greeting is looked for."""

_WORDS = frozenset(
    [
        *("dear", "hello", "hi", "attention", "attn", "greetings"),
        *("hallo", "geehrte", "geehrter", "geehrtes", "lieber", "liebe"),
        *("cher", "ch\u00e8re", "chers", "bonjour"),
        *("estimado", "estimada", "apreciado", "apreciada", "querido", "querida", "hola"),
    ]
)
_BETWEEN = (
    r"our|valued|esteemed|online|e-?mail|mail|web|bank|account|good|lucky|dear|sir|madam|to|the|all|in"
    r"|unsere?r?|notre|nuestr[oa]|valued paypal|client|card"
)
_ANYONE = (
    r"customers?|clients?|users?|members?|friends?|sirs?|madam|owner|winner|beneficiary|subscribers?|holder|beloved"
    r"|account|recipient|taxpayer|shopper|investor|webmaster|applicant|candidate|partner"
    r"|kunden?|kundin|nutzer|nutzerin|benutzer|mitglied|freunde?|damen|empf\u00e4nger|gewinner"
    r"|ami|amie|abonn\u00e9|membre|utilisateur|b\u00e9n\u00e9ficiaire|cliente"
    r"|amigos?|amiga|clientes|usuarios?|usuaria|beneficiari[oa]|se\u00f1or"
)
# An address instead of a name: the part before the at sign is enough.
_GREETING = re.compile(
    rf"\w{{2,11}}[ ,:]{{1,3}}(?:(?:{_BETWEEN})[ /-]{{1,3}}){{0,3}}(?:(?:{_ANYONE})\b|[\w.+-]{{1,64}}@)"
)


def greets_anyone(lowered: str, different: dict[str, None]) -> bool:
    """Return whether a text begins with a greeting to anyone.

    Args:
        lowered: Text in lower case.
        different: Its words; most texts have no word of a greeting, and cost nothing.
    """
    return any(_follows(lowered, word) for word in different.keys() & _WORDS)


def _follows(lowered: str, word: str) -> bool:
    at = lowered.find(word, 0, GREETING_CHARACTERS)
    while at >= 0:
        if not lowered[at - 1 : at].isalnum() and _GREETING.match(lowered, at):
            return True
        at = lowered.find(word, at + 1, GREETING_CHARACTERS)
    return False
