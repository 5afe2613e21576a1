"""The weekly draw: opened, entered, committed, run, and what nobody claimed passed on to those who wait."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.messages.callbacks import text
from orchestrator.flows.trouble import tried
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle import draw as lots
from orchestrator.lifecycle import programme as rules
from orchestrator.lifecycle.draw import Entrant
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder
from orchestrator.lifecycle.programme import Programme
from orchestrator.lifecycle.voucher import VoucherState
from orchestrator.store import accounts, draws, holders, journal, ledger, outbox, vouchers
from orchestrator.store.draws import DrawRow, EntryRow
from orchestrator.store.engine import Tx
from orchestrator.store.seal import Keyring

log = logging.getLogger(__name__)

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Won:
    """A winner and the code of what was won: the same at every asking, and nowhere in the database. `holder` is the
    sender's id of the winner and `email` their address; None when they were erased."""

    entrant: str
    prize: Decimal
    code: str
    holder: str | None
    email: str | None


def open_(ctx: Context, draw: DrawRow, actor: str, why: str = "") -> DrawRow:
    """A new draw of a week's vouchers. RuleError: draw_known, bad_end, worth_out_of_range, week_short."""
    now = ctx.clock()

    def add(tx: Tx) -> None:
        programme = entitlement.named(tx, draw.programme)
        if draw.closes_at <= now:
            raise RuleError("bad_end", f"draw {draw.name} would close at {draw.closes_at.isoformat()}: that is past")
        for prize in draw.prizes:
            rules.worth(programme, prize)
        rules.enough_offered(programme, sum(draw.prizes, Decimal(0)))
        if not draws.add(tx, draw):
            raise RuleError("draw_known", f"there is a draw {draw.name!r} already")
        journal.write(tx, "draw.opened", draw.name, actor, why, programme=programme.name, vouchers=len(draw.prizes),
                      closes_at=draw.closes_at)

    commit("draw.open", ctx.store, add)
    return draw


def enter(ctx: Context, name: str, holder: Holder, actor: str, why: str = "") -> str:
    """One entry; answers the entrant's id, by which it stands in the published list.

    RuleError: draw_unknown, draw_closed, holder_changed, already_entered, and each rule of the programme.
    """
    return commit("draw.enter", ctx.store, lambda tx: _enter(ctx, tx, name, holder, actor, why))


def _enter(ctx: Context, tx: Tx, name: str, holder: Holder, actor: str, why: str) -> str:
    draw, now = _known(tx, name, lock=True), ctx.clock()
    if draw.state != "open" or now >= draw.closes_at:
        raise RuleError("draw_closed", f"draw {name}: entries closed at {draw.closes_at.isoformat()}")
    programme = entitlement.named(tx, draw.programme)
    rules.eligible(programme, holder, now)
    ref = holders.put(tx, draw.sender, holder)
    entrant = entitlement.entity_of(tx, holder, ref)
    if programme.first_use and (accounts.held_before(tx, ref) or ledger.balance(tx, f"uses/{entrant}")):
        raise RuleError("not_first_use", f"programme {programme.name}: only for a first use")
    if not draws.enter(tx, EntryRow(name, entrant, ref, programme.has_priority(holder), now)):
        raise RuleError("already_entered", f"draw {name}: this entity has entered already")
    journal.write(tx, "draw.entered", name, actor, why, entrant=entrant)
    return entrant


def close(ctx: Context, name: str, actor: str, why: str = "") -> dict[str, Any]:
    """Fix the list of entrants: what it answers, with its commitment, is to be published before the public value is
    known. Again: the same. RuleError: draw_unknown, draw_open."""
    return commit("draw.close", ctx.store, lambda tx: _close(ctx, tx, name, actor, why))


def _close(ctx: Context, tx: Tx, name: str, actor: str, why: str) -> dict[str, Any]:
    draw = _known(tx, name, lock=True)
    if draw.published is not None:
        return draw.published
    if ctx.clock() < draw.closes_at:
        raise RuleError("draw_open", f"draw {name} is open for entries until {draw.closes_at.isoformat()}")
    entrants = [Entrant(entry.entrant, entry.priority) for entry in draws.entries(tx, name)]
    listed = lots.entrants_list(name, draw.programme, draw.closes_at.isoformat(), draw.prizes, entrants)
    published = listed | {"commitment": lots.commitment(listed)}
    draws.save(tx, name, "committed", published)
    journal.write(tx, "draw.committed", name, actor, why, commitment=published["commitment"], entrants=len(entrants))
    return published


def run(ctx: Context, name: str, value: str, actor: str, why: str = "") -> dict[str, Any]:
    """Draw, with the public value; answers what is to be published. The same value again: the same answer.

    RuleError: draw_unknown, draw_not_committed, draw_done (with another value), bad_value.
    """
    return commit("draw.run", ctx.store, lambda tx: _run(ctx, tx, name, value, actor, why))


def _run(ctx: Context, tx: Tx, name: str, value: str, actor: str, why: str) -> dict[str, Any]:
    draw = _known(tx, name, lock=True)
    if draw.published is None:
        raise RuleError("draw_not_committed", f"draw {name}: its list is not committed yet; publish that first, then "
                                              "take a public value that nobody could know before")
    if draw.claim_by is not None:
        if draw.published["value"] != value:
            raise RuleError("draw_done", f"draw {name} was drawn with the value {draw.published['value']!r}")
        return draw.published
    published = lots.result(draw.published, value)
    programme = entitlement.named(tx, draw.programme)
    claim_by = ctx.clock() + programme.valid_for
    for winner in published["winners"]:
        _award(ctx, tx, draw, programme, winner["entrant"], Decimal(winner["prize"]), claim_by)
    draws.save(tx, name, "drawn", published, claim_by)
    journal.write(tx, "draw.run", name, actor, why, value=value, winners=len(published["winners"]))
    return published


def _award(ctx: Context, tx: Tx, draw: DrawRow, programme: Programme, entrant: str, prize: Decimal,
           claim_by: datetime) -> None:
    code = code_of(ctx.keyring, draw.name, entrant)
    entitlement.issue(tx, draw.sender, programme, [code], prize, ctx.clock(), claim_by, bound=entrant)
    draws.award(tx, draw.name, entrant, vouchers.digest_here(tx, draw.sender, code), prize)


def pass_on(ctx: Context, name: str, actor: str, why: str = "") -> list[Won]:
    """Give what was not redeemed in time to those who wait, in their order, and tell the sender that there are new
    winners. RuleError: draw_unknown, draw_not_run, claims_open."""
    return commit("draw.pass", ctx.store, lambda tx: _pass_on(ctx, tx, name, actor, why))


def pass_all_on(ctx: Context) -> None:
    """Of every draw whose claim time is over. What another worker has passed on is not passed on again."""
    with ctx.store.read() as tx:
        due = draws.unclaimed(tx, ctx.clock())
    for name in due:
        tried("draw", _pass_due, ctx, name)


def _pass_due(ctx: Context, name: str) -> None:
    try:
        pass_on(ctx, name, f"worker:{ctx.worker}", "its claim time is over")
    except RuleError as refused:
        log.info("draw %s: %s", name, refused)


def _pass_on(ctx: Context, tx: Tx, name: str, actor: str, why: str) -> list[Won]:
    draw, now = _known(tx, name, lock=True), ctx.clock()
    if draw.published is None or draw.claim_by is None:
        raise RuleError("draw_not_run", f"draw {name} was not run yet")
    if now < draw.claim_by:
        raise RuleError("claims_open", f"draw {name}: winners may redeem until {draw.claim_by.isoformat()}")
    programme, known = entitlement.named(tx, draw.programme), draws.entries(tx, name)
    waiting = _waiting(draw.published, known)
    unclaimed = _unclaimed(tx, known)[:len(waiting)]
    if draw.state == "over" and not unclaimed:
        return []
    refs = {entry.entrant: entry.holder for entry in known}
    passed, claim_by = list[Won](), now + programme.valid_for
    for entry in unclaimed:
        assert entry.voucher is not None
        assert entry.prize is not None
        vouchers.void(tx, entry.voucher)
        draws.award(tx, name, entry.entrant, entry.voucher, None)
        entrant = waiting[len(passed)]
        _award(ctx, tx, draw, programme, entrant, entry.prize, claim_by)
        passed.append(_won(ctx, tx, name, entrant, refs[entrant], entry.prize))
    if passed:
        draws.save(tx, name, "drawn", draw.published, claim_by)
        outbox.put(tx, draw.sender, "draw.passed_on", "-", {"draw": name, "programme": draw.programme, "vouchers":
                                                            len(passed), "claim_by": text(claim_by)}, now)
    else:
        draws.save(tx, name, "over", draw.published, draw.claim_by)
    journal.write(tx, "draw.passed_on", name, actor, why, vouchers=len(passed))
    return passed


def _unclaimed(tx: Tx, entries: Sequence[EntryRow]) -> list[EntryRow]:
    """Winners whose voucher is not redeemed, the highest prize first."""
    found = []
    for entry in entries:
        voucher = vouchers.get(tx, entry.voucher, lock=True) if entry.voucher and entry.prize is not None else None
        if voucher is not None and voucher.state is not VoucherState.REDEEMED:
            found.append(entry)
    return sorted(found, key=lambda entry: (-(entry.prize or 0), entry.entrant))


def _waiting(published: Mapping[str, Any], entries: Sequence[EntryRow]) -> list[str]:
    had = {entry.entrant for entry in entries if entry.voucher is not None}
    return [entrant for entrant in published["waiting"] if entrant not in had]


def winners(ctx: Context, name: str, actor: str, why: str = "") -> list[Won]:
    """Who has what now, with the codes: for whoever sends them to their winners. RuleError `draw_unknown`."""
    return commit("draw.show", ctx.store, lambda tx: _winners(ctx, tx, name, actor, why))


def _winners(ctx: Context, tx: Tx, name: str, actor: str, why: str) -> list[Won]:
    _known(tx, name)
    found = [_won(ctx, tx, name, entry.entrant, entry.holder, entry.prize)
             for entry in draws.entries(tx, name) if entry.prize is not None]
    journal.write(tx, "draw.codes_shown", name, actor, why, vouchers=len(found))
    return found


def _won(ctx: Context, tx: Tx, name: str, entrant: str, ref: str, prize: Decimal) -> Won:
    holder = holders.get(tx, ref)
    whom = (None, None) if holder is None else (holder.id, holder.email)
    return Won(entrant, prize, code_of(ctx.keyring, name, entrant), *whom)


def code_of(keyring: Keyring, draw: str, entrant: str) -> str:
    """The code of what an entrant wins in a draw: keyed, so that it can be told again and guessed by nobody."""
    number, letters = int.from_bytes(keyring.mac("draw", f"{draw}\n{entrant}"), "big"), []
    for _ in range(25):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    text = "".join(letters)
    return "-".join(text[at:at + 5] for at in range(0, 25, 5))


def _known(tx: Tx, name: str, *, lock: bool = False) -> DrawRow:
    found = draws.get(tx, name, lock=lock)
    if found is None:
        raise RuleError("draw_unknown", f"there is no draw {name!r}")
    return found
