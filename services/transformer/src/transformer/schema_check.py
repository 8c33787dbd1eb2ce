"""Feature schema check: compares the features a model was trained on with those that this transformer makes.

A transformer and a model of two feature schemas can both be up, and no mail is answered. So readiness includes this
check. The answers to mail are enough for it. If a predictor has answered none for a while, it is asked for its model's
columns and gets one short mail. A predictor that states neither columns nor schema passes, as other projects' servers
do.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import monotonic
from typing import Any, Protocol

import aiohttp
import orjson
from prometheus_client import Gauge

import features
from contract.tensors import FEATURE_SCHEMA_VERSION
from inference import ErrorAnswer, Replica, Unusable, read_bounded

log = logging.getLogger("transformer")

FITS = Gauge("transformer_model_fits", "Whether the predictor's model takes the features made here, as last checked.")
FITS.set(1)

TOLD_SECONDS = 10.0
"""Seconds that a replica's last statement about its schema counts."""
CHECK_SECONDS = 0.4
"""Seconds that a replica has to answer; if it is slower, its last statement stands."""
METADATA_BYTES = 262_144
REPLICAS = 256
"""Replicas whose last statement is kept; pod addresses come and go."""
NAMED = 5
"""Columns that a message names."""


class OtherSchema(Unusable):
    """The model was trained on other features than this transformer makes."""


def check_schema(parameters: dict[str, Any]) -> None:
    """Check the schema that an answer names. Columns of one name may have another meaning in another schema.

    Raises:
        OtherSchema: The answer names another schema than this transformer's.
    """
    trained_on = parameters.get(FEATURE_SCHEMA_VERSION, features.SCHEMA_VERSION)
    if trained_on != features.SCHEMA_VERSION:
        raise _other(f"was trained on feature schema {_shown(trained_on)}")


def check_columns(metadata: Any) -> None:
    """Check the columns that a model's metadata names, if it names any.

    Raises:
        OtherSchema: They are not the columns that this transformer sends.
    """
    inputs = metadata.get("inputs") if isinstance(metadata, dict) else None
    names = [each.get("name") for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    # Other projects' servers name no inputs, or one for the whole table.
    if "text" not in names or len(names) < 2:
        return
    ours = {"text", *features.NAMES}
    if missing := ours.difference(names):
        raise _other(f"takes no {_listed(missing)}")
    if unknown := set(map(str, names)) - ours:
        raise _other(f"also takes {_listed(unknown)}")


def _other(of: str) -> OtherSchema:
    return OtherSchema(
        f"the model {of}, this transformer makes {features.SCHEMA_VERSION};"
        " release the transformer image and the model of one schema together"
    )


def _shown(value: object) -> str:
    return "".join(each if each.isprintable() else "?" for each in str(value)[:50])


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"column {', '.join(map(_shown, found[:NAMED]))}{more}"


class Score(Protocol):
    """Sends one short mail to a replica."""

    async def __call__(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        """Raise OtherSchema if the answer names another schema, and the errors of `InferenceClient.send` otherwise."""


class SchemaCheck:
    """Last statements of a predictor's replicas about their model's features.

    Args:
        metadata_path: Path of the model's metadata at each replica.
        score: Sends one short mail.
        clock: Returns seconds that never go back.
    """

    def __init__(self, metadata_path: str, score: Score, clock: Callable[[], float] = monotonic) -> None:
        self._path = metadata_path
        self._score = score
        self._clock = clock
        self._told: dict[str, tuple[float, str]] = {}
        self._said = ""

    def note(self, replica: Replica, fault: str) -> None:
        """Store what a replica's answer to mail says: why its model does not fit, or "" if it does."""
        if len(self._told) >= REPLICAS and replica.url not in self._told:
            self._told.clear()
        self._told[replica.url] = self._clock(), fault

    async def fault(self, session: aiohttp.ClientSession, replica: Replica) -> str:
        """Return why a replica's model does not fit, or "" if it does or is unknown."""
        when, fault = self._told.get(replica.url, (-TOLD_SECONDS, ""))
        # A replica that does not fit is checked each time, since it may have a new release.
        if not fault and self._clock() - when < TOLD_SECONDS:
            return ""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._ask(session, replica)
        except OtherSchema as error:
            fault = str(error)
        except (ErrorAnswer, Unusable, aiohttp.ClientError, TimeoutError, ValueError):
            return fault
        else:
            fault = ""
        self.note(replica, fault)
        return fault

    async def _ask(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        async with session.get(replica.url + self._path, headers=replica.headers) as response:
            if response.status == HTTPStatus.OK:
                check_columns(orjson.loads(await read_bounded(response.content.iter_any(), METADATA_BYTES)))
        await self._score(session, replica)

    def tell(self, fault: str) -> None:
        """Log one line each time the predictor's model starts or stops fitting, and set the metric."""
        FITS.set(not fault)
        if fault == self._said:
            return
        self._said = fault
        if fault:
            log.error("not ready: the predictor's model does not fit", extra={"reason": fault})
        else:
            log.info("ready again: the predictor's model fits")
