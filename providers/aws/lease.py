"""What the site knows of one account's time, and the rules by which that changes. Pure: the table is in `leases`."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from providers.protocol import AlreadyFenced, Armed, Fenced, Opened, Refused, Stale, checked_generation

By = Literal["end", "operator"]


@dataclass(frozen=True, slots=True)
class Lease:
    """One account's row. Instants are epoch seconds by AWS's clock; one that is gone keeps its generation for ever."""

    account: str
    end: float
    generation: int
    open: bool = False
    starts_at: float | None = None
    duration: float | None = None
    fenced_at: float | None = None
    fenced_by: By = "end"
    gone: bool = False
    notice: str = ""

    def shut_at(self, now: float) -> float | None:
        """Since when nobody may use it, or None. Its own end needs nobody to write it down."""
        if self.fenced_at is not None:
            return self.fenced_at
        return self.end if self.end <= now else None

    def usable(self, now: float) -> bool:
        """Whether the holder may get in now."""
        return self.open and not self.gone and self.shut_at(now) is None


def present(known: Lease | None, account: str) -> Lease:
    """The lease, or Refused."""
    if known is None or known.gone:
        raise Refused(f"account {account}: is not at this site")
    return known


def not_lower(known: Lease | None, account: str, generation: int) -> None:
    """Stale when somebody else has acted since."""
    checked_generation(generation)
    if known is not None and generation < known.generation:
        raise Stale(f"account {account}: the site holds generation {known.generation}, {generation} comes too late")


def arm(known: Lease | None, account: str, end: float, generation: int,
        now: float) -> tuple[Lease, Armed | AlreadyFenced]:
    """A new end. One that has passed is not moved any more."""
    not_lower(known, account, generation)
    if known is not None and known.gone and generation <= known.generation:
        raise Stale(f"account {account}: was cleaned away here")
    if known is None or known.gone:
        return Lease(account, end, generation), Armed(instant(end), generation)
    shut = known.shut_at(now)
    if known.fenced_at is not None or (shut is not None and known.end != end):
        assert shut is not None
        return replace(known, fenced_at=shut), AlreadyFenced(instant(shut), known.fenced_by)
    return replace(known, end=end, generation=generation), Armed(instant(end), generation)


def opened(known: Lease | None, account: str, duration: float, generation: int, now: float) -> tuple[Lease, Opened]:
    """The clock starts now; asked again, the same answer."""
    lease = present(known, account)
    not_lower(lease, account, generation)
    if lease.shut_at(now) is not None:
        raise Refused(f"account {account}: was fenced before it could be opened")
    starts = now if lease.starts_at is None else lease.starts_at
    lasts = duration if lease.duration is None else lease.duration
    first = lease.starts_at is None
    changed = replace(lease, open=True, starts_at=starts, duration=lasts, generation=generation,
                      end=starts + lasts if first else lease.end)
    return changed, Opened(instant(starts), instant(starts + lasts))


def fenced(known: Lease | None, account: str, generation: int, by: By, now: float) -> tuple[Lease, Fenced]:
    """Shut from now on, or since it was shut. What was never here counts as fenced and is remembered as gone."""
    not_lower(known, account, generation)
    if known is None:
        return Lease(account, now, generation, fenced_at=now, fenced_by=by, gone=True), Fenced(account, instant(now))
    if known.gone:
        return replace(known, generation=generation), Fenced(account, instant(now))
    if known.fenced_at is not None:
        return replace(known, generation=generation), Fenced(account, instant(known.fenced_at))
    shut = known.shut_at(now)
    at, whose = (shut, "end") if shut is not None else (now, by)
    changed = replace(known, generation=generation, fenced_at=at, fenced_by="end" if whose == "end" else "operator")
    return changed, Fenced(account, instant(at))


def unfenced(known: Lease | None, account: str, generation: int, end: float,
             now: float) -> tuple[Lease, Armed | AlreadyFenced]:
    """Open again until a new end, which must lie ahead."""
    lease = present(known, account)
    not_lower(lease, account, generation)
    if end <= now:
        shut = lease.shut_at(now)
        return lease, AlreadyFenced(instant(end if shut is None else shut), lease.fenced_by)
    lifted = replace(lease, end=end, generation=generation, fenced_at=None, fenced_by="end")
    return lifted, Armed(instant(end), generation)


def cleaning(known: Lease | None, account: str, generation: int, now: float) -> tuple[Lease, None]:
    """From here on nobody with a lower generation does anything; what is in use is not taken away."""
    not_lower(known, account, generation)
    if known is None:
        return Lease(account, now, generation, fenced_at=now, gone=True), None
    if known.usable(now):
        raise Refused(f"account {account}: is in use: fence it first")
    shut = known.shut_at(now)
    return replace(known, generation=generation, fenced_at=now if shut is None else shut), None


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
