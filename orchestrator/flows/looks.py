"""A look at a site now and then: whether it answers, and what its clock says. What is seen is only ever shown."""

from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.flows.context import Context
from orchestrator.flows.trouble import Trouble, tried
from orchestrator.store import looks
from orchestrator.store.engine import Tx

EVERY = timedelta(seconds=30)


def look(ctx: Context, name: str) -> Callable[[Tx], None]:
    """Ask the site's clock; answers what is to be written down."""
    begun = ctx.clock()
    seen = tried("look", _clock, ctx, name)
    ended = ctx.clock()
    if isinstance(seen, Trouble):
        error, remedy = seen.error, seen.remedy
        return lambda tx: looks.silent(tx, name, ended, error, remedy)
    offset = _offset(seen, begun, ended)
    return lambda tx: looks.answered(tx, name, ended, offset)


def _clock(ctx: Context, name: str) -> datetime:
    return ctx.sites.get(name).now()


def _offset(seen: datetime, begun: datetime, ended: datetime) -> timedelta:
    """Nothing while the site's time lies between asking and answering; what is left is the clock's, not the way's."""
    return seen - begun if seen < begun else max(seen - ended, timedelta())
