"""What the worker does, for tests of the doors that need an account which can be used."""

from datetime import timedelta

from orchestrator.flows.accounts import convert, fence, provision
from orchestrator.flows.endings import reclaim
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts
from tests.entry.http_world import World

WORK = {Owed.PROVISION: provision.provision, Owed.RECLAIM: reclaim.reclaim, Owed.CONVERT: convert.convert}


def work(tenure: World) -> None:
    """Do everything that is owed now, once."""
    ctx = tenure.ctx
    with ctx.store.write() as tx:
        taken = accounts.claim_due(tx, ctx.clock(), "worker", frozenset(Owed), 100, timedelta(minutes=1))
    for claimed in taken:
        if claimed.owed is Owed.FENCE:
            fence.fence(ctx, claimed.account.site, [claimed])
        else:
            WORK[claimed.owed](ctx, claimed)


def usable(tenure: World, event: str) -> tuple[str, str]:
    """A fresh account that is ACTIVE, and its claim link at this server."""
    answer = tenure.redeem(tenure.codes()[0], event).json()
    work(tenure)
    return answer["account"], answer["claim_url"].replace("https://tenure.example", tenure.url)
