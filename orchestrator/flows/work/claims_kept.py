"""Keeps this worker's claims while their flows run. A worker that is paused stops doing so, and others take over."""

import logging
import threading
from datetime import timedelta
from functools import partial

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.lifecycle.account import USABLE
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts
from orchestrator.store.accounts import Claimed
from orchestrator.store.engine import Tx
from orchestrator.store.errors import Conflict, StoreError

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=20)


class ClaimsKept:
    """Renews every claim that is in it, four times a lease."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._held: dict[tuple[str, int], Claimed] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="claims", daemon=True)

    def __enter__(self) -> "ClaimsKept":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def add(self, claimed: Claimed) -> None:
        """Keep it from now on."""
        with self._lock:
            self._held[claimed.account.id, claimed.generation] = claimed

    def drop(self, claimed: Claimed) -> None:
        """Its flow is over."""
        with self._lock:
            self._held.pop((claimed.account.id, claimed.generation), None)

    def _run(self) -> None:
        while not self._stop.wait(LEASE.total_seconds() / 4):
            with self._lock:
                held = list(self._held.values())
            if not held:
                continue
            try:
                commit("sweep.renew", self._ctx.store, partial(self._renew_all, held=held))
            except StoreError as error:
                log.warning("claims could not be renewed, others may take them: %s", error)

    def _renew_all(self, tx: Tx, held: list[Claimed]) -> None:
        for claimed in held:
            try:
                renew(self._ctx, tx, claimed)
            except Conflict:
                log.debug("account %s: its claim is over", claimed.account.id)
                self.drop(claimed)


def renew(ctx: Context, tx: Tx, claimed: Claimed) -> None:
    """One more lease; but a conversion's never reaches past the end, where the fence is owed and must not wait."""
    now, lease = ctx.clock(), LEASE
    if claimed.owed is Owed.CONVERT:
        account = accounts.get(tx, claimed.account.id)
        if account is not None and account.state in USABLE and account.ends_at is not None:
            lease = min(lease, account.ends_at - now)
    if lease > timedelta(0):
        accounts.renew(tx, claimed, now, lease)
