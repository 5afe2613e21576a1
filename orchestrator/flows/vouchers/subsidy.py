"""Subsidies: a share of what was actually paid, decided on the payment and its evidence, never twice on one."""

import csv
import io
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from orchestrator.flows.cells import safe
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.vouchers import entitlement
from orchestrator.lifecycle import money, times
from orchestrator.lifecycle import programme as rules
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder
from orchestrator.lifecycle.programme import YUAN, Benefit, Programme
from orchestrator.store import holders, journal, ledger, subsidies
from orchestrator.store.engine import Tx
from orchestrator.store.subsidies import Subsidy

COLUMNS = ("payment", "programme", "entity", "kind", "paid_at", "paid", "share", "subsidy", "capped", "contract",
           "contract_sha256", "receipt_sha256", "attested", "decided_at", "decided_by")


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment and what shows it: the contract's and the receipt's SHA-256, in hex."""

    reference: str
    paid: Decimal
    paid_at: datetime
    contract: str
    contract_sha256: str
    receipt_sha256: str
    attested: tuple[str, ...] = field(default=())


def decide(ctx: Context, name: str, holder: Holder, payment: Payment, actor: str, why: str = "") -> Subsidy:
    """The subsidy on a payment; the same payment again is the same answer.

    RuleError: programme_unknown, not_a_subsidy, nothing_paid, nothing_due, not_paid_yet, payment_differs, receipt_used,
    entity_missing, each rule of the programme, cap_reached, pool_empty.
    """
    return commit("subsidy.decide", ctx.store, lambda tx: _decide(ctx, tx, name, holder, payment, actor, why))


def _decide(ctx: Context, tx: Tx, name: str, holder: Holder, payment: Payment, actor: str, why: str) -> Subsidy:
    programme, now = entitlement.named(tx, name), ctx.clock()
    _checked(programme, holder, payment, now)
    assert holder.entity is not None
    entity = holders.entity_ref(tx, holder.entity)
    known = subsidies.get(tx, payment.reference)
    if known is not None:
        return _same(known, programme, entity, payment)
    share = rules.subsidy(programme, payment.paid, _left(ctx, tx, programme, entity, payment))
    if not share.amount:
        raise RuleError("nothing_due", f"payment {payment.reference}: a share of {programme.share} of "
                                       f"{money.show(payment.paid)} is less than half a fen and rounds to nothing; its "
                                       "receipt stays unused")
    lines = entitlement.limits(ctx, programme, entity, share.amount, payment.paid_at)
    # The entry has the receipt's name: one receipt, one subsidy, whatever its payment is called.
    if not entitlement.post(tx, programme, f"subsidy/{payment.receipt_sha256}", lines, now, "subsidy"):
        raise RuleError("receipt_used", f"payment {payment.reference}: its receipt was shown for another payment")
    made = Subsidy(payment.reference, name, entity, payment.paid, share.amount, {
        "entity": holder.entity, "kind": holder.kind.value, "contract": payment.contract,
        "contract_sha256": payment.contract_sha256, "receipt_sha256": payment.receipt_sha256,
        "attested": sorted(payment.attested), "share": str(programme.share), "capped": share.capped,
        "decided_at": now.isoformat(), "decided_by": actor}, payment.paid_at)
    if not subsidies.add(tx, made):
        raise RuleError("payment_differs", f"payment {payment.reference} is being decided on at this moment")
    journal.write(tx, "subsidy.decided", payment.reference, actor, why, programme=name, entity=holder.entity,
                  paid=str(payment.paid), amount=str(share.amount), contract=payment.contract_sha256,
                  receipt=payment.receipt_sha256)
    return made


def _checked(programme: Programme, holder: Holder, payment: Payment, now: datetime) -> None:
    if programme.benefit is not Benefit.SUBSIDY:
        raise RuleError("not_a_subsidy", f"programme {programme.name} gives {programme.benefit}, no subsidy")
    if payment.paid <= 0:
        raise RuleError("nothing_paid", f"payment {payment.reference}: {money.show(payment.paid)} paid; a subsidy is a "
                                        "share of what was actually paid")
    if payment.paid_at > now:
        raise RuleError("not_paid_yet", f"payment {payment.reference} would be made at {payment.paid_at.isoformat()}: "
                                        "only what was actually paid counts")
    if holder.entity is None:
        raise RuleError("entity_missing", f"programme {programme.name}: counts by entity; give the unified social "
                                          "credit code")
    rules.eligible(programme, replace(holder, attestations=payment.attested), payment.paid_at)


def _same(known: Subsidy, programme: Programme, entity: str, payment: Payment) -> Subsidy:
    evidence = ("contract", "contract_sha256", "receipt_sha256")
    before = {"programme": known.programme, "entity": known.entity, "paid": known.paid, "paid_at": known.at,
              **{name: known.evidence[name] for name in evidence}}
    now = {"programme": programme.name, "entity": entity, "paid": payment.paid, "paid_at": payment.paid_at,
           **{name: getattr(payment, name) for name in evidence}}
    if other := [name for name, value in now.items() if value != before[name]]:
        raise RuleError("payment_differs", f"payment {payment.reference} was decided on in programme "
                        f"{known.programme} with {money.show(known.paid)} paid, and with another {', '.join(other)}: "
                        "nothing is subsidised twice")
    return known


def _left(ctx: Context, tx: Tx, programme: Programme, entity: str, payment: Payment) -> Decimal | None:
    """What the entity's cap has left in the payment's period. RuleError `cap_reached` when that is nothing."""
    if programme.cap.amount is None:
        return None
    line = next(line for line in entitlement.limits(ctx, programme, entity, Decimal(0), payment.paid_at)
                if line.unit == YUAN and line.account.startswith("entity/"))
    left = programme.cap.amount - ledger.balance(tx, line.account)
    if left <= 0:
        raise RuleError("cap_reached", f"programme {programme.name}: at most {money.show(programme.cap.amount)} for "
                                       f"one entity in {line.account.split('/')[2]}, and it has them")
    return left


def export(ctx: Context, name: str | None) -> str:
    """What was decided as CSV, oldest payment first, with the evidence of each."""
    with ctx.store.read() as tx:
        found = subsidies.list_(tx, name)
    out, where = io.StringIO(), times.zone(ctx.settings.timezone)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        seen = one.evidence
        writer.writerow([safe(cell) for cell in (
            one.payment, one.programme, seen["entity"], seen.get("kind", ""), times.show(one.at, where),
            f"{one.paid:.2f}", seen["share"], f"{one.amount:.2f}", "yes" if seen["capped"] else "no",
            seen["contract"], seen["contract_sha256"], seen["receipt_sha256"], " ".join(seen["attested"]),
            times.show(datetime.fromisoformat(seen["decided_at"]), where), seen["decided_by"])])
    return out.getvalue()
