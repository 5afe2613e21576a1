"""An account as the command line shows it: the same field names as the operators' API."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.entry.cli import output
from orchestrator.lifecycle import sizes, times
from orchestrator.lifecycle.account import USABLE, State
from orchestrator.lifecycle.contract import OPEN_END

if TYPE_CHECKING:
    from orchestrator.lifecycle.offer import Offer
    from orchestrator.store.accounts import AccountRecord
    from providers.protocol import Finding

NOT_YET = frozenset({State.REQUESTED, State.PROVISIONING})
COLUMNS = ["id", "state", "site", "offer", "ends_at", "left", "owed", "stuck"]
STUCK_COLUMNS = ["id", "state", "site", "failed", "times", "since", "error", "next", "do"]


def account(record: "AccountRecord", sender: str) -> dict[str, Any]:
    """Everything but the holder's personal data."""
    it = record.account
    return {
        "id": it.id, "state": it.state, "since": it.since, "site": it.site, "offer": offer(it.offer), "sender": sender,
        "redemption": it.redemption, "generation": it.generation, "provision_by": it.provision_by,
        "begins_at": it.begins_at, "starts_at": it.starts_at, "ends_at": it.ends_at, "fenced_at": it.fenced_at,
        "fenced_by": it.fenced_by,
        "grace_until": it.grace_until, "contract": it.contract, "hold": it.hold,
        "convert_asked": it.convert_asked, "reclaim_asked": it.reclaim_asked, "owed": record.owed,
        "due_at": record.due_at, "holder": record.holder, "worker": record.worker,
        "stuck": None if record.stuck is None else output.plain_fields(record.stuck)}


def offer(it: "Offer") -> dict[str, Any]:
    """Sizes in bytes, rate in bits a second, times in seconds."""
    return output.plain_fields(it)


def finding(one: "Finding") -> dict[str, Any]:
    """What to do stands only beside what is not as it must be."""
    return output.plain_fields(one) | {"remedy": "" if one.ok else one.remedy}


def what(one: "Finding") -> str:
    """Its part and its subject, on one line with others of the same site."""
    return f"{one.part} {one.subject}" if one.part and one.part != "site" else one.subject


def row(record: "AccountRecord", now: datetime) -> list[str]:
    """The cells of COLUMNS."""
    it = record.account
    left = it.remaining(now) if it.state in USABLE or it.state is State.FENCED else timedelta()
    stuck = record.stuck
    told = times.show_span(left) if left and it.ends_at != OPEN_END else "-"
    if it.begins_at is not None and it.begins_at > now and it.state in NOT_YET:
        told = f"begins in {times.show_span(it.begins_at - now)}"
    return [it.id, it.state.value + (" (held)" if it.hold else ""), it.site, it.offer.name, output.shown(it.ends_at),
            told, record.owed.value if record.owed else "-",
            f"{stuck.what}: {stuck.next} acts next" if stuck else "-"]


def stuck_row(record: "AccountRecord") -> list[str]:
    """The cells of STUCK_COLUMNS: all that whoever is woken by it has to know."""
    it, stuck = record.account, record.stuck
    assert stuck is not None
    return [it.id, it.state.value, it.site, stuck.what, str(stuck.count), output.shown(stuck.since),
            output.cell(stuck.error), stuck.next, stuck.remedy or "wait: it is tried again"]


def facts(record: "AccountRecord", sender: str) -> dict[str, Any]:
    """For people: sizes with units, and what is stuck in words."""
    found = account(record, sender)
    it, stuck = record.account.offer, record.stuck
    found["offer"] = (f"{it.name}: {it.containers} containers, {it.cpu_milli / 1000:g} cores, "
                      f"{sizes.show_size(it.memory)} memory, {it.pids} pids, {sizes.show_size(it.storage)} storage, "
                      f"{sizes.show_rate(it.rate)}, {sizes.show_size(it.egress)} egress")
    if stuck is not None:
        found["stuck"] = f"{stuck.what}: {stuck.error} ({stuck.count} times since {output.shown(stuck.since)})"
        found["next"] = stuck.next + (f": {stuck.remedy}" if stuck.remedy else "")
    return found
