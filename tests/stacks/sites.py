"""A memory site one of whose parts is given other manners."""

import threading
from collections.abc import Callable

from providers.memory.site import MemorySite
from providers.protocol import Part, PartName, Seen, Spec


class Mannered:
    """A part that does something before it ensures."""

    def __init__(self, part: Part, before: Callable[[], None]) -> None:
        self.name: PartName = part.name
        self.identity = part.identity
        self._part = part
        self._before = before

    def observe(self, spec: Spec) -> Seen | None:
        return self._part.observe(spec)

    def ensure(self, spec: Spec) -> Seen:
        self._before()
        return self._part.ensure(spec)

    def remove(self, spec: Spec) -> None:
        self._part.remove(spec)


def before(site: MemorySite, part: PartName, act: Callable[[], None]) -> None:
    """From now on `act` comes before the part is ensured at this site."""
    site.parts = {**site.parts, part: Mannered(site.parts[part], act)}


def failing(error: Exception) -> Callable[[], None]:
    """Manners of a part that cannot be made."""

    def fail() -> None:
        raise error

    return fail


class Gate:
    """Manners of a part whose making waits: `reached` once it began, until `go`."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.go.wait(60), "the test never opened the gate"
