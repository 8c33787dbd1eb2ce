"""Header X-Canary-Key: what a canary chooses a request by."""

from starlette.requests import Request

from gateway import problems
from gateway.http.access_log import REQUEST_ID

KEY_HEADER = "X-Canary-Key"
_KEY_NAME = KEY_HEADER.lower().encode()


def canary_key(request: Request) -> str | None:
    """Return the key by which a canary chooses, or None if the client sends none.

    A client sends the same key for all requests of one user.

    Raises:
        Problem: 400 if the key is given twice or is not 1 to 128 printable ASCII characters.
    """
    given = [value for name, value in request.scope["headers"] if name == _KEY_NAME]
    if not given:
        return None
    if len(given) > 1:
        raise problems.repeated_header(KEY_HEADER)
    key: str = given[0].decode("latin-1")
    if not REQUEST_ID.fullmatch(key):
        raise problems.malformed_canary_key()
    return key
