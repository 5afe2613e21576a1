"""What every door shares: the context, who may ask how often, and the journal of what was refused."""

import logging
import threading
import time
from dataclasses import dataclass

from orchestrator.entry.http.buckets import Buckets
from orchestrator.entry.http.lanes import Lanes
from orchestrator.flows.context import Context
from orchestrator.store import journal
from orchestrator.store.errors import StoreError

log = logging.getLogger("tenure.http")


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests a second, and at once, for each sender, each token, each claim link and each address
    that signs in."""

    sender_rate: float = 200
    sender_burst: float = 2000
    token_rate: float = 50
    token_burst: float = 500
    claim_rate: float = 1
    claim_burst: float = 20
    sign_in_rate: float = 1
    sign_in_burst: float = 20
    refusal_rate: float = 2
    refusal_burst: float = 50
    """Refusals that are journalled one by one; the rest of a flood is counted and journalled as a number."""


class Refusals:
    """Journals refused requests, without letting a flood of them fill the disk or keep the writer busy."""

    def __init__(self, limits: Limits) -> None:
        self._buckets = Buckets(limits.refusal_rate, limits.refusal_burst, most=1000)
        self._lock = threading.Lock()
        self._unwritten: dict[str, int] = {}

    def note(self, ctx: Context, code: str, subject: str, actor: str) -> None:
        """One refused request. `subject` and `actor` are ids of ours, or `unknown`: never what a stranger sent."""
        with self._lock:
            if self._buckets.take(code, time.monotonic()):
                self._unwritten[code] = self._unwritten.get(code, 0) + 1
                return
            more = self._unwritten.pop(code, 0)
        try:
            with ctx.store.write() as tx:
                journal.write(tx, "door.refused", subject, actor, refusal=code, not_written_before=more)
        except StoreError as error:
            # The refusal stands whether or not it could be written down; the log is what is left.
            log.warning("refusal %s by %s of %s could not be journalled: %s", code, actor, subject, error)


@dataclass(frozen=True)
class Desk:
    """Given to every door."""

    ctx: Context
    limits: Limits
    lanes: Lanes
    refusals: Refusals
    senders: Buckets
    tokens: Buckets
    claims: Buckets
    sign_ins: Buckets


def desk(ctx: Context, limits: Limits) -> Desk:
    """A desk with fresh buckets."""
    return Desk(ctx, limits, Lanes(), Refusals(limits), Buckets(limits.sender_rate, limits.sender_burst),
                Buckets(limits.token_rate, limits.token_burst), Buckets(limits.claim_rate, limits.claim_burst),
                Buckets(limits.sign_in_rate, limits.sign_in_burst))
