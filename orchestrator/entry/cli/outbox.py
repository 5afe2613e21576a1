"""`tenure outbox`: what was told to senders and holders, what waits, what was given up; and sending it again."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened, sender_named
from orchestrator.entry.cli.output import USAGE, CommandError, DryRun, Json, Why, Yes

if TYPE_CHECKING:
    from orchestrator.store.engine import Tx
    from orchestrator.store.outbox import Filter, Message

app = typer.Typer(help="Callbacks to senders and mail to holders: listed, and sent again.")

OfAccount = Annotated[str | None, typer.Option("--account", help="Only about this account.")]
OfSender = Annotated[str | None, typer.Option("--sender", help="Only of this sender.")]
OfChannel = Annotated[str | None, typer.Option("--channel", help="Only callback, or only mail.")]
OfType = Annotated[str | None, typer.Option("--type", help="Only this event, for example account.usable.")]
Unsent = Annotated[bool, typer.Option("--unsent", help="Only what waits or was given up.")]
GivenUp = Annotated[bool, typer.Option("--given-up", help="Only what was given up.")]
Most = Annotated[int, typer.Option("--max", min=1, help="Refuse to touch more than so many.")]

PREVIEW = 20
COLUMNS = ["id", "channel", "type", "account", "state", "at", "due_at", "attempts", "error"]


@app.command("list", epilog="Example: tenure outbox list --unsent --channel mail")
def list_(account: OfAccount = None, sender: OfSender = None, channel: OfChannel = None, type: OfType = None,
          unsent: Unsent = False, given_up: GivenUp = False,
          limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
          json: Json = False) -> None:
    """What was told and what is yet to be, the newest first. Nobody's name or address is in it."""
    from orchestrator.store import outbox

    with opened() as ctx, ctx.store.read() as tx:
        which = _filter(tx, None, account, sender, channel, type, unsent, given_up)
        found = [_row(message) for message in outbox.find(tx, which, limit)]
    output.rows(json, found, COLUMNS, "no messages")


@app.command(epilog="Example: tenure outbox resend --given-up --channel mail --why 'the mail server is back'")
def resend(ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Named messages; or give a filter."
                                                           )] = None,
           account: OfAccount = None, sender: OfSender = None, channel: OfChannel = None, type: OfType = None,
           unsent: Unsent = False, given_up: GivenUp = False, most: Most = 100, why: Why = "", yes: Yes = False,
           dry_run: DryRun = False, json: Json = False) -> None:
    """Send messages again, under their own ids: who has one already knows it again. A worker delivers them."""
    from orchestrator.flows.delivery.resend import resend as resend_
    from orchestrator.store import outbox

    if not (ids or account or sender or channel or type or unsent or given_up):
        raise CommandError("name messages, or give a filter such as --given-up or --account", USAGE)
    with opened() as ctx:
        with ctx.store.read() as tx:
            found = outbox.find(tx, _filter(tx, ids, account, sender, channel, type, unsent, given_up), most + 1)
        missing = sorted(set(ids or ()) - {message.id for message in found})
        if missing and len(found) <= most:
            raise CommandError(f"there is no such message {missing[0]!r}: `tenure outbox list` shows those there are")
        if len(found) > most:
            raise CommandError(f"more than {most} messages fit; narrow the filter, or allow more with --max", USAGE)
        if not found:
            output.answer(json, [], "no message fits")
            return
        named_one = len(found) == 1 and bool(ids)
        if dry_run or not named_one:
            _preview(found)
        if dry_run:
            output.answer(json, [_row(message) for message in found],
                          f"{output.count(len(found), 'message')} would be sent again; nothing was changed")
            return
        if not named_one:
            output.confirm(f"Send {output.count(len(found), 'message')} again?", yes)
        before = resend_(ctx, [message.id for message in found], actor=actor(), why=why)
    output.answer(json, [{"id": message.id, "before": message.state} for message in before],
                  f"{output.count(len(before), 'message')} to be sent again; a worker does it")


@app.command(epilog="Example, for cron: * * * * *  tenure outbox send")
def send(most: Annotated[int, typer.Option("--max", min=1, help="Try at most so many.")] = 1000, json: Json = False
         ) -> None:
    """Deliver what is due, now. Needs no server and no worker; safe beside one. It does only what is owed anyway."""
    from orchestrator.flows.delivery.notify import deliver_due

    with opened() as ctx, output.progress("delivering"):
        tried = deliver_due(ctx, most)
    output.answer(json, {"tried": tried}, f"{output.count(tried, 'message')} tried: tenure outbox list --unsent shows "
                                          "what did not get through")


def _filter(tx: "Tx", ids: list[str] | None, account: str | None, sender: str | None, channel: str | None,
            type: str | None, unsent: bool, given_up: bool) -> "Filter":
    from orchestrator.store.outbox import Filter

    owner = sender_named(tx, sender).id if sender is not None else None
    match channel:
        case None | "callback" | "mail":
            return Filter(ids or None, owner, account, channel, type, unsent, given_up)
        case _:
            raise CommandError(f"--channel is callback or mail, not {channel!r}", USAGE)


def _preview(found: "list[Message]") -> None:
    for message in found[:PREVIEW]:
        output.note("  " + "  ".join((message.id, message.channel, message.type, message.account, message.state,
                                      output.shown(message.at))))
    if len(found) > PREVIEW:
        output.note(f"  … and {len(found) - PREVIEW} more")


def _row(message: "Message") -> dict[str, Any]:
    return output.plain_fields(message) | {"data": dict(message.data), "state": message.state}
