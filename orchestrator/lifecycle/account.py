"""An account (算力账户): its states, the one table of transitions, and the one function that moves it.

FENCED → ACTIVE only for a fence that an operator placed before the end. CONTRACTED accounts end as ACTIVE ones do.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.lifecycle.errors import IllegalMove
from orchestrator.lifecycle.offer import Offer


class State(StrEnum):
    """Where an account is in its life. STUCK is a mark beside it, never one of these."""

    REQUESTED = "REQUESTED"
    PROVISIONING = "PROVISIONING"
    ACTIVE = "ACTIVE"
    CONTRACTED = "CONTRACTED"
    FENCED = "FENCED"
    FAILED = "FAILED"
    RECLAIMING = "RECLAIMING"
    RECLAIMED = "RECLAIMED"


MOVES: dict[State, frozenset[State]] = {
    State.REQUESTED: frozenset({State.PROVISIONING, State.FAILED}),
    State.PROVISIONING: frozenset({State.ACTIVE, State.FAILED}),
    State.ACTIVE: frozenset({State.FENCED, State.CONTRACTED}),
    State.CONTRACTED: frozenset({State.FENCED}),
    State.FENCED: frozenset({State.ACTIVE, State.CONTRACTED, State.RECLAIMING}),
    State.FAILED: frozenset({State.RECLAIMING}),
    State.RECLAIMING: frozenset({State.RECLAIMED}),
    State.RECLAIMED: frozenset(),
}

LIVE = frozenset(State) - {State.RECLAIMED}
USABLE = frozenset({State.ACTIVE, State.CONTRACTED})


class FencedBy(StrEnum):
    """Who placed the fence: only an operator's, placed before the end, may be lifted."""

    END = "end"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it was read. `generation` grows with every decision; a save is guarded by both."""

    id: str
    redemption: str
    site: str
    offer: Offer
    state: State
    since: datetime
    generation: int
    provision_by: datetime
    """Past it, an account that is not yet usable has FAILED."""
    begins_at: datetime | None = None
    """When a booked account begins: logins open then and never before. None: as soon as it is made."""
    prepare_at: datetime | None = None
    """From when its place is its own; nothing is done for a booking before."""
    prepared_at: datetime | None = None
    """When all of it was there and only its beginning had yet to come."""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    """The end of the lease now in force; never None in ACTIVE, CONTRACTED and FENCED."""
    fenced_at: datetime | None = None
    fenced_by: FencedBy | None = None
    warned: int = 0
    """How many of the lease's warnings have been given."""
    contract: str | None = None
    """The contract in force or asked for."""
    convert_asked: bool = False
    reclaim_asked: bool = False
    """An operator asked to take it back without waiting for grace."""
    hold: bool = False

    def move(self, to: State, *, at: datetime) -> "Account":
        """The account in its next state. Raises IllegalMove for a transition that is not in MOVES."""
        if to not in MOVES[self.state]:
            raise IllegalMove(f"account {self.id}: {self.state} -> {to}")
        if self.state is State.FENCED and to is State.ACTIVE and self.fenced_by is not FencedBy.OPERATOR:
            raise IllegalMove(f"account {self.id}: a fence at the end is never lifted")
        lifted = to in USABLE and self.state is State.FENCED
        return replace(self, state=to, since=at,
                       fenced_at=None if lifted else self.fenced_at,
                       fenced_by=None if lifted else self.fenced_by)

    @property
    def grace_until(self) -> datetime | None:
        """When reclaim may start, of one that is fenced at its end: the end plus the offer's grace."""
        if self.state is not State.FENCED or self.fenced_by is not FencedBy.END or self.ends_at is None:
            return None
        return self.ends_at + self.offer.grace

    @property
    def liftable(self) -> bool:
        """Whether it is fenced by an operator, who may lift that before its end."""
        return self.state is State.FENCED and self.fenced_by is FencedBy.OPERATOR and not self.reclaim_asked

    def warnings(self) -> list[datetime]:
        """Instants of the lease's warnings, first to last; those before its start are left out."""
        if self.ends_at is None or self.starts_at is None:
            return []
        return sorted(at for before in self.offer.warn_before if (at := self.ends_at - before) > self.starts_at)

    def booked(self, now: datetime) -> bool:
        """Whether it is yet to begin."""
        making = self.state in (State.REQUESTED, State.PROVISIONING)
        return making and self.begins_at is not None and now < self.begins_at

    def provisional_end(self) -> datetime:
        """What is armed before anything else exists at the site, with logins closed."""
        return self.provision_by + self.offer.duration

    def remaining(self, now: datetime) -> timedelta:
        """Time left of the lease, never negative."""
        return max((self.ends_at or now) - now, timedelta())
