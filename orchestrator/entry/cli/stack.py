"""`tenure stack`: an account's Pulumi stack by hand. The account is held meanwhile, so that no worker acts on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.converting import show_changes, told
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import CommandError, Json, Why, Yes
from orchestrator.lifecycle.account import State

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.account import Account

app = typer.Typer(help="Pulumi stacks by hand, one for each account.")

Id = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
WITH_A_STACK = frozenset({State.ACTIVE, State.CONTRACTED, State.FENCED, State.FAILED})


@app.command(epilog="Example: tenure stack preview a2k4mzq7xw")
def preview(id: Id, why: Why = "", json: Json = False) -> None:
    """What is not as it should be, compared with the site itself. Changes nothing."""
    from orchestrator.flows.context import spec_of

    with opened() as ctx, _held(ctx, id, "preview") as account:
        _note(ctx, id, "preview", why)
        changes = ctx.stacks.preview(id, spec_of(account), ctx.sites.get(account.site))
    if json:
        output.document(told(changes))
    else:
        show_changes(changes)


@app.command(epilog="Example: tenure stack refresh a2k4mzq7xw")
def refresh(id: Id, why: Why = "", json: Json = False) -> None:
    """Look at the site and note in the state what is not as it was made."""
    from orchestrator.flows.context import spec_of

    with opened() as ctx, _held(ctx, id, "refresh") as account:
        _note(ctx, id, "refresh", why)
        ctx.stacks.refresh(id, spec_of(account), ctx.sites.get(account.site))
    output.answer(json, {"account": id, "done": "refresh"}, f"stack {id}: refreshed")


@app.command(epilog="Example: tenure stack up a2k4mzq7xw")
def up(id: Id, why: Why = "", json: Json = False) -> None:
    """Make the account's parts what they should be. Never lifts a fence; refused when it would replace or delete."""
    from orchestrator.flows.accounts.convert import DESTRUCTIVE
    from orchestrator.flows.context import spec_of

    with opened() as ctx, _held(ctx, id, "up") as account:
        _note(ctx, id, "up", why)
        site, spec = ctx.sites.get(account.site), spec_of(account)
        destroyed = [change for change in ctx.stacks.preview(id, spec, site) if change.op in DESTRUCTIVE]
        if destroyed:
            raise CommandError(f"stack {id}: up would {destroyed[0].op} {destroyed[0].resource}; what a holder has is "
                               "never made anew: see `tenure stack preview`")
        ctx.stacks.up(id, spec, site)
    output.answer(json, {"account": id, "done": "up"}, f"stack {id}: is as it should be")


@app.command(epilog="Example: tenure stack destroy a2k4mzq7xw")
def destroy(id: Id, why: Why = "", yes: Yes = False, json: Json = False) -> None:
    """Remove what the account consists of. Only when it is FENCED; `tenure account reclaim` does it with proof."""
    from orchestrator.flows.context import spec_of

    with opened() as ctx, _held(ctx, id, "destroy") as account:
        if account.state is not State.FENCED:
            raise CommandError(f"account {id} is {account.state}: only a FENCED one's stack may be destroyed")
        if account.hold:
            raise CommandError(f"account {id} is held: `tenure hold {id} --off` first")
        output.confirm(f"Delete everything in account {id}?", yes)
        _note(ctx, id, "destroy", why)
        ctx.stacks.destroy(id, spec_of(account), ctx.sites.get(account.site))
    output.answer(json, {"account": id, "done": "destroy"}, f"stack {id}: destroyed; `tenure account reclaim {id}` "
                  "shows that nothing is left")


@contextmanager
def _held(ctx: "Context", id: str, what: str) -> "Iterator[Account]":
    """The account, claimed for as long as this takes, and given back with nothing of it changed."""
    from orchestrator.flows.accounts.operate import take
    from orchestrator.flows.effects import commit
    from orchestrator.flows.work.claims_kept import ClaimsKept
    from orchestrator.store import accounts
    from orchestrator.store.errors import Conflict

    claimed = take(ctx, "operator.claim", id)
    try:
        if claimed.account.state not in WITH_A_STACK:
            raise CommandError(f"account {id} is {claimed.account.state}: its stack is a worker's, or is gone")
        with ClaimsKept(ctx) as kept, output.progress(f"stack {id}: {what}"):
            kept.add(claimed)
            yield claimed.account
    finally:
        try:
            commit("operator.release", ctx.store, lambda tx: accounts.release(tx, claimed))
        except Conflict:
            output.note(f"tenure: account {id}: a worker has taken it up meanwhile")


def _note(ctx: "Context", id: str, what: str, why: str) -> None:
    """Before it is done: what is interrupted half-way has its row all the same."""
    from orchestrator.store import journal

    with ctx.store.write() as tx:
        journal.write(tx, f"stack.{what}", id, actor(), why)
