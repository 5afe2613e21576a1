"""The whole contract between Tenure and a site: what an account is, its five parts, the site, and their errors.

A site never learns what a voucher is. Every call may come twice and must then do its work once. Ends and
other instants are aware datetimes in UTC; sizes are bytes, rates bits per second, CPU thousandths of a core.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

PartName = Literal["account", "storage", "network", "containers", "access"]
PARTS: tuple[PartName, ...] = ("account", "storage", "network", "containers", "access")
"""In the order in which they are made; they are removed in reverse."""

Fact: TypeAlias = str | int | bool | list[str]

ACCOUNT_ID = re.compile(r"a[a-z2-7]{9}")
"""What an account id looks like. Everything at a site is named from it, so nothing else may reach a site."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What one account is to be at its site. `account` is its id and names everything there."""

    account: str
    containers: int
    cpu_milli: int
    memory: int
    pids: int
    storage: int
    rate: int
    egress: int
    images: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    accelerators: Mapping[str, int] = field(default_factory=dict)
    set_aside: bool = False
    """Cores are kept free for the account for its whole lease, whether it uses them or not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One part as the site shows it: `facts` holds its identity (uid, subvolume, address) and its limits."""

    part: PartName
    facts: Mapping[str, Fact]


class Part(Protocol):
    """One of the five, at one site."""

    name: PartName
    identity: frozenset[str]
    """Facts that cannot change in place: a difference in one of them means replacement."""

    def observe(self, spec: Spec) -> Seen | None:
        """What is there now, or None. Changes nothing."""

    def ensure(self, spec: Spec) -> Seen:
        """Create or repair, and read back. Twice is once; never lifts a fence."""

    def remove(self, spec: Spec) -> None:
        """Take it away. Already gone is success."""


@runtime_checkable
class Rigid(Protocol):
    """A part with facts that may change in place, but not to everything that a spec can say."""

    def rigid(self, facts: Mapping[str, Fact], spec: Spec) -> AbstractSet[str]:
        """Which of the facts, as they were seen last, cannot follow `spec` as long as they stand."""


@dataclass(frozen=True, slots=True)
class Armed:
    """The site holds this end and will enforce it alone."""

    end: datetime
    generation: int


@dataclass(frozen=True, slots=True)
class AlreadyFenced:
    """The account was fenced at the site before the new end arrived: the site's answer decides."""

    at: datetime
    by: Literal["end", "operator"]


@dataclass(frozen=True, slots=True)
class Opened:
    """Logins are open. `starts_at` and `ends_at` are by the site's clock; asked again, the same answer."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Credential:
    """What a holder connects with. Nothing in it is secret: the private key never left the holder."""

    certificate: str
    """OpenSSH user certificate, one line."""
    login: str
    """`user@host`; with `sealed`, the name of whom the holder becomes."""
    port: int
    host_keys: tuple[str, ...]
    """`known_hosts` lines of the site."""
    expires: datetime
    sealed: str = ""
    """Where a site's credential is a secret by nature (a cloud session, a token): sealed to the holder's own public key
    (`providers.sealing`), so that it is none to anybody else. The certificate is empty then."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing still at the site that belongs to an account. A listing that failed is one too (`unlisted`)."""

    kind: str
    what: str
    unlisted: bool = False


CPU, MEMORY, STORAGE, EGRESS = "cpu", "memory", "storage", "egress"
"""Meters and their units: core-milliseconds, byte-seconds, byte-seconds, bytes. Amounts are whole numbers."""


def chip_meter(chip: str) -> str:
    """The meter of one kind of accelerator: chip-milliseconds."""
    return f"chip:{chip}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account used in one interval: a whole clock hour in UTC, cut off where the account begins, and at now.

    A meter that the site could not read in it is not in `amounts`: a gap, not a zero. What a counter counted in a gap
    stands in the first interval that was measured after it: nothing is lost, nothing counted twice.
    """

    since: datetime
    until: datetime
    covered: timedelta
    """How much of the interval the site measured; what is missing of it is a gap, shown and not guessed."""
    amounts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the site itself was not up, whatever an account may have wanted of it. It is over."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the site has in all and has free."""

    cpu_milli: int
    memory: int
    storage: int
    storage_free: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `site check` looked at. `remedy` says what to do when it is not `ok`."""

    subject: str
    ok: bool
    seen: str
    remedy: str = ""
    part: PartName | Literal["site"] = "site"
    """The part that cannot be had without it; `site` for what all of them need."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """One account of a batch: fenced at `at` by the site's clock, or `error` says why not yet."""

    account: str
    at: datetime | None
    error: "SiteError | None" = None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """One account of a batch: nothing that `leftovers` would name was kept, or `error` says why not yet."""

    account: str
    error: "SiteError | None" = None


class Site(Protocol):
    """One cluster or cloud region. Thread-safe; keeps its connections."""

    name: str
    parts: Mapping[PartName, Part]

    def now(self) -> datetime:
        """The site's clock."""

    def arm(self, spec: Spec, end: datetime, generation: int) -> Armed | AlreadyFenced:
        """Tell the site the absolute end. A lower generation than the site's: Stale. Before anything else exists
        this makes the lease, with logins closed."""

    def open(self, spec: Spec, duration: timedelta, generation: int) -> Opened:
        """The last step of provisioning: end = site's now + duration, logins open, in one command at the site.
        Past the armed end: Refused."""

    def issue(self, spec: Spec, holder_key: str, end: datetime) -> Credential:
        """Mint the holder's credential for their own public key; it ends with the lease."""

    def rescue(self, spec: Spec, holder_key: str, until: datetime) -> Credential:
        """Past the end: the holder of this key, and nobody else, may fetch their own files, read-only, until `until`:
        then the site itself ends that. Refused before the end, after an operator's fence, once it is being taken back,
        and by a site that can give nothing after an end, which says what else can be done."""

    def export(self, account: str, include: Sequence[str], put: Callable[[bytes], object]) -> int:
        """Give a tar of a fenced account's files to `put`, piece by piece; how many bytes. Names in it begin with the
        account's id. `include`: only these paths below its home. Refused of an account in use, of one that is gone, and
        by a site that cannot, which says what else can be done."""

    def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
        """Nobody can use these accounts (id, generation) any more; nothing is deleted. One answer for each."""

    def unfence(self, spec: Spec, generation: int, end: datetime) -> Armed | AlreadyFenced:
        """Lift a fence and set the end in one step. AlreadyFenced when `end` has passed at the site."""

    def warn(self, account: str, text: str) -> None:
        """Show the text in the account's open terminals now and at each later login; empty text takes it down."""

    def leftovers(self, account: str) -> list[Leftover]:
        """Everything there that belongs to the account, looked up at the site by uid, name and label."""

    def clean(self, batch: Sequence[tuple[str, int]]) -> list[Cleaned]:
        """Remove what `leftovers` lists of these accounts (id, generation), the lease last. The site remembers the
        generation for ever. One answer for each, in the order asked."""

    def accounts(self) -> list[str]:
        """Ids of all accounts of which the site has any trace."""

    def usage(self, account: str, since: datetime) -> list[Usage]:
        """Every interval from the hour that holds `since`, or from the opening of logins if that was later, up to now.
        Asked again, an hour that is over is the same and the one that runs has grown. Also under a fence, until the
        account is cleaned away; of one that never opened or that the site does not know: []."""

    def stored(self, account: str) -> int | None:
        """Bytes that the account stores now; None where the site cannot say."""

    def outages(self, since: datetime) -> list[Outage]:
        """Outages of the whole site that ended after `since`, as far back as it remembers (90 days)."""

    def capacity(self) -> Capacity: ...

    def check(self) -> list[Finding]:
        """Clock offset, versions, quotas, space: each green or what is missing."""

    def prepare(self, dry_run: bool) -> list[str]:
        """Put on the site what it needs to enforce ends alone; says what was (or would be) changed. Safe with
        live accounts."""

    def unprepare(self, dry_run: bool) -> list[str]:
        """Take away what `prepare` put there. Refused while accounts are there."""

    def close(self) -> None:
        """Drop connections."""


@runtime_checkable
class Doored(Protocol):
    """Beside `Site`, for a kind whose kept connection may live on when nobody new gets in."""

    def knock(self) -> None:
        """Try whether somebody new would be let in, over no connection that is there already. Not: TryLater."""


@runtime_checkable
class Reaped(Protocol):
    """Beside `Site`, for a kind whose ends are enforced by something that may stand still while the site answers."""

    def reaper(self) -> Finding:
        """Whether what ends leases there without Tenure has been at work lately."""


class SiteError(Exception):
    """Something at a site did not work. Its class says who acts next."""


class TryLater(SiteError):
    """Transient: the caller tries again, not before `after`."""

    def __init__(self, message: str, after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.after = after


class NeedsHuman(SiteError):
    """Trying again will not help; `remedy` is what an operator does."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Refused(SiteError):
    """The site will not do this, and that is final for this request."""


class BadKey(Refused):
    """The site can give nothing to the holder of this key; another key may do."""


class Stale(SiteError):
    """The site holds a higher generation: somebody else has acted since; the caller must stop."""


Row = TypeVar("Row", Fenced, Cleaned)


def only(rows: Sequence[Row]) -> Row:
    """The answer to a batch of one account; raises its error."""
    (row,) = rows
    if row.error is not None:
        raise row.error
    return row


def checked_account(account: str) -> str:
    """The id itself when it is one, else Refused: a name from outside must never become part of a command or path."""
    if not isinstance(account, str) or not ACCOUNT_ID.fullmatch(account):
        raise Refused(f"not an account id: {account!r} (an id is 'a' and nine of a-z, 2-7)")
    return account


def checked_generation(generation: int) -> int:
    """The generation itself when it is a whole number from 1 up, else Refused."""
    if isinstance(generation, bool) or not isinstance(generation, int) or generation < 1:
        raise Refused(f"not a generation: {generation!r} (it is a whole number from 1 up)")
    return generation
