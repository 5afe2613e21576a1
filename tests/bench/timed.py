"""Watches where the time of a provision goes: a site and stacks that pass every call on and note when it ran."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.flows.context import AccountStacks
from providers.protocol import PartName, Site


@dataclass
class Notes:
    """Calls as (kind, name, began, ended), by the monotonic clock."""

    calls: list[tuple[str, str, float, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, kind: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, noted."""
        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.monotonic()
            try:
                return call(*args, **kwargs)
            finally:
                with self.lock:
                    self.calls.append((kind, name, began, time.monotonic()))
        return run

    def busy(self, kind: str, since: float) -> float:
        """Seconds since then in which at least one call of this kind ran."""
        with self.lock:
            spans = sorted((began, ended) for what, _, began, ended in self.calls if what == kind and began >= since)
        total, reached = 0.0, 0.0
        for began, ended in spans:
            total += max(0.0, ended - max(began, reached))
            reached = max(reached, ended)
        return total

    def each(self, name: str, since: float) -> list[float]:
        """Seconds of each call of this name since then."""
        with self.lock:
            return [ended - began for _, what, began, ended in self.calls if what == name and began >= since]

    def first(self, kind: str, since: float) -> float:
        """When the first call of this kind since then began."""
        with self.lock:
            return min(began for what, _, began, _ in self.calls if what == kind and began >= since)


class Watched:
    """Passes everything on to `target`; public methods are noted under `kind`."""

    def __init__(self, target: Any, kind: str, notes: Notes) -> None:
        self._target, self._kind, self._notes = target, kind, notes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._notes.timed(self._kind, name, found) if callable(found) else found


class WatchedSite(Watched):
    """A site whose parts are noted, too."""

    @property
    def parts(self) -> Mapping[PartName, Any]:
        return {name: Watched(part, "site", self._notes) for name, part in self._target.parts.items()}


def site(target: Site, notes: Notes) -> Any:
    """The site, watched."""
    return WatchedSite(target, "site", notes)


def stacks(target: AccountStacks, notes: Notes) -> Any:
    """The stacks, watched."""
    return Watched(target, "stack", notes)
