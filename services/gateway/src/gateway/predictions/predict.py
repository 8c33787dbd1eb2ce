"""Predictions: mails in, an environment's answers out. Nothing here knows HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.predictions.environment import Ask, Environment, Predicted
from gateway.predictions.mails import Mail, Verdicts
from runtime.tracing import Span

Futures = Sequence[asyncio.Future[Verdicts]]


# Not frozen: that would cost a microsecond for each request.
@dataclass(slots=True)
class Context:
    """Circumstances of a request, besides its mails."""

    canary_key: str | None = None
    """Key that a canary chooses by, or None if only the environment that was named may answer."""
    span: Span | None = None
    """Span of the request, if it is sampled."""
    awaits: Callable[[Futures, Callable[[Futures], None]], None] | None = None
    """Gets the futures that the client waits for, and a function to call with them when it may have gone.

    Cancelling the futures keeps their mails from being sent for nothing.
    """


class Assignment(Protocol):
    """Choice of the environment that answers, as `gateway.experiments.assignment` makes it."""

    async def answer(
        self, environment: Environment, mails: Sequence[Mail], sizes: Sequence[int], key: str | None, ask: Ask
    ) -> Predicted:
        """Have a request answered; `key` is its `Context.canary_key`, and `ask` asks one environment."""


class Predictions:
    """The way from mails to answers, with the experiments on it."""

    def __init__(self, assignment: Assignment | None = None) -> None:
        self._assignment = assignment

    async def predict(
        self, environment: Environment, mails: Sequence[Mail], sizes: Sequence[int], context: Context
    ) -> Predicted:
        """Return the answers to the mails of one request, and count them.

        Args:
            environment: Where they should be answered; a canary may answer in its place.
            mails: One or more.
            sizes: Bytes of each mail.
            context: Circumstances of the request.

        Raises:
            Problem: There is no room, or no answer.
        """

        async def ask(asked: Environment) -> list[Verdicts]:
            pieces = asked.coalescer.submit(mails, sizes, context.span)
            if context.awaits is not None:
                context.awaits(pieces, asked.coalescer.doubt)
            try:
                return [await pieces[0]] if len(pieces) == 1 else await _all(pieces)
            finally:
                # A failure references this frame, and the frame its futures. Thousands of such cycles make a long
                # garbage collection.
                pieces.clear()

        if self._assignment is None:
            predicted = Predicted(environment, await ask(environment))
        else:
            predicted = await self._assignment.answer(environment, mails, sizes, context.canary_key, ask)
        predicted.environment.count(predicted.answers)
        return predicted


async def _all(pieces: list[asyncio.Future[Verdicts]]) -> list[Verdicts]:
    """Return the answers of all pieces. Wait for all of them, then raise the first failure."""
    outcomes = await asyncio.gather(*pieces, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Verdicts)]
