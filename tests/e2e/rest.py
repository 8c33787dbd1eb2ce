"""Watcher for differences from Git while nobody changes Git."""

import threading
import time

from argocd import application

LOOK_SECONDS = 2.0
ENVIRONMENTS = ("staging", "production")


class Rest:
    """Watcher of both Applications, from its start on."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """Descriptions of what was out of sync, and when."""
        self.looks = 0
        self._last_sync: dict[str, str] = {}
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._started

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for environment in ENVIRONMENTS:
                status = application(environment)["status"]
                different = [each for each in status["resources"] if each.get("status") not in ("Synced", None)]
                self._count_syncs(environment, status.get("operationState", {}).get("startedAt", ""))
                if status["sync"]["status"] != "Synced":
                    self.seen.append(f"{self.seconds:.0f} s: {environment} {status['sync']['status']} {different}")
            self.looks += 1

    def _count_syncs(self, environment: str, started: str) -> None:
        # A difference may be healed between two looks, but the sync that healed it remains visible.
        if started != self._last_sync.setdefault(environment, started):
            self.seen.append(f"{self.seconds:.0f} s: {environment} was synced again at {started}")
            self._last_sync[environment] = started
