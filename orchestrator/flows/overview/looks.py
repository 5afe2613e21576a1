"""A look at a site now and then: whether it answers and lets somebody new in, what its clock says, and whether it would
end leases by itself. What is seen is only ever shown."""

from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.store import looks
from orchestrator.store.engine import Tx
from providers.protocol import Doored, Finding, Reaped

EVERY = timedelta(seconds=30)


def look(ctx: Context, name: str) -> Callable[[Tx], None]:
    """Ask the site's clock, knock, ask for its reaper; answers what is to be written down."""
    seen = tried("look", _seen, ctx, name)
    at = ctx.clock()
    if isinstance(seen, Trouble):
        error, remedy = seen.error, seen.remedy
        return lambda tx: looks.silent(tx, name, at, error, remedy)
    offset, fault = seen
    return lambda tx: looks.answered(tx, name, at, offset, fault.seen if fault else "", fault.remedy if fault else "")


def _seen(ctx: Context, name: str) -> tuple[timedelta, Finding | None]:
    """By how much its clock is ahead of ours, and what is wrong with its reaper."""
    site = ctx.sites.get(name)
    begun, seen, ended = ctx.clock(), site.now(), ctx.clock()
    if isinstance(site, Doored):
        site.knock()
    found = site.reaper() if isinstance(site, Reaped) else None
    return _offset(seen, begun, ended), None if found is None or found.ok else found


def _offset(seen: datetime, begun: datetime, ended: datetime) -> timedelta:
    """Nothing while the site's time lies between asking and answering; what is left is the clock's, not the way's."""
    return seen - begun if seen < begun else max(seen - ended, timedelta())
