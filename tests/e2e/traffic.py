"""Load from a pod inside the cluster, on the gateway's own image, which has Python and aiohttp."""

import json
import logging
import queue
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster import Object, apply, execute, kubectl, wait_ready
from settings import NAMESPACES
from waiting import Pending, until

log = logging.getLogger("e2e")

NAMESPACE = "e2e"
POD = "load"
SCRIPT = Path(__file__).with_name("load.py")
MAX_SECONDS = 900
MAX_REQUESTS = 300_000
ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Result:
    """Result of the requests of a phase."""

    phase: str
    duration: float
    sent: int
    outcomes: dict[str, int]
    """Number of requests by status code, or by name of the error if there was no answer."""
    without_retry_after: int
    models: dict[str, int]
    environments: dict[str, int]
    predictions: dict[str, int]
    latency_ms: dict[str, float]
    refused_ms: dict[str, float]
    failures: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Return the number of requests that were not answered with 200."""
        return self.sent - self.outcomes.get("200", 0)

    def line(self) -> str:
        """Return the phase as a line for a person."""
        p50, p99 = (self.latency_ms.get(name, float("nan")) for name in ("p50", "p99"))
        return f"{self.sent:,} sent, {self.failed:,} failed, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


class Traffic:
    """Running load as a context manager; its end stops the load."""

    def __init__(self, environment: str, rate: float, **options: Any) -> None:
        self.environment = environment
        self.results: list[Result] = []
        self._results: queue.Queue[Result] = queue.Queue()
        self._last: dict[str, Any] = {"tick": "start", "sent": 0, "outcomes": {}}
        self._process = subprocess.Popen(
            ["kubectl", "exec", "-i", "-n", NAMESPACE, POD, "--", *_command(environment, rate, options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Traffic":
        """Wait until requests are answered or refused."""
        self.wait_for(1, "answered or refused", any_outcome=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop, and wait for outstanding answers."""
        if self._process.poll() is None and kind is None and len(self.results) == 0:
            self.stop()
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe
            pipe.close()

    def wait_for(self, answers: int, what: str = "answered", *, any_outcome: bool = False) -> None:
        """Wait for so many answers in this phase."""

        def enough() -> None:
            self._check_alive()
            outcomes = self._last["outcomes"]
            found = sum(outcomes.values()) if any_outcome else outcomes.get("200", 0)
            if found < answers:
                raise Pending(f"{found}; all: {outcomes}")

        until(f"{answers:,} requests to {self.environment} {what}", enough, answers / 2 + 60)

    def wait_outcome(self, outcome: str, answers: int, seconds: float) -> None:
        """Wait until so many requests of this phase have this outcome."""

        def there() -> None:
            self._check_alive()
            if self._last["outcomes"].get(outcome, 0) < answers:
                raise Pending(f"{self._last['outcomes']}")

        until(f"{answers} requests to {self.environment} end as {outcome}", there, seconds)

    def phase(self, name: str) -> Result:
        """Begin a new phase, and return the result of the one before."""
        self._tell(f"phase {name}")
        result = self._next_result()

        def begun() -> None:
            self._check_alive()
            if self._last["tick"] != name:
                raise Pending(f"still in {self._last['tick']}")

        until(f"phase {name} begins", begun, 30)
        return result

    def stop(self) -> Result:
        """Stop sending, and return the result of the last phase."""
        self._tell("stop")
        return self._next_result()

    def finish(self, seconds: float) -> Result:
        """Wait until the load has sent everything that it may, and return the result."""
        return self._next_result(seconds)

    def _next_result(self, seconds: float = ANSWER_SECONDS) -> Result:
        deadline = time.monotonic() + seconds
        while True:
            try:
                result = self._results.get(timeout=1)
            except queue.Empty:
                self._check_alive()
                assert time.monotonic() < deadline, f"load on {self.environment} said nothing for {seconds} s"
            else:
                log.info("%s: %s: %s", self.environment, result.phase, result.line())
                self.results.append(result)
                return result

    def _tell(self, command: str) -> None:
        self._check_alive()
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            found = json.loads(line)
            if "tick" in found:
                self._last = found
            else:
                self._results.put(Result(**found))

    def _check_alive(self) -> None:
        if self._process.poll() not in (None, 0):
            assert self._process.stderr
            raise AssertionError(f"the load ended by itself: {self._process.stderr.read()[-2000:]}")


def _command(environment: str, rate: float, options: dict[str, Any]) -> list[str]:
    gateway = options.pop("gateway", "production")
    given = {
        "url": f"http://api-gateway.{NAMESPACES[gateway]}:8080",
        "environment": environment,
        "rate": rate,
        "mails": "/tmp/mails.jsonl",
        "max_seconds": MAX_SECONDS,
        "max_requests": MAX_REQUESTS,
    } | options
    flags = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is True]
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not True]
    return ["python", "/tmp/load.py", *flags, *(word for pair in pairs for word in pair)]


def start_pod(image: str, mails: str) -> None:
    """Start the pod that loads come from, and give it the script and the mail."""
    apply(namespace())
    # Delete the pod of an earlier run, because its container would be replaced under a load.
    kubectl("delete", "pod", POD, "-n", NAMESPACE, "--ignore-not-found")
    load = pod(image)
    # Request enough CPU that the load does not wait for a processor while pods start.
    load["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "300m"
    apply(load)
    wait_ready(NAMESPACE, POD)
    for name, text in (("load.py", SCRIPT.read_text()), ("mails.jsonl", mails)):
        execute(NAMESPACE, POD, ["sh", "-c", f"cat > /tmp/{name}"], text)


def namespace() -> Object:
    """Return the namespace of the suite's own pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def pod(image: str, name: str = POD, place: str = NAMESPACE, app: str = POD, command: tuple[str, ...] = ()) -> Object:
    """Return a pod with Python that waits, or runs the command."""
    container: Object = {
        "name": "python",
        "image": image,
        "command": list(command) or ["python", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": place, "labels": {"app": app}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}],
        },
    }
