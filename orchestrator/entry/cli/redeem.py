"""`tenure redeem`: an operator redeems a voucher by hand, with the same checks as at the web door."""

import hashlib
import json as jsonlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened, sender_named
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why
from orchestrator.lifecycle import times
from orchestrator.lifecycle.errors import RuleError

if TYPE_CHECKING:
    from orchestrator.entry.http.payloads import VoucherIn
    from orchestrator.flows.context import Context
    from orchestrator.flows.vouchers.redeem import Accepted
    from orchestrator.store.senders import Sender

MOST_ATTEMPTS = 1000

Categories = Annotated[list[str] | None, typer.Option("--category", help="A category of the holder; repeatable.")]
City = Annotated[str | None, typer.Option("--city", help="The holder's city, as programmes write it.")]
Attested = Annotated[list[str] | None, typer.Option("--attest", help="What the holder has declared; repeatable.")]


def add_to(app: typer.Typer) -> None:
    """Put it at the top of the tree."""
    app.command(epilog="Example: tenure redeem --sender city-portal --holder-id lab-7 --holder-name 某大学 "
                       "--email lab@example.edu.cn --kind university code-file")(redeem)


def redeem(
    code: Annotated[str, typer.Argument(metavar="FILE|-", help="The voucher's code, on one line; - reads stdin.")],
    sender: Annotated[str, typer.Option(help="Whose voucher it is.")],
    holder_id: Annotated[str, typer.Option(help="The sender's own id of the holder.")],
    holder_name: Annotated[str, typer.Option(help="The holder's name.")],
    email: Annotated[str, typer.Option(help="The holder's mail address.")],
    kind: Annotated[str, typer.Option(help="firm, university, institute or individual.")] = "individual",
    entity: Annotated[str | None, typer.Option(help="Unified social credit code (统一社会信用代码).")] = None,
    offer: Annotated[str | None, typer.Option(help="The offer, where the code does not say it.")] = None,
    hours: Annotated[int | None, typer.Option(help="Hours, for senders whose payload is trusted.")] = None,
    programme: Annotated[str | None, typer.Option(help="Its programme, where the code does not say it.")] = None,
    amount: Annotated[str | None, typer.Option(help="What it is worth, for senders whose payload is trusted.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose contract's bill a cash voucher comes off.")] = None,
    begins_at: Annotated[str | None, typer.Option(help="Book ahead: when it is to begin, such as '2027-03-08 09:00'; "
                                                       "left out: at once.")] = None,
    category: Categories = None, city: City = None, attest: Attested = None,
    key: Annotated[Path | None, typer.Option(help="The holder's public SSH key, to claim with later.")] = None,
    wait: Annotated[str | None, typer.Option(help="Wait so long until it is usable, such as 60s.")] = None,
    why: Why = "", json: Json = False,
) -> None:
    """Redeem a voucher. The same voucher again gives the same account."""
    patience = times.span(wait).total_seconds() if wait else None
    lines = output.lines_of(code, 1)
    public = _public_key(key) if key else None
    data: dict[str, object] = {"voucher": lines[0], "offer": offer, "hours": hours, "ssh_public_key": public,
            "programme": programme, "amount": amount, "account": account,
            "holder": {"id": holder_id, "name": holder_name, "kind": kind, "email": email, "entity": entity,
                       "categories": category or [], "city": city, "attestations": attest or []}}
    with opened() as ctx:
        if begins_at is not None:
            data["begins_at"] = output.when(begins_at, ctx.clock()).isoformat()
        with ctx.store.read() as tx:
            owner = sender_named(tx, sender)
        given = "hours" if hours is not None else "amount" if amount is not None else None
        if given is not None and owner.trusts != "payload":
            raise CommandError(f"--{given} is not for sender {sender}: its vouchers say it", USAGE)
        accepted = _redeem(ctx, owner, _checked(data), why)
        _answer(ctx, accepted, patience, json)


def _answer(ctx: "Context", accepted: "Accepted", patience: float | None, json: bool) -> None:
    from orchestrator.store import accounts

    account = accepted.account
    state, trouble = _await(ctx, account, patience)
    with ctx.store.read() as tx:
        begins = accounts.record(tx, account).account.begins_at
    output.answer(json, {"account": account, "claim_url": accepted.claim_url, "state": state, "begins_at": begins},
                  f"account {account}: {state}" + (f", begins {output.shown(begins)}" if begins else ""),
                  "comes off the bill of its contract" if accepted.claim_url is None else
                  f"claim link: {accepted.claim_url}")
    if patience is not None and state not in ("ACTIVE", "CONTRACTED"):
        raise CommandError(f"account {account} is {state}, not usable yet: "
                           f"{trouble or 'see that a worker runs'}; `tenure account show {account}` says more")


def _checked(data: dict[str, object]) -> "VoucherIn":
    """With the rules of the web door, so that nothing gets in here that is refused there."""
    from pydantic import ValidationError

    from orchestrator.entry.http.payloads import VoucherIn, plainly

    try:
        return VoucherIn.model_validate(data)
    except ValidationError as error:
        # Without `from`, and without what was given: it may be the code.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise CommandError(f"{'.'.join(str(step) for step in first['loc'])}: {plainly(first['msg'])}", USAGE) from None


def _redeem(ctx: "Context", sender: "Sender", data: "VoucherIn", why: str) -> "Accepted":
    from orchestrator.flows.vouchers.redeem import redeem
    from orchestrator.store import journal

    said = jsonlib.dumps(_said(data), sort_keys=True, ensure_ascii=False)
    body_hash = hashlib.sha256(said.encode()).hexdigest()
    try:
        accepted = redeem(ctx, sender, data.told(_event(ctx, sender, data.voucher), body_hash))
    except RuleError as error:
        if error.code != "event_reused":
            raise
        raise CommandError("this voucher was redeemed by hand before, with another holder, key or beginning: give "
                           "those again, or take another voucher") from error
    with ctx.store.write() as tx:
        journal.write(tx, "voucher.redeemed_by_hand", accepted.account, actor(), why)
    return accepted


def _said(data: "VoucherIn") -> dict[str, object]:
    """What was said, in the form that redemptions by hand have always been remembered in."""
    plain = data.model_dump(mode="json")
    for name in ("programme", "amount", "account", "begins_at"):
        if plain[name] is None:
            del plain[name]
    plain["holder"] = {name: value for name, value in plain["holder"].items()
                       if value or name not in ("categories", "city", "attestations")}
    return plain


def _event(ctx: "Context", sender: "Sender", code: str) -> str:
    """An id that the voucher gives, so that redeeming it twice is one redemption; with a number that grows for a
    voucher that was given back because its account failed."""
    from orchestrator.lifecycle.voucher import VoucherState
    from orchestrator.store import redemptions, vouchers

    digest = vouchers.digest(ctx.keyring, sender.id, code)
    with ctx.store.read() as tx:
        known = vouchers.get(tx, digest)
        given_back = known is not None and known.state is VoucherState.ISSUED
        for attempt in range(1, MOST_ATTEMPTS):
            event = f"by-hand-{digest[:32]}-{attempt}"
            later = redemptions.find(tx, sender.id, f"by-hand-{digest[:32]}-{attempt + 1}")
            if redemptions.find(tx, sender.id, event) is None or (later is None and not given_back):
                return event
    raise CommandError("this voucher was given back too often: void it")


def _await(ctx: "Context", account: str, patience: float | None) -> tuple[str, str]:
    """The account's state, with patience once it is usable or has failed; and what holds it up."""
    from orchestrator.store import accounts

    end = time.monotonic() + (patience or 0)
    with output.progress(f"account {account}"):
        while True:
            with ctx.store.read() as tx:
                record = accounts.record(tx, account)
            state, stuck = record.account.state.value, record.stuck
            if state not in ("REQUESTED", "PROVISIONING") or time.monotonic() >= end:
                return state, "" if stuck is None else f"{stuck.error} (next: {stuck.next}) {stuck.remedy}".rstrip()
            ctx.wake.wait(0.1)
            ctx.wake.clear()


def _public_key(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--key {file}: cannot be read: {error}", USAGE) from error
