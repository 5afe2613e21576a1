"""A look at a site now and then: whether it answers and lets somebody new in, and what its clock says. What is seen is
only ever shown."""

from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.store import looks
from orchestrator.store.engine import Tx
from providers.protocol import Doored

EVERY = timedelta(seconds=30)


def look(ctx: Context, name: str) -> Callable[[Tx], None]:
    """Ask the site's clock, then knock; answers what is to be written down."""
    seen = tried("look", _seen, ctx, name)
    at = ctx.clock()
    if isinstance(seen, Trouble):
        error, remedy = seen.error, seen.remedy
        return lambda tx: looks.silent(tx, name, at, error, remedy)
    return lambda tx: looks.answered(tx, name, at, seen)


def _seen(ctx: Context, name: str) -> timedelta:
    """By how much its clock is ahead of ours."""
    site = ctx.sites.get(name)
    begun, seen, ended = ctx.clock(), site.now(), ctx.clock()
    if isinstance(site, Doored):
        site.knock()
    return _offset(seen, begun, ended)


def _offset(seen: datetime, begun: datetime, ended: datetime) -> timedelta:
    """Nothing while the site's time lies between asking and answering; what is left is the clock's, not the way's."""
    return seen - begun if seen < begun else max(seen - ended, timedelta())
