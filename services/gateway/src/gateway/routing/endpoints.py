"""Endpoints: what FastAPI's routes and the fast path of predict requests both run."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.request_record import record_of
from gateway.http.turns import Turns
from gateway.problems import Problem


class Endpoints:
    """Base of classes whose methods answer requests.

    Args:
        turns: Turns in which clients are told what they did wrong.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns


Owner = TypeVar("Owner", bound=Endpoints)


def endpoint(
    answer: Callable[[Owner, Request], Awaitable[Response]],
) -> Callable[[Owner, Request], Awaitable[Response]]:
    """Decorate a method that answers requests: the problems that it raises become its answers."""

    @wraps(answer)
    async def answer_always(self: Owner, request: Request) -> Response:
        try:
            return await answer(self, request)
        except Problem as problem:
            await self.turns.refused(problem)
            return record_of(request.scope).response(problem)

    return answer_always
