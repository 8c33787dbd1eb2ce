"""Machine and versions, on which the figures depend besides the code."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from bench import systems, wrk

LIBRARIES = ("fastapi", "kserve", "mlserver", "numpy", "pydantic", "scikit-learn", "uvicorn", "uvloop")

VERSIONS = """
import importlib.metadata as metadata, json, sys
print(json.dumps({item.metadata["Name"]: item.version for item in metadata.distributions()}))
"""


def machine() -> dict[str, Any]:
    """Return the machine, and its load average of the last minute before the run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def versions(model: Path, commit: str, environments: dict[str, Path]) -> dict[str, Any]:
    """Return the commit and the versions of tools, model and libraries; libraries by environment (.venv folder)."""
    return {
        "python": platform.python_version(),
        "wrk": wrk.version(),
        "model": model.name,
        "commit": commit,
        "libraries": {name: _libraries(folder) for name, folder in environments.items()},
    }


def _libraries(environment: Path) -> dict[str, str]:
    done = subprocess.run([environment / "bin" / "python", "-c", VERSIONS], capture_output=True, text=True, check=True)
    installed = json.loads(done.stdout)
    return {name: installed[name] for name in LIBRARIES if name in installed}


def commit() -> str:
    """Return the commit that is checked out. Ask before the run, since servers keep the code they started with."""
    command = ["git", "-C", str(systems.ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
