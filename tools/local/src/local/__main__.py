"""Command `local`: start everything, say when it answers, stay until Ctrl-C."""

import argparse
import asyncio
import contextlib
import os
import threading
from pathlib import Path

from local.environment import environment
from local.greeting import greeting, wait_until_ready
from local.output import Output, open_standard_streams
from local.ports import PortError, check_free, ports
from local.supervisor import Plan, Supervisor, read_procfile

SERVING = {
    # Use one thread each: the processes share the machine, and batches are small.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}

FLUSH_SECONDS = "5"
"""Seconds until rows reach the inference log, short enough that a person finds the mail just sent."""
LOOPBACK = "127.0.0.1"


def main() -> None:
    """Run the system and exit: 0 if a person ended it, 2 if it cannot start, else with the gateway's code."""
    open_standard_streams()
    try:
        code = _run(_options())
    except PortError as error:
        _say(str(error))
        code = 2
    except KeyboardInterrupt:
        # Ctrl-C came before any process was started.
        code = 130
    # Skip Python's shutdown: the greeting's thread may still wait for an answer.
    os._exit(code)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))


def _run(options: argparse.Namespace) -> int:
    wanted = ports(os.environ)
    check_free(wanted, options.host)
    numbers = {port.variable: str(port.number) for port in wanted}
    log = {"INFERENCE_LOG_URI": options.inference_log, "INFERENCE_LOG_FLUSH_SECONDS": FLUSH_SECONDS}
    given = {**log, **os.environ}
    settings = {**SERVING, **numbers, "MODEL_DIR": str(options.model), "GATEWAY_HOST": options.host}
    commands = read_procfile(options.procfile)
    plan = Plan(commands, "gateway", environment(given, settings), options.procfile.parent, options.with_parent)
    supervisor = Supervisor(plan)
    base = f"http://{reachable(options.host)}:{numbers['PORT']}"

    def greet(output: Output) -> None:
        arguments = (supervisor, output, base, options.corpus)
        threading.Thread(target=_greet, args=arguments, daemon=True).start()

    return asyncio.run(supervisor.run(greet))


def reachable(host: str) -> str:
    """Return the host to put in a URL in order to reach a server that listens on `host`."""
    if host in ("0.0.0.0", "::", ""):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


def _greet(supervisor: Supervisor, output: Output, base: str, corpus: Path) -> None:
    try:
        if wait_until_ready(base):
            output.text(greeting(base, corpus))
        elif not supervisor.ending:
            output.text("Not ready after a long wait; the lines above say why.")
    except Exception as error:
        output.text(f"It answers at {base}/, and the greeting failed: {type(error).__name__}: {error}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local", description=__doc__)
    parser.add_argument("--procfile", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the bundle that both environments serve")
    parser.add_argument("--corpus", type=Path, required=True, help="where the mails of the greeting come from")
    parser.add_argument("--inference-log", default="", help="where both transformers record, if not INFERENCE_LOG_URI")
    parser.add_argument("--host", default=LOOPBACK, help="address that the gateway listens on (%(default)s)")
    parser.add_argument("--with-parent", action="store_true", help="end with the process that started this one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
