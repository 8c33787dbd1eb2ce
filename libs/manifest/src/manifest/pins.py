"""Pin of a bundle in a release: the SHA-256 of its `model.json`, compared before anything is parsed."""

import hashlib

from manifest.document import Manifest, parse
from manifest.errors import BundleError
from manifest.fields import MANIFEST_NAME, MODEL_NAME, is_sha256
from manifest.strict_json import shown


def parse_pinned(content: bytes, where: str, pin: str | None) -> Manifest:
    """Return the manifest in the content of a `model.json` if it matches the pin.

    Args:
        content: Content of the file.
        where: Name of the file, for error messages.
        pin: Digest that the release pins; None skips the comparison.

    Raises:
        BundleError: If the content does not match the pin, or if it is not a manifest.
    """
    if pin is not None:
        check_pin(content, where, pin.strip().lower())
    return parse(content, where)


def check_pin(content: bytes, where: str, pin: str) -> None:
    """Compare a `model.json` with its pin.

    Raises:
        BundleError: If they differ. The message distinguishes a pin of `model.joblib`, which older releases had.
    """
    if not is_sha256(pin):
        raise BundleError(
            f"the release pins {shown(pin)}, which is no SHA-256 (64 hexadecimal digits); run make pin-model"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest == pin:
        return
    differ = f"{where} has SHA-256 {digest}, the release pins {pin}; it was not unpickled"
    raise BundleError(f"{differ}: {_advice(content, pin)}")


def _advice(content: bytes, pin: str) -> str:
    # Search the bytes: content that does not match the pin must not be parsed.
    if pin.encode() in content:
        return (
            f"that is the digest of a file that {MANIFEST_NAME} lists, as releases once pinned {MODEL_NAME}; now they"
            f" pin {MANIFEST_NAME} and with it all files: run make pin-model ENV=… URI=… BUNDLE=<the folder that"
            " make train wrote>"
        )
    return "deploy the bundle that was released, or release this one by make pin-model"
