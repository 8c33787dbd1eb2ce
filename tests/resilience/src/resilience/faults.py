"""Faults of hops: real processes, two of each tier, with a fault proxy before each, under a steady load.

The right answer for each mail is known from a quiet pass, so every answer is compared.
"""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.corpus import sample
from bench.servers import Server, Servers, free_port
from resilience.check import Check, at_most
from resilience.fault_load import ENVIRONMENT, RATE, FaultLoad
from resilience.fault_proxy import FAULTS, FaultProxy
from resilience.part import Plan, say
from resilience.system import System

ADDRESSES = ("127.0.0.1", "127.0.0.2")
HOPS = ("transformer", "predictor")
NAMES = Path(__file__).with_name("names")

DEADLINE_SECONDS = 2.0
LATE_SECONDS = 0.3
"""Seconds beyond the deadline, for the way from the gateway to the client on a busy machine."""
MAILS = 120
FAULT_SECONDS = 2.5
PROBE_SECONDS = 5.0
"""Most seconds between two probes of a hung replica, as the services have it."""
RECOVERED_SECONDS = 2.0
"""Most seconds until everything is answered again, once a probe was due."""
CALM_SECONDS = 1.0
DNS_SECONDS = 8.0
"""Seconds of a name server's fault, longer than the 5 s for which addresses may be kept."""
STAMPEDE_SECONDS = 0.1
NAME_FAULTS = {"fails": "fail", "hangs": "hang", "has no addresses": [], "lost one": ADDRESSES[:1]}


@dataclass
class ProxiedSystem:
    """System with its proxies by hop, and the file of its name server."""

    system: System
    proxies: dict[str, list[FaultProxy]]
    names: Path

    def resolve(self, addresses: object = ADDRESSES) -> None:
        """Set the addresses that the name server returns for both names."""
        new = self.names.with_suffix(".new")
        new.write_text(json.dumps({f"{hop}s.test": addresses for hop in HOPS}))
        new.replace(self.names)

    def settings(self) -> dict[str, str]:
        """Return the settings with which a service uses our name server."""
        return {"PYTHONPATH": str(NAMES), "HOLD_NAMES": str(self.names), "ENVIRONMENT": ENVIRONMENT}

    def url(self, hop: str) -> str:
        """Return the URL that leads to both replicas of a hop."""
        return f"http://{hop}s.test:{self.proxies[hop][0].port}"

    def start_transformer(self, name: str) -> Server:
        """Start a transformer that uses both predictors."""
        return self.system.start_transformer(name, self.url("predictor"), self.settings())


@dataclass
class Findings:
    """Findings under all faults."""

    recovered: dict[str, float] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    one_broken: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    stampede: int = 0


def run(plan: Plan) -> list[Check]:
    """Run all faults at each hop."""
    folder = plan.folder("faults")
    names = folder / "names.json"
    with Servers(folder / "logs") as servers:
        system = System(servers, plan.model)
        return asyncio.run(_run(system, names, sample(plan.corpus, MAILS)))


async def _run(system: System, names: Path, mails: Sequence[str]) -> list[Check]:
    findings = Findings()
    async with (
        _staged(system, names) as stage,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        load = FaultLoad(session, f"{system.url}/api/v1/predict", mails)
        await load.learn()
        task = asyncio.create_task(load.steadily())
        await _all(stage, load, findings)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return _checks(load, findings)


@contextlib.asynccontextmanager
async def _staged(system: System, names: Path) -> AsyncIterator[ProxiedSystem]:
    proxies = {hop: _proxies() for hop in HOPS}
    stage = ProxiedSystem(system, proxies, names)
    stage.resolve()
    for name, proxy in zip(("one", "two"), proxies["predictor"], strict=True):
        proxy.upstream = system.start_predictor(name).url
    for name, proxy in zip(("one", "two"), proxies["transformer"], strict=True):
        proxy.upstream = stage.start_transformer(name).url
    gateway = {"DEADLINE_SECONDS": f"{DEADLINE_SECONDS:g}", "DEFAULT_ENVIRONMENT": ENVIRONMENT}
    settings = {name: value for name, value in stage.settings().items() if name != "ENVIRONMENT"}
    system.start_gateway({ENVIRONMENT: stage.url("transformer")}, settings | gateway)
    everyone = [proxy for hop in HOPS for proxy in proxies[hop]]
    for proxy in everyone:
        await proxy.start()
    try:
        await asyncio.to_thread(system.servers.wait_ready)
        yield stage
    finally:
        for proxy in everyone:
            await proxy.stop()


def _proxies() -> list[FaultProxy]:
    port = free_port()
    return [FaultProxy(address, port, "") for address in ADDRESSES]


async def _all(stage: ProxiedSystem, load: FaultLoad, findings: Findings) -> None:
    for hop in HOPS:
        for fault in FAULTS:
            await _one_broken(stage, load, findings, hop, fault)
            await _both_broken(stage, load, findings, hop, fault)
    for name, number in (("SIGTERM", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
        findings.restarts[name] = await _restart(stage, load, number)
    for name, addresses in (
        ("fails", "fail"),
        ("hangs", "hang"),
        ("has no addresses", []),
        ("lost one", ADDRESSES[:1]),
    ):
        started = time.monotonic()
        stage.resolve(addresses)
        await asyncio.sleep(DNS_SECONDS)
        stage.resolve()
        findings.names[name] = await _failed_until_calm(load, started)
        say(f"name server {name}: {findings.names[name]} failed")


async def _one_broken(stage: ProxiedSystem, load: FaultLoad, findings: Findings, hop: str, fault: str) -> None:
    broken = stage.proxies[hop][0]
    started = time.monotonic()
    broken.fault = fault
    await asyncio.sleep(FAULT_SECONDS)
    broken.mend()
    failed = await _failed_until_calm(load, started)
    findings.one_broken[f"{hop}: {fault}"] = failed
    details = {f"{each.status} {each.detail}"[:120] for each in load.failed(started)}
    say(f"one of two {hop}s: {fault}: {failed} failed {sorted(details)[:3] or ''}")


async def _both_broken(stage: ProxiedSystem, load: FaultLoad, findings: Findings, hop: str, fault: str) -> None:
    started = time.monotonic()
    for proxy in stage.proxies[hop]:
        proxy.fault = fault
    await asyncio.sleep(FAULT_SECONDS)
    mended = time.monotonic()
    for proxy in stage.proxies[hop]:
        proxy.mend()
    await _failed_until_calm(load, started)
    # One replica may be found to have recovered later than the other, and the next fault must begin with both.
    await asyncio.sleep(max(0.0, mended + PROBE_SECONDS + CALM_SECONDS - time.monotonic()))
    # Requests sent before the proxy was mended may have met the fault.
    late = [each.sent - mended for each in load.failed(mended)]
    findings.recovered[f"{hop}: {fault}"] = recovered = max(late, default=0.0)
    failed = load.failed(started)
    findings.unnamed += [f"{fault} of the {hop}s: {each.detail}" for each in failed if f"the {hop}" not in each.detail]
    if fault == "hang":
        findings.stampede = max(findings.stampede, *(_at_once(proxy, mended) for proxy in stage.proxies[hop]))
    say(f"both {hop}s: {fault}: {len(failed)} failed, all answered after {recovered:.1f} s")


def _at_once(proxy: FaultProxy, mended: float) -> int:
    """Return the number of mails that reach a server in the first moments after it has recovered."""
    after = [(when, mails) for when, mails in proxy.passed if when >= mended]
    return sum(mails for when, mails in after if when < after[0][0] + STAMPEDE_SECONDS)


async def _restart(stage: ProxiedSystem, load: FaultLoad, number: signal.Signals) -> int:
    """End the first transformer and start another in its place; return how many requests failed."""
    proxy, old = stage.proxies["transformer"][0], stage.system.transformers["one"]
    started = time.monotonic()
    old.process.send_signal(number)
    await asyncio.to_thread(old.process.wait)
    stage.system.servers.forget(old)
    proxy.upstream = stage.start_transformer("one").url
    await asyncio.to_thread(stage.system.servers.wait_ready)
    failed = await _failed_until_calm(load, started)
    say(f"transformer restarted by {number.name}: {failed} failed")
    return failed


async def _failed_until_calm(load: FaultLoad, started: float) -> int:
    """Wait until nothing has failed for a while and no request is left that may fail; return how many have failed."""
    calm_since = time.monotonic()
    give_up = calm_since + 60
    while time.monotonic() < min(give_up, calm_since + DEADLINE_SECONDS + CALM_SECONDS):
        await asyncio.sleep(0.1)
        last = max((each.sent for each in load.failed(started)), default=0.0)
        calm_since = max(calm_since, last)
    return len(load.failed(started))


def _checks(load: FaultLoad, findings: Findings) -> list[Check]:
    answered = sum(each.status == 200 for each in load.outcomes)
    wrong = sum(each.wrong for each in load.outcomes)
    slowest = max(each.seconds for each in load.outcomes)
    slow_to_recover, recovered = max(findings.recovered.items(), key=lambda item: item[1])
    unnamed = f"{len(findings.unnamed)} unnamed, such as {findings.unnamed[0]!r}" if findings.unnamed else ""
    return [
        at_most("faults: wrong answers", wrong, 0, note=f"of {answered:,} answers"),
        at_most("faults: longest request", slowest, DEADLINE_SECONDS + LATE_SECONDS, "s"),
        at_most("faults: errors that do not name the hop", len(findings.unnamed), 0, note=unnamed),
        at_most(
            "faults: errors after the fault, both of two broken",
            recovered,
            PROBE_SECONDS + RECOVERED_SECONDS,
            "s",
            slow_to_recover,
        ),
        _none_failed("faults: failed, one of two broken", findings.one_broken),
        _none_failed("faults: failed, transformer restarted", findings.restarts),
        _none_failed("faults: failed, name server broken", findings.names),
        at_most(
            f"faults: mails in the first {STAMPEDE_SECONDS:g} s of a recovered replica",
            findings.stampede,
            2 * RATE * STAMPEDE_SECONDS,
        ),
    ]


def _none_failed(name: str, failed: dict[str, int]) -> Check:
    broken = [f"{name} {n}" for name, n in failed.items() if n]
    return at_most(
        name, sum(failed.values()), 0, note=f"{len(failed)} faults" + "".join(f", {each}" for each in broken)
    )
