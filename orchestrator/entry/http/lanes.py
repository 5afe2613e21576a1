"""Who waits for whom: blocking work runs in threads, in lanes that cannot fill each other."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from orchestrator.entry.http.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

MOST_WAITING = 2000
MOST_WAITING_FOR_SITE = 50
PATIENCE = 30.0
"""Seconds after which whoever asked has gone: what waited longer is not begun."""


class Lanes:
    """One lane writes, one reads, one asks the OpenID provider, one for each site: who hangs holds up only its own
    callers."""

    def __init__(self, write: int = 8, read: int = 8, site: int = 8) -> None:
        self._write, self._read = anyio.CapacityLimiter(write), anyio.CapacityLimiter(read)
        self._provider = anyio.CapacityLimiter(4)
        self._per_site, self._sites = site, dict[str, anyio.CapacityLimiter]()

    async def write(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work that writes to the store."""
        return await _run(self._write, MOST_WAITING, partial(act, *args, **kwargs))

    async def read(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work that only reads the store."""
        return await _run(self._read, MOST_WAITING, partial(act, *args, **kwargs))

    async def provider(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work that asks the OpenID provider."""
        return await _run(self._provider, MOST_WAITING_FOR_SITE, partial(act, *args, **kwargs))

    async def site(self, name: str, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Work that calls this site. `name` is one of our sites' and never comes from a request."""
        limiter = self._sites.setdefault(name, anyio.CapacityLimiter(self._per_site))
        return await _run(limiter, MOST_WAITING_FOR_SITE, partial(act, *args, **kwargs))


async def _run(limiter: anyio.CapacityLimiter, most: int, act: Callable[[], T]) -> T:
    if limiter.statistics().tasks_waiting >= most:
        raise _busy()
    asked = time.monotonic()

    def in_time() -> T:
        if time.monotonic() - asked > PATIENCE:
            raise _busy()
        return act()

    return await anyio.to_thread.run_sync(in_time, limiter=limiter)


def _busy() -> Problem:
    return Problem(503, "busy", "too many requests are waiting; nothing was done, try again", retry_after=2)


def give_way() -> None:
    """Make threads of this process give way after 0.5 ms instead of 5: an answer waits for several of them in turn,
    and with the worker beside the doors the slowest answers took twice as long."""
    sys.setswitchinterval(0.0005)
