"""The sweep over connections; the event loop is a fake whose clock the tests set."""

from collections.abc import Callable
from typing import Any

import pytest

from httpserver.sweep import LATE_SECONDS, SWEEP_SECONDS, SWEPT_IN_A_TURN, Sweep


class Loop:
    """An event loop with a clock of its own; `turn` and `wait` run what is due."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Callable[[], Any]] = []
        self.later: list[tuple[float, Callable[[], Any]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[[], Any]) -> None:
        self.soon.append(call)

    def call_later(self, seconds: float, call: Callable[[], Any]) -> None:
        self.later.append((self.now + seconds, call))

    def turn(self) -> None:
        due = [call for when, call in self.later if when <= self.now]
        self.later = [(when, call) for when, call in self.later if when > self.now]
        due, self.soon = self.soon + due, []
        for call in due:
            call()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.turn()


class Connection:
    """A connection that counts how often it is looked at."""

    looks = 0

    def sweep(self, now: float) -> None:
        self.looks += 1


class Broken(Connection):
    """A connection at which the sweep fails."""

    def sweep(self, now: float) -> None:
        raise RuntimeError(now)


def looks(connections: set[Connection]) -> int:
    return sum(connection.looks for connection in connections)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_a_look_at_many_connections_leaves_turns_to_others(loop: Loop) -> None:
    connections = {Connection() for _ in range(3 * SWEPT_IN_A_TURN)}
    Sweep(connections, loop).plan()  # type: ignore[arg-type]
    loop.wait(SWEEP_SECONDS)
    for turns in (1, 2, 3):
        assert looks(connections) == turns * SWEPT_IN_A_TURN
        loop.turn()


def test_a_server_that_stood_still_reads_before_it_ends_slow_clients(loop: Loop) -> None:
    connections = {Connection()}
    Sweep(connections, loop).plan()  # type: ignore[arg-type]
    seen = []
    for pause in (0, 0, 12, 12, 12, 0):
        loop.wait(SWEEP_SECONDS + pause * LATE_SECONDS)
        seen.append(looks(connections))
    assert seen == [1, 2, 2, 3, 3, 4], "after a pause one look is left out, never two"


def test_without_connections_it_rests_until_the_next_one(loop: Loop) -> None:
    connections = {Connection()}
    sweep = Sweep(connections, loop)  # type: ignore[arg-type]
    sweep.plan()
    sweep.plan()
    connections.clear()
    loop.wait(SWEEP_SECONDS)
    assert not loop.later
    connections.add(Connection())
    sweep.plan()
    loop.wait(SWEEP_SECONDS)
    assert looks(connections) == 1


def test_an_error_in_one_connection_is_logged_and_spares_the_others(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    connections = {Connection(), Broken()}
    Sweep(connections, loop).plan()  # type: ignore[arg-type]
    loop.wait(SWEEP_SECONDS)
    assert looks(connections) == 1
    assert "connection not looked at" in caplog.text
