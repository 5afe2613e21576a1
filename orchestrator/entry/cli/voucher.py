"""`tenure voucher`: codes that Tenure itself knows. A code is shown once, when it is made, and kept as a keyed hash."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened, sender_named
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why, Yes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.programme import Programme as Programme_
    from orchestrator.store.engine import Tx
    from orchestrator.store.senders import Sender as Sender_
    from orchestrator.store.vouchers import VoucherRow

app = typer.Typer(help="Vouchers (算力券) whose codes Tenure knows.")

Offer = Annotated[str | None, typer.Option("--offer", help="What an account of these vouchers gets.")]
Programme = Annotated[str | None, typer.Option("--programme", help="Vouchers of this programme, instead of --offer.")]
Worth = Annotated[str | None, typer.Option("--worth", help="What each is worth in it: hours, or yuan.")]
Sender = Annotated[str | None, typer.Option("--sender", help="Whose platform redeems them; the only one if left out.")]
From = Annotated[str, typer.Option("--from", help="Redeemable from then on.")]
Until = Annotated[str | None, typer.Option("--until", help="Redeemable before then.")]
For = Annotated[str | None, typer.Option("--valid-for", help="Redeemable for so long, such as 90d.")]
Codes = Annotated[str, typer.Argument(metavar="FILE|-", help="One code on each line; - reads stdin.")]
MOST = 100_000
BATCH = 1000
"""Vouchers in one transaction: others get to write in between."""


@app.command(epilog="Example: tenure voucher issue --offer starter --valid-for 90d --count 3 > codes")
def issue(offer: Offer = None, programme: Programme = None, worth: Worth = None, sender: Sender = None,
          until: Until = None, valid_for: For = None, valid_from: From = "now",
          count: Annotated[int, typer.Option("--count", "-n", min=1, max=MOST)] = 1,
          why: Why = "", json: Json = False) -> None:
    """Make new codes and print them, once, one on each line."""
    from orchestrator.store import vouchers

    codes = [vouchers.new_code() for _ in range(count)]
    put = Put(sender, offer or "", valid_from, until, valid_for, "voucher.issued", programme, worth, why)
    with opened() as ctx:
        try:
            _put(ctx, put, codes)
        finally:
            if written := codes[:put.written]:
                # Those written before something failed are good, and nobody could read them again.
                output.answer(json, {"codes": written, "sender": put.sender, "offer": put.offer,
                                     "valid_from": put.start, "valid_until": put.end} | put.told, *written)
    if not json:
        output.note(f"{output.count(count, 'voucher')} of {put.sender} for {put.what}, valid {output.shown(put.start)} "
                    f"until {output.shown(put.end)}{put.why_then}; the codes are shown only now")


@app.command("import", epilog="Example: tenure voucher import --offer starter --until 2027-12-31 codes")
def import_(codes: Codes, offer: Offer = None, programme: Programme = None, worth: Worth = None,
            sender: Sender = None, until: Until = None, valid_for: For = None,
            valid_from: From = "now", why: Why = "", json: Json = False) -> None:
    """Take over codes made elsewhere; those already known stay as they are."""
    read = output.lines_of(codes, MOST)
    put = Put(sender, offer or "", valid_from, until, valid_for, "voucher.imported", programme, worth, why)
    with opened() as ctx:
        _put(ctx, put, read)
    output.answer(json, {"read": len(read), "new": put.new, "sender": put.sender, "offer": put.offer,
                         "valid_from": put.start, "valid_until": put.end} | put.told,
                  f"{put.new} new vouchers of {len(read)} read, valid {output.shown(put.start)} until "
                  f"{output.shown(put.end)}{put.why_then}")


@dataclass(slots=True)
class Put:
    """Vouchers to be written, as asked for; and what became of it."""

    sender: str | None
    offer: str
    valid_from: str
    until: str | None
    valid_for: str | None
    action: str
    programme: str | None = None
    worth: str | None = None
    why: str = ""
    each: Decimal = Decimal(0)
    start: datetime | None = None
    end: datetime | None = None
    bounded: bool = False
    """The programme is over before the vouchers would be."""
    written: int = 0
    new: int = 0

    @property
    def told(self) -> dict[str, str | None]:
        """What a programme adds to the answer."""
        return {} if self.programme is None else {"programme": self.programme, "worth": self.worth}

    @property
    def why_then(self) -> str:
        """Why they are good for no longer."""
        return ", when its programme ends" if self.bounded else ""

    @property
    def what(self) -> str:
        """What the vouchers are for."""
        return self.offer if self.programme is None else f"{self.programme}, {self.worth} each"


def _put(ctx: "Context", put: Put, codes: list[str]) -> None:
    """Write the codes, batch by batch."""
    from orchestrator.store import journal

    if (put.offer == "") == (put.programme is None):
        raise CommandError("say either --offer or --programme", USAGE)
    with ctx.store.read() as tx:
        programme = _programme(tx, put)
    put.start, put.end = _validity(put, ctx.clock())
    if programme is not None:
        put.end, put.bounded = _within(programme, put.start, put.end, ctx.clock())
    with output.progress("writing vouchers", len(codes)) as shown:
        for at in range(0, len(codes), BATCH):
            some = codes[at:at + BATCH]
            with ctx.store.write() as tx:
                owner = owner_of(tx, put.sender)
                if owner.trusts != "codes":
                    raise CommandError(f"sender {owner.name} owns its codes itself (--trusts payload)")
                fresh = _written(tx, owner.id, put, programme, some)
                journal.write(tx, put.action, owner.id, actor(), put.why, offer=put.offer, count=fresh,
                              programme=put.programme, worth=put.worth, valid_from=put.start, valid_until=put.end)
            put.sender, put.written, put.new = owner.name, put.written + len(some), put.new + fresh
            shown.step(len(some))


def _within(programme: "Programme_", start: datetime, end: datetime, now: datetime) -> tuple[datetime, bool]:
    """Until when vouchers of the programme are good: no longer than it lasts. And whether that is why."""
    over = programme.ends
    if over is None or end <= over:
        return end, False
    if max(start, now) >= over:
        raise CommandError(f"programme {programme.name} ends at {output.shown(over)}: nobody could redeem these "
                           "vouchers", USAGE)
    return over, True


def _programme(tx: "Tx", put: Put) -> "Programme_ | None":
    """The programme, and what each voucher of it is worth; None where an offer is named."""
    if put.programme is None:
        return None
    from orchestrator.flows.vouchers.entitlement import named
    from orchestrator.lifecycle import programme as rules
    from orchestrator.lifecycle.money import yuan

    found = named(tx, put.programme)
    worth = rules.worth(found, yuan(put.worth) if put.worth is not None else None)
    put.offer, put.worth = found.offer, found.show(worth)
    put.each = worth
    if put.until is None and put.valid_for is None:
        put.valid_for = f"{int(found.valid_for.total_seconds())}s"
    return found


def _written(tx: "Tx", owner: str, put: Put, programme: "Programme_ | None", some: list[str]) -> int:
    from orchestrator.flows.vouchers import entitlement
    from orchestrator.store import sites, vouchers

    assert put.start is not None
    assert put.end is not None
    if programme is not None:
        return entitlement.issue(tx, owner, programme, some, put.each, put.start, put.end)
    if sites.get_offer(tx, put.offer) is None:
        raise CommandError(f"there is no offer {put.offer!r}: `tenure apply` it first")
    return vouchers.import_(tx, owner, put.offer, some, put.start, put.end)


def _validity(put: Put, now: datetime) -> tuple[datetime, datetime]:
    start = output.when(put.valid_from, now)
    if (put.until is None) == (put.valid_for is None):
        raise CommandError("say either --until when or --valid-for how long", USAGE)
    end = output.when(put.until, now) if put.until else output.when(f"+{put.valid_for}", start)
    if end <= max(start, now):
        raise CommandError(f"{output.shown(end)} is not after --from, or already past", USAGE)
    return start, end


def owner_of(tx: "Tx", name: str | None) -> "Sender_":
    """The sender named, or the only one that there is."""
    from orchestrator.store import senders

    if name is not None:
        return sender_named(tx, name)
    known = senders.list_(tx)
    if len(known) != 1:
        raise CommandError("no sender yet: `tenure sender add NAME`" if not known else
                           f"say which with --sender: {', '.join(one.name for one in known)}", USAGE)
    return known[0]


@app.command(epilog="Example: tenure voucher void --sender city-portal codes-to-void --yes")
def void(codes: Codes, sender: Sender = None, why: Why = "", yes: Yes = False, json: Json = False) -> None:
    """Make codes unusable. One that was redeemed already is refused: act on its account instead."""
    from orchestrator.lifecycle.errors import RuleError
    from orchestrator.store import journal, vouchers
    from orchestrator.store.errors import Conflict

    read = output.lines_of(codes, MOST)
    output.confirm(f"Void {output.count(len(read), 'voucher')}?", yes)
    done, refused = 0, []
    with opened() as ctx, output.progress("voiding vouchers", len(read)) as shown:
        for number, code in enumerate(read, 1):
            try:
                with ctx.store.write() as tx:
                    digest = vouchers.digest(ctx.keyring, owner_of(tx, sender).id, code)
                    vouchers.void(tx, digest)
                    journal.write(tx, "voucher.voided", digest[:16], actor(), why)
                done += 1
            except (RuleError, Conflict) as error:
                refused.append({"line": number, "why": str(error)})
            shown.step()
    output.answer(json, {"void": done, "refused": refused}, f"{done} of {len(read)} vouchers are void")
    if refused and not json:
        for one in refused:
            output.note(f"line {one['line']}: {one['why']}")
    if refused:
        raise typer.Exit(output.FAILED)


@app.command("list", epilog="Example: tenure voucher list --sender city-portal --state issued --json")
def list_(sender: Annotated[str | None, typer.Option(help="Of this sender only.")] = None,
          state: Annotated[str | None, typer.Option(help="issued, redeemed, expired or void.")] = None,
          limit: Annotated[int, typer.Option(min=1, max=MOST)] = 1000, json: Json = False) -> None:
    """Vouchers by the first letters of their hash; the codes themselves are nowhere."""
    from orchestrator.lifecycle.voucher import VoucherState
    from orchestrator.store import programmes, senders, vouchers

    if state is not None and state not in list(VoucherState):
        raise CommandError(f"--state is one of {', '.join(VoucherState)}, not {state!r}", USAGE)
    with opened() as ctx, ctx.store.read() as tx:
        names = {one.id: one.name for one in senders.list_(tx)}
        owner = sender_named(tx, sender).id if sender else None
        found = vouchers.list_(tx, sender=owner, state=VoucherState(state) if state else None, limit=limit)
        schemes = {one.name: one for one in programmes.list_(tx)}
    columns = ["voucher", "sender", "offer", "programme", "worth", "state", "valid_from", "valid_until", "redeemed_at",
               "account"]
    output.rows(json, [{"voucher": row.voucher.digest[:16], "sender": names[row.sender], "offer": row.voucher.offer,
                        "programme": row.programme, "worth": _worth(row, schemes), "state": row.voucher.state,
                        "valid_from": row.voucher.valid_from, "valid_until": row.voucher.valid_until,
                        "redeemed_at": row.redeemed_at, "account": row.account} for row in found],
                columns, "no vouchers")


def _worth(row: "VoucherRow", schemes: "Mapping[str, Programme_]") -> str | None:
    return None if row.programme is None or row.worth is None else schemes[row.programme].show(row.worth)
