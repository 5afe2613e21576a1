"""What a memory site holds: its clock, its tenancies, its faults. Shared by name within a process, and through a
file between processes, so that a site outlives the Tenure that is killed beside it."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal, TypeVar

from providers.protocol import Fact, NeedsHuman

T = TypeVar("T")
FIRST_UID = 70_000
By = Literal["end", "operator"]


@dataclass(slots=True)
class Bucket:
    """What was metered in one clock hour: microseconds in which it was, and amounts in the meters' finest units."""

    covered: int = 0
    amounts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Tenancy:
    """One account at the site: its lease, its parts, and what it used. Instants are epoch seconds by its clock."""

    end: float
    generation: int
    open: bool = False
    starts_at: float | None = None
    duration: float | None = None
    fenced_at: float | None = None
    fenced_by: By = "end"
    parts: dict[str, dict[str, Fact]] = field(default_factory=dict)
    principals: dict[str, float] = field(default_factory=dict)
    rescue_until: float | None = None
    """Until when the holder may fetch their files after the end; None: not at all."""
    notice: str = ""
    running: int = 0
    """Containers that run now; a fence stops them. Tests set it."""
    egress: int = 0
    stored: int = 0
    memory: int = 0
    """Bytes of memory in use. Tests set these, as they do what is counted (egress, CPU) and the chips in use."""
    cpu_seconds: float = 0.0
    chips: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    """What the counters showed when the meters were last read."""
    buckets: dict[str, Bucket] = field(default_factory=dict)
    """By the epoch second at which the hour begins."""
    strays: list[str] = field(default_factory=list)
    """Things the holder left outside the five parts (cron, shm, …): `leftovers` finds them, `clean` removes them."""

    @property
    def usable(self) -> bool:
        """Whether a holder could log in now."""
        return self.open and self.fenced_at is None

    def end_rescue(self) -> None:
        """Nobody may fetch anything any more, of an account that is fenced."""
        self.rescue_until = None
        self.principals.clear()


@dataclass(slots=True)
class Faults:
    """What is broken, switched on by whoever tests. All off at first."""

    full: bool = False
    """No account that is not here yet is taken."""
    no_reaper: bool = False
    """The site does not end leases by itself."""
    dead: bool = False
    """Every call answers TryLater, after `hang` seconds as a time-out would."""
    hang: float = 0.0
    slow: float = 0.0
    """Every call takes this many seconds longer."""
    poisoned: list[str] = field(default_factory=list)
    """Accounts of which every call fails with NeedsHuman."""
    lost_answers: int = 0
    """So many next calls do their work and then lose the answer (TryLater)."""
    unlisted: list[str] = field(default_factory=list)
    """Kinds of leftovers whose listing fails."""
    sticky: list[str] = field(default_factory=list)
    """Accounts whose removal leaves the storage behind."""
    unmetered_site: bool = False
    """The meters stand still though the site is up: a gap. What is counted meanwhile shows afterwards."""
    unmetered: list[str] = field(default_factory=list)
    """Meters that cannot be read: they are missing, the others are there."""
    down_since: float | None = None
    """The site itself is not up, see `meters.fall`."""


@dataclass(slots=True)
class World:
    """Everything at one site."""

    at: float | None = None
    """A standing clock, or None for the machine's own plus `offset`."""
    offset: float = 0.0
    prepared: bool = True
    cpu_milli: int = 1_000_000
    memory: int = 1 << 42
    storage: int = 1 << 44
    next_uid: int = FIRST_UID
    tenancies: dict[str, Tenancy] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    metered: float | None = None
    """Up to when the meters have been read."""
    outages: list[tuple[float, float]] = field(default_factory=list)

    def now(self) -> float:
        """The site's clock."""
        return (time.time() if self.at is None else self.at) + self.offset

    def tick(self) -> list[str]:
        """The site's own reaper: fences all that is due, says whom. Every call to the site runs it first."""
        if self.faults.no_reaper:
            return []
        now = self.now()
        due = [name for name, t in self.tenancies.items() if t.fenced_at is None and t.end <= now]
        for name in due:
            self.fence(name, max(self.tenancies[name].end, 0.0), "end")
        for tenancy in self.tenancies.values():
            if tenancy.rescue_until is not None and tenancy.rescue_until <= now:
                tenancy.end_rescue()
        return due

    def fence(self, account: str, at: float, by: By) -> None:
        """Nobody can use the account; what it stores stays."""
        tenancy = self.tenancies[account]
        if tenancy.fenced_at is None:
            tenancy.fenced_at, tenancy.fenced_by = at, by
        if tenancy.rescue_until is None or by == "operator":
            tenancy.end_rescue()
        tenancy.chips.clear()
        tenancy.running = tenancy.memory = 0


def dump(world: World) -> str:
    return json.dumps(asdict(world))


def load(text: str) -> World:
    raw = json.loads(text)
    for tenancy in raw["tenancies"].values():
        tenancy["buckets"] = {hour: Bucket(**bucket) for hour, bucket in tenancy.get("buckets", {}).items()}
    raw["tenancies"] = {name: Tenancy(**tenancy) for name, tenancy in raw["tenancies"].items()}
    raw["outages"] = [(since, until) for since, until in raw.get("outages", [])]
    raw["faults"] = Faults(**raw["faults"])
    return World(**raw)


class Keeper:
    """Holds one world; `held()` is the only way to it, one at a time."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._depth = 0
        self._world = World()

    @contextmanager
    def held(self) -> Iterator[World]:
        """The world, for this caller alone; written back to the file, if there is one, on the way out."""
        with self._lock:
            if self._file is None or self._depth:
                yield self._world
                return
            with _opened(self._file) as kept:
                fcntl.flock(kept, fcntl.LOCK_EX)
                self._world = _read(kept)
                self._depth += 1
                try:
                    yield self._world
                finally:
                    self._depth -= 1
                    _write(self._file, dump(self._world))

    def peek(self, ask: Callable[[World], T]) -> T:
        """One look or change, by a test or the site itself."""
        with self.held() as world:
            return ask(world)


def _opened(file: Path) -> IO[str]:
    try:
        return open(file, "a+", encoding="utf-8")
    except OSError as error:
        raise NeedsHuman(f"memory site: {file}: {error.strerror}", remedy="name a file that can be written, in a folder"
                         " that is there") from error


def _read(kept: IO[str]) -> World:
    """The world in the file beside the lock; a new one when nothing was ever written."""
    state = Path(kept.name + ".state")
    return load(state.read_text(encoding="utf-8")) if state.exists() else World()


def _write(file: Path, text: str) -> None:
    """Through a rename: a process killed in mid-write must not lose the site."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file.with_name(file.name + ".state"))


_KEEPERS: dict[str, Keeper] = {}
_KEEPERS_LOCK = threading.Lock()


def keeper(name: str, file: Path | None = None) -> Keeper:
    """The one world of that name in this process."""
    with _KEEPERS_LOCK:
        return _KEEPERS.setdefault(f"{name}\n{file or ''}", Keeper(file))


def forget(name: str) -> None:
    """Drop the world of that name: the next site of the name starts empty."""
    with _KEEPERS_LOCK:
        for known in [k for k in _KEEPERS if k.split("\n")[0] == name]:
            del _KEEPERS[known]
