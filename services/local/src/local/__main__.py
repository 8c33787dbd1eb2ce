"""Command `local`: start everything, say when it answers, stay until Ctrl-C."""

import argparse
import os
import sys
import threading
from pathlib import Path

from local.greeting import greeting, wait_until_ready
from local.ports import PortError, check_free, ports
from local.runner import Runner, runner

SERVING = {
    # One thread each: the processes share the machine, and batches are small.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}

FLUSH_SECONDS = "5"
"""So that a person who has just sent mail finds it in the inference log."""


def main() -> None:
    """Exit 0 when a person ends it, 2 when it cannot start, else as the gateway did."""
    options = _options()
    try:
        wanted = ports(os.environ)
        check_free(wanted)
    except PortError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    numbers = {port.variable: str(port.number) for port in wanted}
    log = {"INFERENCE_LOG_URI": options.inference_log, "INFERENCE_LOG_FLUSH_SECONDS": FLUSH_SECONDS}
    environ = {**log, **os.environ, **SERVING, **numbers, "MODEL_DIR": str(options.model)}
    base = f"http://127.0.0.1:{numbers['PORT']}"
    # Started after the processes: a fork beside a running thread may copy a lock that is held for good.
    greeter = threading.Thread(target=lambda: _greet(processes, base, options.corpus), daemon=True)
    processes = runner(options.procfile, "gateway", environ, when_started=greeter.start)
    processes.loop()
    sys.exit(processes.exit_code())


def _greet(processes: Runner, base: str, corpus: Path) -> None:
    if wait_until_ready(base):
        print(greeting(base, corpus), flush=True)
    elif not processes.ending:
        print("Not ready after a long wait; the lines above say why.", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local", description=__doc__)
    parser.add_argument("--procfile", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the bundle that both environments serve")
    parser.add_argument("--corpus", type=Path, required=True, help="where the mails of the greeting come from")
    parser.add_argument("--inference-log", default="", help="where both transformers record, if not INFERENCE_LOG_URI")
    return parser.parse_args()


if __name__ == "__main__":
    main()
