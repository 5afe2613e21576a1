"""How specs, instants and answers look in the on-site protocol. Every reader is strict: an answer that is not what it
must be is TryLater, since then we do not know what the site did."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from providers.protocol import (
    ACCOUNT_ID,
    AlreadyFenced,
    Armed,
    Capacity,
    Cleaned,
    Fenced,
    Finding,
    Leftover,
    NeedsHuman,
    Opened,
    Outage,
    PartName,
    Refused,
    SiteError,
    Spec,
    Stale,
    TryLater,
    Usage,
)

QUICK = 10.0
"""Seconds for what only reads or writes a lease."""
FENCE = 20.0
"""Seconds for a batch of fences."""
WORK = 60.0
"""Seconds for what makes or removes things."""
NEEDED_BY: Mapping[str, PartName] = {
    "program podman": "containers", "program runc": "containers", "program conmon": "containers",
    "program sacctmgr": "account", "program scontrol": "containers", "program squeue": "containers",
    "program scancel": "containers", "program sacct": "containers", "program munge": "containers",
    "image store": "containers", "model ": "containers",
    "program btrfs": "storage", "pool quotas": "storage",
    "program nft": "network", "program ip": "network", "program tc": "network", "forwarding": "network",
    "program useradd": "account", "uids never used": "account", "group ": "account",
    "slurmdbd": "account", "slurmctld": "containers", "munge": "containers", "slurm.conf": "containers",
    "AccountingStorage": "containers", "chips": "containers", "GresTypes": "containers", "licence ": "containers",
    "program bwrap": "access", "program setpriv": "access", "principals folder": "access",
}
"""What a host's findings are about, by how their subjects begin, and the part that needs it."""
BATCH = 200
"""Accounts in one fence request: lines stay short, and the first are not kept waiting for the last."""


CLEANED = 25
"""Accounts in one request to clean: each takes a good part of a second."""


def as_json(spec: Spec) -> dict[str, Any]:
    """The spec's fields; tuples as sorted-as-given lists."""
    raw = {one.name: getattr(spec, one.name) for one in fields(Spec)}
    return {**raw, "images": list(spec.images), "models": list(spec.models), "accelerators": dict(spec.accelerators)}


def seconds(at: datetime) -> float:
    """Epoch seconds of an aware datetime. ValueError for a naive one, which names no instant."""
    if at.tzinfo is None:
        raise ValueError(f"naive datetime {at!r}")
    return at.timestamp()


def instant(value: object) -> datetime:
    """UTC datetime of epoch seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unread("an instant", value)
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError) as wrong:
        raise _unread("an instant", value) from wrong


def read_end(answer: object) -> Armed | AlreadyFenced:
    """The answer of `arm` and `unfence`."""
    match answer:
        case {"armed": {"end": end, "generation": int(generation)}}:
            return Armed(instant(end), generation)
        case {"fenced": {"at": at, "by": "end" | "operator" as by}}:
            return AlreadyFenced(instant(at), by)
    raise _unread("an end", answer)


def read_opened(answer: object) -> Opened:
    match answer:
        case {"starts_at": starts, "ends_at": ends}:
            return Opened(instant(starts), instant(ends))
    raise _unread("a time box", answer)


def read_fenced(answer: object, asked: list[str]) -> list[Fenced]:
    """One answer for each asked account, in the order asked; one that is not answered is an error of its own."""
    rows: dict[str, Fenced] = {}
    for row in answer if isinstance(answer, list) else []:
        match row:
            case {"account": str(account), "at": int() | float() as at}:
                rows[account] = Fenced(account, instant(at))
            case {"account": str(account), "error": error}:
                rows[account] = Fenced(account, None, read_row_error(account, error))
    silent = TryLater("the site did not say whether it is fenced")
    return [rows.get(account, Fenced(account, None, silent)) for account in asked]


def read_cleaned(answer: object, asked: list[str]) -> list[Cleaned]:
    """One answer for each asked account, in the order asked; one that is not answered is not clean."""
    rows: dict[str, Cleaned] = {}
    for row in answer if isinstance(answer, list) else []:
        match row:
            case {"account": str(account), "error": {"kind": "refused", "message": message}}:
                rows[account] = Cleaned(account, Refused(f"{message}"))
            case {"account": str(account), "error": error}:
                rows[account] = Cleaned(account, read_row_error(account, error))
            case {"account": str(account), "clean": True}:
                rows[account] = Cleaned(account)
    silent = TryLater("the site did not say whether it is clean")
    return [rows.get(account, Cleaned(account, silent)) for account in asked]


def read_row_error(account: str, error: object) -> SiteError:
    """Why one account of a batch is not done."""
    match error:
        case {"kind": "stale", "message": message}:
            return Stale(f"{account}: {message}")
        case {"kind": "human", "message": message, **rest}:
            return NeedsHuman(f"{account}: {message}", remedy=str(rest.get("remedy") or "look at the host"))
        case {"message": message}:
            return TryLater(f"{account}: {message}")
    return TryLater(f"{account}: {error}"[:500])


def read_leftovers(answer: object) -> list[Leftover]:
    """A listing that cannot be read counts as not empty, so it is an error and never []."""
    rows = _rows(answer, "leftovers")
    found = []
    for row in rows:
        match row:
            case {"kind": str(kind), "what": str(what), **rest}:
                found.append(Leftover(kind, what, rest.get("unlisted", False) is not False))
            case _:
                raise _unread("a leftover", row)
    return found


def read_accounts(answer: object) -> list[str]:
    rows = _rows(answer, "accounts")
    if not all(isinstance(row, str) and ACCOUNT_ID.fullmatch(row) for row in rows):
        raise _unread("account ids", answer)
    return list(rows)


def read_usage(answer: object) -> list[Usage]:
    """Intervals as the site measured them."""
    found = []
    for row in _rows(answer, "usage"):
        match row:
            case {"since": since, "until": until, "covered": int() | float() as covered, "amounts": dict(amounts)} if (
                all(isinstance(amount, int) and amount >= 0 for amount in amounts.values())
            ):
                found.append(Usage(instant(since), instant(until), timedelta(seconds=covered), amounts))
            case _:
                raise _unread("an interval of usage", row)
    return found


def read_stored(answer: object) -> int | None:
    match answer:
        case {"storage": int() | None as storage}:
            return storage
    raise _unread("bytes stored", answer)


def read_outages(answer: object) -> list[Outage]:
    found = []
    for row in _rows(answer, "outages"):
        match row:
            case {"since": since, "until": until}:
                found.append(Outage(instant(since), instant(until)))
            case _:
                raise _unread("an outage", row)
    return found


def read_capacity(answer: object) -> Capacity:
    match answer:
        case {
            "cpu_milli": int(cpu),
            "memory": int(memory),
            "storage": int(storage),
            "storage_free": int(free),
        }:
            return Capacity(cpu, memory, storage, free)
    raise _unread("capacity", answer)


def read_findings(answer: object) -> list[Finding]:
    found = []
    for row in _rows(answer, "findings"):
        match row:
            case {"subject": str(subject), "ok": bool(ok), **rest}:
                seen, remedy = str(rest.get("seen", "")), str(rest.get("remedy", ""))
                found.append(Finding(subject, ok, seen, remedy, part(subject)))
            case _:
                raise _unread("a finding", row)
    return found


def part(subject: str) -> PartName | Literal["site"]:
    """The part of an account that a host cannot give without what a finding is about."""
    return next((name for words, name in NEEDED_BY.items() if subject.startswith(words)), "site")


def read_size(answer: object) -> int:
    match answer:
        case {"bytes": int(size)}:
            return size
    raise _unread("a number of bytes", answer)


def read_now(answer: object) -> datetime:
    match answer:
        case {"now": now}:
            return instant(now)
    raise _unread("the time", answer)


def _rows(answer: object, what: str) -> list[Any]:
    if not isinstance(answer, list):
        raise _unread(what, answer)
    return answer


def _unread(what: str, value: object) -> TryLater:
    return TryLater(f"the site's answer is not {what}: {value!r}"[:300])
