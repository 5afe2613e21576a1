"""`tenure account convert`: an account becomes a rental contract (租用合同), in place."""

import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import chosen, output
from orchestrator.entry.cli.chosen import Choice
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, DryRun, Json, Why, Yes
from orchestrator.lifecycle import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.flows.accounts.convert import Ask
    from orchestrator.flows.context import Context, Difference


def add_to(app: typer.Typer) -> None:
    """Put it under `tenure account`."""
    app.command(epilog="Example: tenure account convert a2k4mzq7xw --contract C-2027-001 --until 2027-12-31 "
                       "--document contract.pdf --wait 60s")(convert)


def convert(
    id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    contract: Annotated[str, typer.Option(help="The contract's id.")],
    until: Annotated[str, typer.Option(help="The contract's end: a time, +90d, or `open`.")],
    document: Annotated[str, typer.Option(help="The signed document's file, or its SHA-256 in hex.")],
    offer: Annotated[str | None, typer.Option(help="What it gets from then on; its present offer if left out.")] = None,
    wait: Annotated[str | None, typer.Option(help="Wait so long for what becomes of it, such as 60s.")] = None,
    why: Why = "", dry_run: DryRun = False, yes: Yes = False, json: Json = False,
) -> None:
    """Look at what the conversion would change, ask, and write the wish down; a worker converts. Anything that would be
    replaced or deleted is refused."""
    patience = times.span(wait).total_seconds() if wait else None
    with opened() as ctx:
        from orchestrator.flows.accounts import convert as flow

        account = chosen.select(ctx, Choice(ids=[id]), 1)[0].account
        end = None if until == "open" else output.when(until, ctx.clock())
        asked = flow.Ask(contract, id, offer or account.offer.name, end, digest_of(document))
        with output.progress(f"looking at {id}"):
            changes = flow.preview(ctx, account, asked)
        if not json:
            show_changes(changes)
        if any(change.op in flow.DESTRUCTIVE for change in changes):
            raise CommandError(f"account {id}: conversion to {asked.offer} would replace or delete what the holder has")
        state = "previewed"
        if not dry_run:
            output.confirm(f"Convert account {id} to {asked.offer} until {output.shown(end)}?", yes)
            state = _ask(ctx, asked, patience, why)
    output.answer(json, {"account": id, "contract": contract, "offer": asked.offer, "ends_at": end, "state": state,
                         "changes": told(changes)}, f"contract {contract} of account {id}: {state}")
    if state == "refused":
        raise CommandError(f"contract {contract} was refused: `tenure account show {id} --history` says why")
    if patience is not None and state != "active":
        raise CommandError(f"contract {contract} is still {state}: see that a worker runs (`tenure worker`)")


def _ask(ctx: "Context", asked: "Ask", patience: float | None, why: str) -> str:
    from orchestrator.flows.accounts import convert

    known = convert.ask(ctx, asked, actor=actor(), why=why)
    if patience is None:
        return known.state.value
    with output.progress(f"converting {asked.account}"):
        return _await(ctx, asked.account, asked.id, patience)


def _await(ctx: "Context", account: str, contract: str, patience: float) -> str:
    """The contract's state once it is decided, or when patience ends."""
    from orchestrator.store import contracts

    end = time.monotonic() + patience
    while True:
        with ctx.store.read() as tx:
            known = contracts.get(tx, account, contract)
        state = known.state.value if known else "unknown"
        if state in ("active", "refused", "ended") or time.monotonic() >= end:
            return state
        ctx.wake.wait(0.2)


def told(changes: "Sequence[Difference]") -> list[dict[str, Any]]:
    """As JSON has them."""
    return [{"part": change.resource, "op": change.op, "details": list(change.details)} for change in changes]


def show_changes(changes: "Sequence[Difference]") -> None:
    """What Pulumi found, part by part."""
    for change in changes:
        output.say(f"{change.op} {change.resource}")
        for detail in change.details:
            output.say(f"  {detail}")
    if not changes:
        output.say("nothing would change")


def digest_of(document: str) -> str:
    """The SHA-256 of a file, or the one that was given in hex."""
    if re.fullmatch(r"[0-9a-f]{64}", document):
        return document
    file = Path(document)
    try:
        with file.open("rb") as held:
            return hashlib.file_digest(held, "sha256").hexdigest()
    except OSError as error:
        raise CommandError(f"--document {document}: neither a SHA-256 in hex nor a file: {error.strerror}",
                           USAGE) from error
