"""What every flow is given: the store, the sites, the stacks, a clock, and who is asking."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.offer import Offer
from orchestrator.settings import Settings
from orchestrator.store.engine import Store
from orchestrator.store.seal import Keyring
from providers.protocol import Site, Spec


class Difference(Protocol):
    """One resource that a preview or refresh would touch."""

    @property
    def resource(self) -> str: ...

    @property
    def op(self) -> str: ...

    @property
    def details(self) -> Sequence[str]: ...


class AccountStacks(Protocol):
    """What flows ask of `stacks.runner.Stacks`: one Pulumi stack per account."""

    def up(self, account: str, spec: Spec, site: Site) -> object: ...

    def preview(self, account: str, spec: Spec, site: Site) -> Sequence[Difference]: ...

    def refresh(self, account: str, spec: Spec, site: Site) -> object: ...

    def destroy(self, account: str, spec: Spec, site: Site) -> None: ...

    def remove(self, account: str) -> None: ...


class SitePool:
    """Sites by name, connected on first use and kept. A site that is slow to connect holds up only itself."""

    def __init__(self, connect: Callable[[str], Site]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        self._sites: dict[str, Site] = {}
        self._avoided: dict[str, datetime] = {}

    def get(self, name: str) -> Site:
        """The site. Raises SiteError when it is not known or its settings are bad."""
        with self._lock:
            known = self._sites.get(name)
            gate = self._gates.setdefault(name, threading.Lock())
        if known is not None:
            return known
        with gate:
            with self._lock:
                known = self._sites.get(name)
            if known is None:
                known = self._connect(name)
                with self._lock:
                    self._sites[name] = known
            return known

    def avoid(self, name: str, until: datetime) -> None:
        """It does not answer, or its clock is off: nothing new goes there for a while if it can go elsewhere."""
        with self._lock:
            self._avoided[name] = until

    def avoided(self, now: datetime) -> frozenset[str]:
        """Names of the sites to be avoided now."""
        with self._lock:
            return frozenset(name for name, until in self._avoided.items() if until > now)

    def forget(self, name: str) -> None:
        """Drop a site whose settings changed; the next use connects anew."""
        with self._lock:
            gone = self._sites.pop(name, None)
        if gone is not None:
            gone.close()

    def close(self) -> None:
        """Drop every connection."""
        with self._lock:
            names = list(self._sites)
        for name in names:
            self.forget(name)


@dataclass(frozen=True)
class Context:
    """Given to every flow. `clock` is the only source of now; `wake` tells the sweep of this process about new work."""

    store: Store
    keyring: Keyring
    sites: SitePool
    stacks: AccountStacks
    clock: Callable[[], datetime]
    worker: str
    settings: Settings
    home: Path
    wake: threading.Event = field(default_factory=threading.Event)


def spec_of(account: Account, offer: Offer | None = None) -> Spec:
    """What the account is to be at its site, by its own offer or by one that it is to be converted to."""
    want = offer or account.offer
    return Spec(
        account=account.id, containers=want.containers, cpu_milli=want.cpu_milli, memory=want.memory, pids=want.pids,
        storage=want.storage, rate=want.rate, egress=want.egress, images=want.images, models=want.models,
        accelerators=dict(want.accelerators), set_aside=want.set_aside,
    )
