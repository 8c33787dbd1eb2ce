"""Environment variables of the processes."""

from collections.abc import Mapping

FOREIGN = (
    *("HOST", "HTTP_HOST", "HTTP_PORT", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONOPTIMIZE"),
    *("PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONSAFEPATH", "PYTHONIOENCODING", "PYTHONUSERBASE"),
)
"""Variables that other programs set for themselves (conda sets HOST) and that would change how ours behave."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WHEN_EMPTY = ("API_KEYS_FILE", "MODEL_SHA256")
"""Variables that are passed on even if empty. If they were unset, what they keep out would be let in."""
NO_PROXY = ("no_proxy", "NO_PROXY")


def environment(given: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of all processes.

    Args:
        given: Environment of this process; foreign and empty variables are left out.
        settings: Variables that are always set, whatever is given.
    """
    kept = {name: value for name, value in given.items() if (value or name in WHEN_EMPTY) and name not in FOREIGN}
    return {**kept, **without_proxy(given), "PYTHONUTF8": "1", **settings}


def without_proxy(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to this machine away from any proxy."""
    named = [host.strip() for name in NO_PROXY for host in given.get(name, "").split(",")]
    hosts = ",".join(dict.fromkeys(host for host in [*named, *LOOPBACK] if host))
    return dict.fromkeys(NO_PROXY, hosts)
