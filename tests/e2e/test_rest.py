"""Scenario: nothing changes that nobody changes in Git."""

import pytest
from conftest import System
from figures import Figures
from rest import Rest
from waiting import Pending, until

pytestmark = pytest.mark.usefixtures("settled")

REST_SECONDS = 600


def test_nothing_is_out_of_sync_for_ten_minutes(system: System, figures: Figures, rest: Rest) -> None:
    """The period includes load, scaling, faults and manual restarts."""

    def over() -> None:
        if rest.seconds < REST_SECONDS:
            raise Pending(f"{rest.looks} looks, {len(rest.seen)} differences")

    until("ten minutes are over", over, REST_SECONDS + 10)
    rest.stop()
    figures.add(
        "rest", f"looks at both Applications in {rest.seconds:.0f} s", f"{rest.looks}, {len(rest.seen)} out of sync"
    )
    assert rest.looks > REST_SECONDS / 10
    assert not rest.seen
