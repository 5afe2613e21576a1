"""`tenure account`: looking at accounts (算力账户). Acting on them is in `acting`, `converting` and
`noticing`."""

from typing import Annotated, Any

import typer

from orchestrator.entry.cli import acting, chosen, converting, exporting, noticing, output, shown
from orchestrator.entry.cli.chosen import AtSite, Choice, EndingBefore, InState, OfSender, Stuck
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import STUCK, CommandError, Json, Why

app = typer.Typer(help="Accounts (算力账户): looking at them and acting on them.")
acting.add_to(app)
converting.add_to(app)
exporting.add_to(app)
noticing.add_to(app)

Id = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]


@app.command("list", epilog="Example: tenure account list --ending-before +24h --site edge-1")
def list_(ending_before: EndingBefore = None, stuck: Stuck = False, site: AtSite = None, sender: OfSender = None,
          state: InState = None,
          everything: Annotated[bool, typer.Option("--all", help="Reclaimed ones, too.")] = False,
          limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10_000, json: Json = False) -> None:
    """Live accounts. With --stuck the exit code is 3 when there is one."""
    from orchestrator.store import senders

    choice = Choice(site=site, sender=sender, state=state, ending_before=ending_before, stuck=stuck)
    with opened() as ctx:
        found = chosen.select(ctx, choice, limit, live=None if everything else True)
        there = chosen.count(ctx, choice, None if everything else True) if len(found) == limit else len(found)
        with ctx.store.read() as tx:
            names = {one.id: one.name for one in senders.list_(tx)}
        now = ctx.clock()
    if json:
        output.document([shown.account(record, names[record.sender]) for record in found])
    elif found and stuck:
        output.table([shown.stuck_row(record) for record in found], shown.STUCK_COLUMNS)
    elif found:
        output.table([shown.row(record, now) for record in found], [name.replace("_", " ") for name in shown.COLUMNS])
    else:
        output.note("no accounts" + (" are stuck" if stuck else ""))
    if there > len(found):
        output.note(f"more: {there} accounts fit, these are the first {len(found)} by id; do: --limit {there}")
    if stuck and found:
        raise typer.Exit(STUCK)


@app.command(epilog="Example: tenure account show a2k4mzq7xw --history")
def show(id: Id, history: Annotated[bool, typer.Option(help="What the journal says of it, too.")] = False,
         holder: Annotated[bool, typer.Option(help="Who holds it: personal data, and looking is journalled.")] = False,
         why: Why = "", json: Json = False) -> None:
    """One account. The exit code is 3 when it is stuck."""
    from orchestrator.store import journal, ledger, senders

    with opened() as ctx:
        record = chosen.select(ctx, Choice(ids=[id]), 1)[0]
        with ctx.store.read() as tx:
            sender = senders.get(tx, record.sender)
            left = {unit: f"{amount.normalize():f}" for unit, amount in ledger.credits_of(tx, id).items()}
            said = [output.plain_fields(one) for one in reversed(journal.list_(tx, subject=id, limit=1000))]
        name = sender.name if sender else record.sender
        found = (shown.account if json else shown.facts)(record, name)
        found["vouchers_left"] = left
        if holder:
            found["held_by"] = _holder(ctx, record.holder, id, why)
    output.facts(json, found | ({"history": said} if history and json else {}))
    if history and not json:
        output.say()
        output.table([[output.cell(one[name]) for name in ("at", "action", "actor", "why", "facts")] for one in said],
                     ["at", "action", "by", "why", "facts"])
    if record.stuck is not None:
        raise typer.Exit(STUCK)


def _holder(ctx: Any, ref: str, account: str, why: str) -> dict[str, Any] | None:
    from orchestrator.store import holders, journal

    with ctx.store.write() as tx:
        journal.write(tx, "holder.shown", account, actor(), why, ref=ref)
        known = holders.get(tx, ref)
    return None if known is None else output.plain_fields(known)


@app.command("claim-link", epilog="Example: tenure account claim-link a2k4mzq7xw")
def claim_link(id: Id, why: Why = "", json: Json = False) -> None:
    """The link with which the holder gets the credential; it is as good as a password until it is claimed."""
    from orchestrator.flows.vouchers.claim import claim_url
    from orchestrator.store import journal

    with opened() as ctx:
        record = chosen.select(ctx, Choice(ids=[id]), 1)[0]
        if record.account.state.value == "RECLAIMED":
            raise CommandError(f"account {id} is reclaimed: there is nothing left to claim")
        with ctx.store.write() as tx:
            journal.write(tx, "claim.link_shown", id, actor(), why)
        link = claim_url(ctx, id)
    output.answer(json, {"account": id, "claim_url": link}, link)
