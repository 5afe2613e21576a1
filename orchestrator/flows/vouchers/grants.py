"""What programmes have given, grant by grant, out of the sums themselves: an auditor's list, without names."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal

from orchestrator.flows.cells import safe
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.vouchers import entitlement
from orchestrator.flows.vouchers.entitlement import VOUCHERS
from orchestrator.lifecycle import times
from orchestrator.lifecycle.holder import Holder
from orchestrator.store import accounts, holders, journal, ledger, programmes, redemptions, senders, subsidies
from orchestrator.store.engine import Tx
from orchestrator.store.ledger import BACK, Posted
from orchestrator.store.subsidies import Subsidy

COLUMNS = ("ledger", "programme", "benefit", "reference", "sender", "entity", "holder", "kind", "period", "amount",
           "unit", "taken", "account", "redeemed_at", "given_back_at")


@dataclass(slots=True)
class Given:
    """One grant. `ledger` is its entry in the sums, as bills cite it; `reference` the first letters of its voucher's
    hash, or the payment's own. `holder` is the sender's id of one who has no credit code; `taken` what bills or meters
    took of it so far, the first redeemed first."""

    ledger: str
    programme: str
    benefit: str
    reference: str
    sender: str
    entity: str
    holder: str
    kind: str
    period: str
    amount: Decimal
    unit: str
    taken: Decimal | None
    account: str
    redeemed_at: datetime
    given_back_at: datetime | None


def export(ctx: Context, name: str | None, since: datetime | None, until: datetime | None, actor: str,
           why: str = "") -> str:
    """All grants, or one programme's, redeemed or decided from `since` and before `until`, as CSV, the first first.
    It tells of holders: who looked stands in the journal. RuleError `programme_unknown`."""
    commit("grants.export", ctx.store, lambda tx: _looked(tx, name, since, until, actor, why))
    with ctx.store.read() as tx:
        found = [one for one in given(tx) if name in (None, one.programme)
                 and (since is None or since <= one.redeemed_at) and (until is None or one.redeemed_at < until)]
    out, where = io.StringIO(), times.zone(ctx.settings.timezone)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        writer.writerow([safe(_cell(getattr(one, column), where)) for column in COLUMNS])
    return out.getvalue()


def _looked(tx: Tx, name: str | None, since: datetime | None, until: datetime | None, actor: str, why: str) -> None:
    if name is not None:
        entitlement.named(tx, name)
    journal.write(tx, "grants.exported", name or "programmes", actor, why, since=since, until=until)


def _cell(value: object, where: tzinfo) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return times.show(value, where)
        case Decimal():
            return f"{value.normalize():f}"
        case _:
            return str(value)


def given(tx: Tx) -> list[Given]:
    """Every grant there ever was, those given back too, the first first. What is not given back comes, by programme
    and period, to what the pool has given."""
    parts: dict[str, list[Posted]] = defaultdict(list)
    for line in ledger.posted(tx, "redeem", "subsidy"):
        parts[line.entry].append(line)
    known = _Known(tx)
    found = [one for entry, lines in parts.items() if not entry.endswith(BACK)
             for one in known.grant(entry, lines, parts.get(entry + BACK))]
    found.sort(key=lambda one: (one.redeemed_at, one.ledger))
    _take(found, ledger.taken_of_credits(tx))
    return found


def _take(found: Iterable[Given], taken: dict[str, Decimal]) -> None:
    for one in found:
        if one.taken is not None and one.given_back_at is None:
            account = f"credit/{one.account}/{one.unit}"
            one.taken = min(one.amount, taken.get(account, Decimal(0)))
            taken[account] = taken.get(account, Decimal(0)) - one.taken


class _Known:
    """What is beside the sums, read once."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._benefits = {one.name: one.benefit.value for one in programmes.list_(tx)}
        self._senders = {one.id: one.name for one in senders.list_(tx)}
        self._parties = accounts.parties(tx)
        self._digests = programmes.by_entry(tx)
        self._subsidies = {f"subsidy/{one.evidence['receipt_sha256']}": one for one in subsidies.list_(tx)}
        self._holders: dict[str, Holder | None] = {}

    def grant(self, entry: str, lines: list[Posted], back: list[Posted] | None) -> Iterator[Given]:
        """The grant that an entry wrote down: none where it moved no pool."""
        pool = next((line for line in lines if line.account.startswith("pool/") and line.unit != VOUCHERS), None)
        if pool is None:
            return
        _, programme, period, *_ = pool.account.split("/")
        cap = next(line for line in lines if line.account.startswith("entity/") and line.unit == pool.unit)
        ref = cap.account.split("/")[3]
        credit = next((line.account.split("/")[1] for line in lines if line.account.startswith("credit/")), None)
        decided = self._subsidies.get(entry)
        account = "" if decided else credit or entry.split("/")[1]
        sender, of = self._parties.get(account, ("", ""))
        entity, holder, kind = self._paid(decided) if decided else self._who(ref, of)
        yield Given(
            entry, programme, self._benefits.get(programme, ""), decided.payment if decided else
            self._voucher(entry, account), self._senders.get(sender, sender), entity, holder, kind, period,
            -pool.amount, pool.unit, None if credit is None else Decimal(0), account, pool.at,
            back[0].at if back else None)

    def _paid(self, decided: Subsidy) -> tuple[str, str, str]:
        return decided.evidence["entity"], "", decided.evidence.get("kind", "")

    def _voucher(self, entry: str, account: str) -> str:
        """The first letters of its hash, as `voucher list` shows it."""
        digest = self._digests.get(entry)
        if digest is None:
            redeemed = redemptions.by_account(self._tx, account)
            digest = redeemed.voucher if redeemed is not None else None
        return (digest or "")[:16]

    def _who(self, ref: str, of: str) -> tuple[str, str, str]:
        """Credit code, id and kind of who redeemed it; the reference where nobody knows more any more."""
        if ref.startswith("e"):
            known = self._holder(of)
            if known is not None and known.entity and holders.entity_ref(self._tx, known.entity) == ref:
                return known.entity, "", known.kind.value
            return ref, "", ""
        known = self._holder(ref)
        return ("", ref, "") if known is None else ("", known.id, known.kind.value)

    def _holder(self, ref: str) -> Holder | None:
        if ref not in self._holders:
            self._holders[ref] = holders.get(self._tx, ref) if ref else None
        return self._holders[ref]
