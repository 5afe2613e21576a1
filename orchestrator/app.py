"""Puts everything together around one home folder: settings, keyring, database, sites, stacks. Nothing else does."""

import os
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import settings as settings_file
from orchestrator.flows.context import AccountStacks, Context, SitePool
from orchestrator.settings import Settings
from orchestrator.store import sites
from orchestrator.store.engine import Store, sqlite_file, unwritable
from orchestrator.store.errors import NeverSetUp, NotFound, StoreError, WrongKey
from orchestrator.store.seal import Keyring
from providers import registry
from providers.protocol import NeedsHuman, Site, Spec

if TYPE_CHECKING:
    from stacks.events import Change
    from stacks.runner import Outputs, Stacks

KEYRING = "keyring.json"


class App:
    """One Tenure, open. `ctx` is what every flow is given."""

    def __init__(self, ctx: Context, stacks: "StartedStacks") -> None:
        self.ctx = ctx
        self._stacks = stacks

    @classmethod
    def open(cls, home: Path, stacks: AccountStacks | None = None, *, make: bool = False) -> "App":
        """Open this home. Raises BadSettings, StoreError.

        `make`: a home that has neither is given its keyring and database. `stacks` stands in for Pulumi where that is
        not to be run.
        """
        home = home.absolute()
        chosen = settings_file.load(home)
        store = _store(home, chosen, make)
        own = StartedStacks(home, chosen, store.keyring)
        ctx = Context(store=store, keyring=store.keyring, sites=SitePool(lambda name: connect(store, name)),
                      stacks=own if stacks is None else stacks, clock=utc_now, worker=worker_id(), settings=chosen,
                      home=home)
        return cls(ctx, own)

    def warm(self) -> None:
        """Start what a worker will need, before it is needed. Raises StackError."""
        self._stacks.start()

    def close(self) -> None:
        """Drop every connection."""
        self._stacks.close()
        self.ctx.sites.close()
        self.ctx.store.close()

    def __enter__(self) -> "App":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def worker_id() -> str:
    """A name that no other process has, nor this one after a restart: so nobody takes over what it does not know."""
    return f"w{os.getpid()}-{secrets.token_hex(4)}"


def connect(store: Store, name: str) -> Site:
    """The site of that name as applied. Raises SiteError."""
    try:
        with store.read() as tx:
            row = sites.get(tx, name)
            keys = sites.secrets(tx, name)
    except NotFound:
        row, keys = None, {}
    if row is None:
        raise NeedsHuman(f"site {name}: is not known", remedy="tenure apply -f FILE with this site in it")
    return registry.connect(row.kind, row.name, row.settings, keys)


def _store(home: Path, chosen: Settings, make: bool) -> Store:
    """The database of this home. One half of keyring and database is never completed with a new other half unless
    nothing can have been in it: what looks empty is most often a mount that failed."""
    path = home / KEYRING
    fresh = not path.exists()
    file = sqlite_file(chosen.database_url(home))
    if file is not None:
        _must_write(file.parent)
    there = file is None or (file.exists() and file.stat().st_size > 0)
    if fresh and there and file is not None:
        raise WrongKey(f"{file} is there and its keyring {path} is not: put the copy of the keyring back")
    if fresh or not there:
        _may_make(home, chosen, path if fresh else file, make)
    keyring = Keyring.create(path) if fresh else Keyring.open(path)
    store = Store(chosen.database_url(home), keyring)
    try:
        if there and _set_up(store):
            return store
        _may_make(home, chosen, file, make)
        store.migrate()
        return store
    except StoreError:
        if fresh:
            path.unlink()
        raise


def _set_up(store: Store) -> bool:
    try:
        with store.read():
            return True
    except NeverSetUp:
        return False


def _may_make(home: Path, chosen: Settings, missing: Path | None, make: bool) -> None:
    """Raises NeverSetUp unless a database may be made here."""
    what = f"{missing} is missing or empty" if missing else "the database is empty"
    checkpoint = chosen.checkpoint(home)
    if checkpoint.exists():
        raise NeverSetUp(f"{what}, and {checkpoint} knows that there was one with a journal; do: look whether its disk "
                         "is mounted, else put it back from its backup (docs/operators.md, Restoring), or use a new "
                         "home")
    if not make:
        raise NeverSetUp(f"{what}; do: look whether its disk is mounted, else put it back from its backup "
                         "(docs/operators.md, Restoring); only if there never was one: tenure init")


def _must_write(folder: Path) -> None:
    """SQLite writes even to read. Raises StoreError."""
    if folder.is_dir() and (why := unwritable(folder)):
        raise StoreError(f"{folder} cannot be written: {why}")


class StartedStacks:
    """Pulumi, started when it is first needed: most commands never do. The CLI's absence is said there and then."""

    def __init__(self, home: Path, chosen: Settings, keyring: Keyring) -> None:
        self._home, self._chosen, self._keyring = home, chosen, keyring
        self._lock = threading.Lock()
        self._stacks: Stacks | None = None

    def start(self) -> "Stacks":
        """Start them, if they are not yet. Raises StackError."""
        with self._lock:
            if self._stacks is None:
                self._stacks = self._started()
            return self._stacks

    def _started(self) -> "Stacks":
        # Pulumi's SDK costs every command a third of a second; few need it.
        from stacks.runner import Stacks

        workers = self._chosen.workers
        stacks = Stacks(self._chosen.stacks.backend or None, self._home / "stacks",
                        self._keyring.mac("stacks", "passphrase").hex(),
                        at_once=workers.provision + workers.reclaim + workers.convert)
        stacks.start()
        return stacks

    def up(self, account: str, spec: Spec, site: Site) -> "Outputs":
        return self.start().up(account, spec, site)

    def preview(self, account: str, spec: Spec, site: Site) -> "list[Change]":
        return self.start().preview(account, spec, site)

    def refresh(self, account: str, spec: Spec, site: Site) -> "list[Change]":
        return self.start().refresh(account, spec, site)

    def destroy(self, account: str, spec: Spec, site: Site) -> None:
        self.start().destroy(account, spec, site)

    def remove(self, account: str) -> None:
        self.start().remove(account)

    def close(self) -> None:
        """Stop, if it was ever started."""
        with self._lock:
            if self._stacks is not None:
                self._stacks.close()
                self._stacks = None
