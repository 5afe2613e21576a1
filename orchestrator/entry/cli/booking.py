"""`tenure booking`: accounts that are booked ahead, and the calendar of places."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import chosen, output
from orchestrator.entry.cli.chosen import AtSite, OfSender
from orchestrator.entry.cli.opening import actor, opened, sender_named, site_named
from orchestrator.entry.cli.output import Json, Why
from orchestrator.lifecycle import times

if TYPE_CHECKING:
    from orchestrator.lifecycle.account import Account
    from orchestrator.store.accounts import AccountRecord

app = typer.Typer(help="Bookings (预约): accounts that begin later, and the calendar of places.")

Id = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
COLUMNS = ["site", "offer", "day", "places", "taken", "booked", "free", "coming"]


@app.command("list", epilog="Example: tenure booking list --site nanjing")
def list_(site: AtSite = None, sender: OfSender = None,
          limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10_000, json: Json = False) -> None:
    """Accounts that are yet to begin, the next one first."""
    from orchestrator.store import senders
    from orchestrator.store.accounts import Filter

    with opened() as ctx:
        with ctx.store.read() as tx:
            if site is not None:
                site_named(tx, site)
            owner = sender_named(tx, sender).id if sender is not None else None
            names = {one.id: one.name for one in senders.list_(tx)}
        found = chosen.paged(ctx, Filter(site=site, sender=owner, beginning_after=ctx.clock()), limit)
        found.sort(key=lambda record: (record.account.begins_at or ctx.clock(), record.id))
    output.rows(json, [_row(record, names[record.sender]) for record in found],
                ["account", "begins_at", "site", "offer", "sender", "state", "stuck"], "nothing is booked ahead")


def _row(record: "AccountRecord", sender: str) -> dict[str, Any]:
    it = record.account
    return {"account": it.id, "begins_at": it.begins_at, "prepare_at": it.prepare_at, "prepared_at": it.prepared_at,
            "site": it.site, "offer": it.offer.name, "duration": it.offer.duration, "sender": sender,
            "state": it.state, "stuck": record.stuck.error if record.stuck else None}


@app.command(epilog="Example: tenure booking calendar --offer starter --from 2027-06-28 --days 7")
def calendar(site: AtSite = None, offer: Annotated[str | None, typer.Option(help="Only places of this offer.")] = None,
             from_: Annotated[str, typer.Option("--from", help="The first day.")] = "now",
             days: Annotated[int, typer.Option(min=1, max=400, help="How many days.")] = 14,
             json: Json = False) -> None:
    """Places of each day: taken by accounts that are there, booked ahead, free for the whole day, and coming: applied
    and not yet online."""
    from orchestrator.store import calendar as in_store

    with opened() as ctx, ctx.store.read() as tx:
        if site is not None:
            site_named(tx, site)
        now, where = ctx.clock(), times.zone(ctx.settings.timezone)
        first = output.when(from_, now).astimezone(where).date()
        found = [day for one in in_store.days(tx, first, days, now, where, site, offer) for day in one.days]
    output.rows(json, [output.plain_fields(day) for day in found], COLUMNS, "no places: `tenure apply` gives them")


@app.command(epilog="Example: tenure booking cancel a2k4mzq7xw --why 'the holder asked'")
def cancel(id: Id, why: Why = "", json: Json = False) -> None:
    """Before it begins: voucher, pool, caps and place are given back."""
    from orchestrator.flows.vouchers import booking

    with opened() as ctx:
        account = booking.cancel(ctx, id, actor=actor(), why=why)
    gone = account.state.value == "RECLAIMED"
    _answer(json, account, f"account {id}: cancelled, the voucher is good again" if gone else
            f"account {id}: cancelled; its voucher is good again once its site has shown that nothing is left")


@app.command(epilog="Example: tenure booking move a2k4mzq7xw --begins-at '2027-07-05 09:00'")
def move(id: Id, begins_at: Annotated[str, typer.Option(help="The new beginning: a time, or +24h.")], why: Why = "",
         json: Json = False) -> None:
    """Another beginning, where a place is free then. Refused once it is being prepared."""
    from orchestrator.flows.vouchers import booking

    with opened() as ctx:
        account = booking.move(ctx, id, output.when(begins_at, ctx.clock()), actor=actor(), why=why)
    _answer(json, account, f"account {id}: begins {output.shown(account.begins_at)} at {account.site}")


def _answer(json: bool, account: "Account", line: str) -> None:
    value: dict[str, str | datetime | None] = {"account": account.id, "state": account.state.value,
                                               "site": account.site, "begins_at": account.begins_at}
    output.answer(json, value, line)
