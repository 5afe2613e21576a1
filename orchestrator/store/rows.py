"""Account rows as dataclasses, and back: what the account functions share."""

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row

from orchestrator.lifecycle.account import Account, FencedBy, State
from orchestrator.lifecycle.due import Due, Owed, next_due
from orchestrator.store.codec import offer_from_json, offer_to_json


@dataclass(frozen=True, slots=True)
class Stuck:
    """A mark beside the state: what failed, since when, how often, and who acts next."""

    what: str
    error: str
    since: datetime
    count: int
    next: Literal["tenure", "operator"]
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An account that one worker holds. `account` carries the raised generation; save with this as `was`."""

    account: Account
    owed: Owed
    worker: str
    sender: str
    attempts: int
    """How often the work owed was put off since something last succeeded."""
    stuck: Stuck | None

    @property
    def generation(self) -> int:
        return self.account.generation


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account with everything that the store keeps beside it."""

    account: Account
    sender: str
    holder: str
    """Reference into `holders`; the sender's own id of the holder is personal data and is there only."""
    owed: Owed | None
    due_at: datetime | None
    """When a worker may take it up: the work's own time, or the end of its pause or claim."""
    retry_at: datetime | None
    attempts: int
    claimed_until: datetime | None
    worker: str | None
    stuck: Stuck | None
    inventory: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.account.id

    @property
    def site(self) -> str:
        return self.account.site


PLAIN = tuple(f.name for f in fields(Account) if f.name not in {"offer", "state", "fenced_by", "hold"})


def account_of(row: Row[Any]) -> Account:
    """The account in a row of `accounts`."""
    found = row._mapping
    return Account(**{name: found[name] for name in PLAIN}, offer=offer_from_json(found["offer"]),
                   state=State(found["state"]), hold=held(row),
                   fenced_by=FencedBy(found["fenced_by"]) if found["fenced_by"] else None)


def held(row: Row[Any]) -> bool:
    """Whether any of the three holds keeps it: its own, its site's, everything's."""
    return bool(row.hold or row.site_hold or row.all_hold)


def columns_of(account: Account) -> dict[str, Any]:
    """The columns that hold the account itself."""
    return {name: getattr(account, name) for name in PLAIN} | {
        "offer": offer_to_json(account.offer), "state": account.state.value, "hold": account.hold,
        "fenced_by": account.fenced_by.value if account.fenced_by else None}


def due_columns(account: Account, paused: Due | None, claimed_until: datetime | None) -> dict[str, Any]:
    """`owed` and `due_at`, the one index that the sweep asks. A claimed row is due when its claim lapses.

    `kept_from` is from when on nothing but a hold keeps the account.
    """
    due = next_due(account, paused)
    if due is None:
        kept = next_due(replace(account, hold=False)) if account.hold else None
        return {"owed": None, "due_at": None, "kept_from": kept.at if kept else None}
    at = due.at if claimed_until is None else max(due.at, claimed_until)
    return {"owed": due.what.value, "due_at": at, "kept_from": None}


def paused_of(row: Row[Any]) -> Due | None:
    """The work of this row that waits for another try."""
    found = row._mapping
    if found["retry_of"] is None or found["retry_at"] is None:
        return None
    return Due(Owed(found["retry_of"]), found["retry_at"])


def stuck_of(plain: dict[str, Any] | None) -> Stuck | None:
    return None if plain is None else Stuck(**plain | {"since": datetime.fromisoformat(plain["since"])})


def stuck_to_json(stuck: Stuck) -> dict[str, Any]:
    return {f.name: getattr(stuck, f.name) for f in fields(Stuck)} | {"since": stuck.since.isoformat()}


def record_of(row: Row[Any]) -> AccountRecord:
    """Everything in a row of `accounts`."""
    found = row._mapping
    return AccountRecord(
        account=account_of(row), sender=found["sender"], holder=found["holder"],
        owed=Owed(found["owed"]) if found["owed"] else None, due_at=found["due_at"], retry_at=found["retry_at"],
        attempts=found["attempts"], claimed_until=found["claimed_until"], worker=found["worker"],
        stuck=stuck_of(found["stuck"]), inventory=found["inventory"] or {})


def claimed_of(row: Row[Any], owed: Owed) -> Claimed:
    """The claim that a row now carries."""
    found = row._mapping
    return Claimed(account=account_of(row), owed=owed, worker=found["worker"], sender=found["sender"],
                   attempts=found["attempts"], stuck=stuck_of(found["stuck"]))
