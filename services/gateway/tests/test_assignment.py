"""Shadow and canary as clients of the gateway see them.

Production answers 0.25 or 0.75 for each mail, staging the number in the mail.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from clients import app_of, in_process
from conftest import THRESHOLD, FakeTransformer, sample, verdicts
from pydantic import ValidationError
from waiting import until

from gateway.access.api_keys import digest_of, new_key
from gateway.experiments.canary import Bounds, RecentRequests
from gateway.metrics import Metrics
from gateway.settings import GatewaySettings

PRODUCTION = {"X-Environment": "production"}


@asynccontextmanager
async def started(fake: FakeTransformer) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v2/models/spam-detector/infer", fake.infer)
    app.router.add_get("/v2/models/spam-detector/ready", fake.is_ready)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"
        fake.gate.set()


class Gateway:
    """Gateway and the fake environments behind it."""

    def __init__(
        self, http: httpx.AsyncClient, staging: FakeTransformer, production: FakeTransformer, metrics: Metrics
    ) -> None:
        self.http, self.staging, self.production, self.metrics = http, staging, production, metrics

    def compared(self) -> float:
        """Return how many shadowed mails have been compared."""
        return sample(self.metrics, "gateway_shadow_mails_total", outcome="compared")

    def canary(self, outcome: str) -> float:
        """Return how many requests of the canary had this outcome."""
        return sample(self.metrics, "gateway_canary_requests_total", outcome=outcome)

    def stopped(self, reason: str) -> tuple[float, float]:
        """Return whether the canary has stopped for this reason, and its share."""
        stopped = sample(self.metrics, "gateway_canary_stopped", reason=reason)
        return stopped, sample(self.metrics, "gateway_canary_share")

    async def predict(self, mail: str = "0.9", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/api/v1/predict", json={"email_content": mail}, headers=PRODUCTION | named)

    async def batch(self, *mails: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/api/v1/batch-predict", json={"emails": mails}, headers=PRODUCTION | named)


Open = Callable[..., Any]


@pytest.fixture
async def open_gateway() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def begin(**settings: Any) -> Gateway:
            staging, production = FakeTransformer(), FakeTransformer()
            staging.gate.set()
            production.gate.set()
            production.fault = production_answers
            environments = {
                "staging": await stack.enter_async_context(started(staging)),
                "production": await stack.enter_async_context(started(production)),
            }
            app = app_of(environments, **({"deadline_seconds": 20} | settings))
            await stack.enter_async_context(app.router.lifespan_context(app))
            http = await stack.enter_async_context(in_process(app))
            return Gateway(http, staging, production, app.metrics)

        yield begin


async def production_answers(_: web.Request, mails: list[str]) -> web.Response:
    own = {"model_version": "6", "parameters": {"threshold": 0.7}}
    return web.json_response(verdicts(["0.75" if float(mail) > 0.3 else "0.25" for mail in mails]) | own)


async def fail(_: web.Request, __: list[str]) -> web.Response:
    return web.json_response({"error": "broken"}, status=500)


CANARY: dict[str, Any] = {"canary_share": 1, "canary_max_error_rate": 0.1, "canary_max_latency_seconds": 10}


async def test_production_is_answered_as_ever_and_staging_sees_its_mail(open_gateway: Open) -> None:
    gateway = await open_gateway(shadow_share=1)
    single = (await gateway.predict("0.9")).json()
    assert (single["environment"], single["model_version"], single["spam_probability"]) == ("production", "6", 0.75)
    batch = (await gateway.batch("0.1", "0.9")).json()
    assert [each["spam_probability"] for each in batch["predictions"]] == [0.25, 0.75]
    assert (single["threshold"], batch["threshold"]) == (0.7, 0.7)
    await until(lambda: gateway.compared() == 3)
    assert sorted(mail for batch in gateway.staging.batches for mail in batch) == ["0.1", "0.9", "0.9"]


async def test_only_productions_answered_mail_is_shadowed(open_gateway: Open) -> None:
    gateway = await open_gateway(shadow_share=1)
    asked = await gateway.http.post("/api/v1/predict", json={"email_content": "0.9"})
    assert asked.json()["environment"] == "staging"
    gateway.production.fault = fail
    assert (await gateway.predict("0.8")).status_code == 502
    gateway.production.fault = production_answers
    assert (await gateway.predict("0.7")).status_code == 200
    await until(lambda: gateway.compared() == 1)
    assert gateway.staging.batches == [["0.9"], ["0.7"]], "the shadow keeps the order, so 0.8 would stand before 0.7"


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_candidate_that_fails_or_hangs_is_not_seen(open_gateway: Open, hangs: bool) -> None:
    gateway = await open_gateway(shadow_share=1, shadow_drain_seconds=0)
    gateway.staging.fault = fail
    if hangs:
        gateway.staging.gate.clear()
    for _ in range(20):
        assert (await gateway.predict()).status_code == 200
    await gateway.staging.wait_for_batches(1)
    async with asyncio.timeout(5):
        assert (await gateway.predict()).json()["environment"] == "production"


async def test_a_canary_answers_in_productions_place_and_says_so(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY)
    single = (await gateway.predict("0.9")).json()
    assert (single["environment"], single["model_version"], single["spam_probability"]) == ("staging", "7", 0.9)
    assert single["threshold"] == THRESHOLD, "the threshold is that of the model which answered"
    assert (await gateway.batch("0.1", "0.9")).json()["environment"] == "staging"
    assert gateway.canary("answered") == 2
    assert gateway.production.batches == []


async def test_a_key_has_the_same_environment_each_time_whatever_the_request_id(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY | {"canary_share": 0.5})

    async def asked(key: str) -> str:
        return str((await gateway.predict(X_Canary_Key=key)).json()["environment"])

    first = [await asked(f"customer-{n}") for n in range(40)]
    assert [await asked(f"customer-{n}") for n in range(40)] == first
    assert 10 < first.count("staging") < 30
    by_id = [(await gateway.predict(X_Request_ID=f"customer-{n}")).json()["environment"] for n in range(40)]
    assert by_id == first, "without a key the request id chooses"


async def test_what_the_candidate_does_not_answer_production_does(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY)
    gateway.staging.fault = fail
    single = await gateway.predict("0.9")
    assert single.status_code == 200
    assert (single.json()["environment"], single.json()["model_version"]) == ("production", "6")
    assert (await gateway.batch("0.1", "0.9")).json()["environment"] == "production"
    assert gateway.canary("error") == 2


async def test_a_candidate_that_hangs_leaves_production_time(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY, deadline_seconds=2)
    gateway.staging.gate.clear()
    # After the deadline the status would be 504.
    answer = await gateway.predict()
    assert (answer.status_code, answer.json()["environment"]) == (200, "production")


async def test_the_deadline_holds_when_both_hang(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY, deadline_seconds=2)
    gateway.staging.gate.clear()
    gateway.production.gate.clear()
    async with asyncio.timeout(30):
        answer = await gateway.predict()
    assert answer.status_code == 504


async def test_a_mail_that_production_refuses_too_is_not_the_candidates_fault(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY, canary_minimum_requests=1)
    gateway.staging.fault = gateway.production.fault = fail
    assert [(await gateway.predict()).status_code for _ in range(3)] == [502] * 3
    assert gateway.canary("unjudged") == 3
    gateway.staging.fault = None
    assert (await gateway.predict()).json()["environment"] == "staging", "it goes on"


async def test_it_stops_by_itself_once_its_errors_are_too_many(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY, canary_minimum_requests=20)
    for _ in range(16):
        assert (await gateway.predict()).json()["environment"] == "staging"
    gateway.staging.fault = fail
    # Two errors in 18 requests exceed a tenth, but 18 and 19 are too few to judge. The 20th stops the canary.
    for n in range(4):
        assert gateway.stopped("errors") == (0, 1), n
        assert (await gateway.predict()).status_code == 200
    assert gateway.stopped("errors") == (1, 0)
    gateway.staging.fault = None
    seen = len(gateway.staging.batches)
    assert [(await gateway.predict()).json()["environment"] for _ in range(5)] == ["production"] * 5
    assert len(gateway.staging.batches) == seen


async def test_it_stops_by_itself_once_it_is_too_slow(open_gateway: Open) -> None:
    # No answer takes less than a microsecond.
    gateway = await open_gateway(**CANARY | {"canary_max_latency_seconds": 1e-6}, canary_minimum_requests=3)
    found = [(await gateway.predict()).json()["environment"] for _ in range(4)]
    assert found == ["staging"] * 3 + ["production"]
    assert gateway.stopped("latency") == (1, 0)


async def test_shadow_and_canary_together_compare_only_what_production_answers(open_gateway: Open) -> None:
    gateway = await open_gateway(**CANARY | {"canary_share": 0.5}, shadow_share=1)
    answers = [(await gateway.predict()).json() for _ in range(40)]
    production = [answer["request_id"] for answer in answers if answer["environment"] == "production"]
    assert 5 < len(production) < 35
    await until(lambda: gateway.compared() == len(production))
    assert sample(gateway.metrics, "gateway_shadow_queued_mails") == 0
    assert sum(map(len, gateway.staging.batches)) == 40, "each mail has been there once"


@pytest.mark.parametrize("key", ["", "with space", "x" * 129, "caf\u00e9"])
@pytest.mark.parametrize("share", [0.0, 0.5])
async def test_a_key_that_is_none_is_refused_with_and_without_a_canary(
    open_gateway: Open, key: str, share: float
) -> None:
    gateway = await open_gateway(**CANARY | {"canary_share": share})
    headers = {**PRODUCTION, "X-Canary-Key": key.encode("latin-1")}
    answer = await gateway.http.post("/api/v1/predict", json={"email_content": "0.9"}, headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:invalid-canary-key")


async def test_two_keys_are_refused(open_gateway: Open) -> None:
    gateway = await open_gateway()
    headers = [("X-Environment", "production"), ("X-Canary-Key", "a"), ("X-Canary-Key", "b")]
    answer = await gateway.http.post("/api/v1/predict", content=orjson.dumps({"email_content": "0.9"}), headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:repeated-header")


def test_the_window_forgets() -> None:
    window = RecentRequests(Bounds(error_rate=0.5, latency_seconds=1, minimum_requests=2, window_seconds=10))
    for now in (100.0, 100.5, 101.0):
        window.add(now, 0.1, failed=True)
    assert window.left_bound() == "errors"
    window.add(110.5, 0.1, failed=False)
    assert window.left_bound() is None, "of the first second nothing is left: one error in two is half"
    window.add(110.6, 2.0, failed=False)
    assert window.left_bound() == "latency"
    window.add(200.0, 0.1, failed=False)
    assert window.left_bound() is None, "one request says nothing"
    assert window.said() == {"requests": 1, "errors": 0, "slow": 0}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"shadow_share": 1.5}, "shadow_share\n  Input should be less than or equal to 1"),
        ({"shadow_share": 1, "experiment_candidate": "canary"}, "EXPERIMENT_CANDIDATE=canary is not in ENVIRONMENTS"),
        ({"shadow_share": 1, "experiment_baseline": "prod"}, "EXPERIMENT_BASELINE=prod is not in ENVIRONMENTS"),
        ({"shadow_share": 1, "experiment_candidate": "production"}, "are both production; name two of"),
        ({"canary_share": 0.1}, "CANARY_SHARE=0.1 without CANARY_MAX_ERROR_RATE"),
        ({"canary_share": 0.1, "canary_max_error_rate": 0}, "CANARY_SHARE=0.1 without CANARY_MAX_LATENCY_SECONDS"),
    ],
)
def test_half_an_experiment_is_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        GatewaySettings(environments={"staging": "http://s", "production": "http://p"}, **settings)


def test_an_environment_alone_needs_no_other() -> None:
    assert not GatewaySettings(environments={"staging": "http://s"}).experiments  # type: ignore[dict-item]


async def test_a_key_may_be_kept_from_the_canary(open_gateway: Open, tmp_path: Path) -> None:
    """Both keys may only use production; the operator lets the canary answer one of them."""
    tried, kept = new_key(), new_key()
    entries = [
        {"name": name, "sha256": digest_of(key).hex(), "environments": ["production"], **more}
        for name, key, more in (("tried", tried, {}), ("kept", kept, {"canary": False}))
    ]
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    gateway = await open_gateway(**CANARY, api_keys_file=path)
    for key, environment in ((tried, "staging"), (kept, "production")):
        assert (await gateway.predict(X_API_Key=key)).json()["environment"] == environment
        assert (await gateway.batch("0.1", "0.9", X_API_Key=key)).json()["environment"] == environment
