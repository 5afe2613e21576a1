"""The clock that the first claim starts. Until then the site is armed for the latest end there can be; the claim moves
it forward, so that the end is never null and never later than promised."""

from orchestrator.flows import entitlement
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.extend import extend
from orchestrator.lifecycle.account import Account, State
from orchestrator.store import programmes


def start(ctx: Context, account: Account) -> Account:
    """The account with the end that counts from now, when its programme starts the clock at the first claim."""
    with ctx.store.read() as tx:
        found = entitlement.clock_to_start(tx, account)
    if found is None:
        return account
    grant, length = found
    now = ctx.clock()
    if account.state is State.ACTIVE and account.ends_at is not None and now + length < account.ends_at:
        account = extend(ctx, account.id, to=now + length, actor="holder", why="the first claim starts the clock")
    commit("claim.clock", ctx.store, lambda tx: programmes.start_clock(tx, grant.digest, now))
    return account
