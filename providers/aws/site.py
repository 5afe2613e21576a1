"""A slice of an AWS account as a site. Its lease table decides; `Ends` makes AWS be as the lease says."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from providers.aws import fargate, lease, looks, settings, usage
from providers.aws.access import Access
from providers.aws.account import Account
from providers.aws.containers import Containers
from providers.aws.edge import Aws
from providers.aws.ends import Ends
from providers.aws.ground import Ground
from providers.aws.leases import Leases
from providers.aws.names import Names, account_ids
from providers.aws.network import Network
from providers.aws.part import AwsPart
from providers.aws.storage import GIB, Storage
from providers.protocol import (
    PARTS,
    AlreadyFenced,
    Armed,
    Capacity,
    Cleaned,
    Credential,
    Fenced,
    Finding,
    Leftover,
    NeedsHuman,
    Opened,
    Outage,
    Part,
    PartName,
    Refused,
    SiteError,
    Spec,
    TryLater,
    Usage,
    checked_account,
    checked_generation,
)

SECRETS: tuple[str, ...] = ()
"""Keys that Tenure makes for such a site: none, it has AWS's own."""
RESCUES = False
"""Nothing reads a volume but a job, and none runs after the end."""
LONGEST_NOTICE = 4096
AT_ONCE = 16


def connect(name: str, raw: Mapping[str, object], secrets: Mapping[str, str]) -> "AwsSite":
    """Settings: see `providers.aws.settings.AwsSettings`. Secrets, all optional: `access_key_id`, `secret_access_key`,
    `session_token`; without them boto3 finds its own (profile, role of the machine), which is better."""
    return AwsSite(Aws(settings.parse(name, raw), secrets))


class AwsSite:
    """Thread-safe; connects on first use."""

    def __init__(self, aws: Aws) -> None:
        self.name = aws.settings.site
        self._aws = aws
        names = Names(aws)
        self._leases = Leases(aws, names)
        given = (aws, names, self._leases, self._enforce)
        account, self._storage, network = Account(*given), Storage(*given), Network(*given)
        self._containers, self._access = Containers(*given), Access(*given)
        self._own: Mapping[PartName, AwsPart] = {
            "account": account, "storage": self._storage, "network": network, "containers": self._containers,
            "access": self._access}
        self.parts: Mapping[PartName, Part] = self._own
        self._ends = Ends(aws, names, self._leases, account, self._containers)
        self._ground = Ground(aws, names)

    def _enforce(self, account: str) -> None:
        self._ends.enforce(account)

    def now(self) -> datetime:
        self._aws.call("sts", "get_caller_identity")
        return self._aws.clock.now()

    def arm(self, spec: Spec, end: datetime, generation: int) -> Armed | AlreadyFenced:
        """What cannot be held here is refused before anything is made."""
        known = self._leases.get(checked_account(spec.account))
        if known is None or known.gone:
            lease.not_lower(known, spec.account, generation)
            fargate.fits(spec)
            self._room(spec.account)
        before, answer = self._leases.change(spec.account, lambda known, now: _armed(
            known, spec.account, end.timestamp(), generation, now))
        if before is None or before.gone or before.starts_at is None:
            self._room_still(spec.account, generation, before)
        self._enforce(spec.account)
        return answer

    def _room(self, account: str) -> None:
        self._containers.room(account, {one.account for one in self._leases.all()} - {account})

    def _room_still(self, account: str, generation: int, before: lease.Lease | None) -> None:
        """Two workers may both have found the last place: each counts again once its own row is written, so that never
        more than there are places remain, and whoever has none leaves nothing but a row that says so. One that had a
        row `before` may have parts as well, and keeps both, with their end."""
        try:
            self._room(account)
        except NeedsHuman:
            if before is None or before.gone:
                self._leases.change(account, lambda known, now: _gone(known, account, generation))
            else:
                self._enforce(account)
            raise

    def open(self, spec: Spec, duration: timedelta, generation: int) -> Opened:
        checked_account(spec.account)
        if duration <= timedelta(0):
            raise Refused(f"account {spec.account}: a lease of {duration} cannot be opened")
        lease.not_lower(self._leases.live(spec.account), spec.account, generation)
        for part in PARTS:
            self._there(part, spec)
        answer = self._leases.change(spec.account, lambda known, now: lease.opened(
            known, spec.account, duration.total_seconds(), generation, now))
        self._enforce(spec.account)
        return answer

    def _there(self, part: PartName, spec: Spec) -> None:
        """Read back, as when it was made. What is not shown by the end of that is not there: Refused."""
        try:
            self._own[part].read_back(spec)
        except TryLater as late:
            if self._own[part].look(spec.account) is None:
                raise Refused(f"account {spec.account}: cannot open without {part}") from late
            raise

    def issue(self, spec: Spec, holder_key: str, end: datetime) -> Credential:
        known, now = self._leases.get(spec.account), self.now()
        if known is None or not known.usable(now.timestamp()):
            raise Refused(f"account {spec.account}: logins are closed")
        return self._access.mint(spec.account, holder_key, min(end, lease.instant(known.end)), now)

    def rescue(self, spec: Spec, holder_key: str, until: datetime) -> Credential:
        checked_account(spec.account)
        raise Refused(f"site {self.name}: nothing can be fetched here after the end; the account's volume is kept until"
                      " grace is over, and an operator can take a snapshot of it")

    def export(self, account: str, include: Sequence[str], put: Callable[[bytes], object]) -> int:
        checked_account(account)
        raise Refused(f"site {self.name}: nothing can be exported from here: take a snapshot of the account's volume,"
                      f" which bears the tag of account {account}, before grace is over")

    def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
        with ThreadPoolExecutor(AT_ONCE, "fence") as pool:
            return list(pool.map(lambda one: self._fence(one[0], one[1], by), batch))

    def _fence(self, account: str, generation: int, by: Literal["end", "operator"]) -> Fenced:
        """One account's fault is its own answer."""
        try:
            answer = self._leases.change(account, lambda known, now: lease.fenced(known, account, generation, by, now))
            self._enforce(account)
        except SiteError as failed:
            return Fenced(account, None, failed)
        return answer

    def unfence(self, spec: Spec, generation: int, end: datetime) -> Armed | AlreadyFenced:
        answer = self._leases.change(spec.account, lambda known, now: lease.unfenced(
            known, spec.account, generation, end.timestamp(), now))
        self._enforce(spec.account)
        return answer

    def warn(self, account: str, text: str) -> None:
        """There is no terminal here: the text lies in the lease's row; the holder is told by message."""
        self._leases.change(account, lambda known, now: (
            replace(lease.present(known, account), notice=text[:LONGEST_NOTICE]), None))

    def leftovers(self, account: str) -> list[Leftover]:
        checked_account(account)
        return looks.listings(account, [
            *((name, self._own[name].left) for name in reversed(PARTS)),
            ("schedule", self._ends.left), ("lease", self._lease_left)])

    def _lease_left(self, account: str) -> list[Leftover]:
        known = self._leases.get(account)
        return [Leftover("lease", f"lease of {account}")] if known is not None and not known.gone else []

    def clean(self, batch: Sequence[tuple[str, int]]) -> list[Cleaned]:
        """All at once: Batch takes its time for each, and nobody's waits for another's."""
        with ThreadPoolExecutor(AT_ONCE, "clean") as pool:
            return list(pool.map(lambda one: self._cleaned(*one), batch))

    def _cleaned(self, account: str, generation: int) -> Cleaned:
        try:
            self._clean(checked_account(account), generation)
        except SiteError as failed:
            return Cleaned(account, failed)
        return Cleaned(account)

    def _clean(self, account: str, generation: int) -> None:
        self._leases.change(account, lambda known, now: lease.cleaning(
            known, account, checked_generation(generation), now))
        for name in reversed(PARTS):
            self._own[name].take(account)
        self._ends.take(account)
        self._leases.change(account, lambda known, now: _gone(known, account, generation))

    def accounts(self) -> list[str]:
        traces = {one.account for one in self._leases.all()} | self._ends.everyone()
        for part in self._own.values():
            traces |= part.everyone()
        return account_ids(traces)

    def usage(self, account: str, since: datetime) -> list[Usage]:
        known = self._leases.get(checked_account(account))
        if known is None or known.gone:
            return []
        return usage.intervals(self._aws, self._containers, self._storage, known, since, self.now())

    def stored(self, account: str) -> int | None:
        """EBS does not tell how full a volume is."""
        checked_account(account)
        return None

    def outages(self, since: datetime) -> list[Outage]:
        """None are known: AWS publishes its own per region, not per account."""
        return []

    def capacity(self) -> Capacity:
        own = self._aws.settings
        taken = sum(volume["Size"] for volume in self._storage.ours())
        free = max(0, own.storage_gib - taken)
        return Capacity(own.vcpus * 1000, own.vcpus * 8 * GIB, own.storage_gib * GIB, free * GIB)

    def check(self) -> list[Finding]:
        return looks.findings(self._aws, self._ground, self._own)

    def prepare(self, dry_run: bool) -> list[str]:
        return self._ground.prepare(dry_run)

    def unprepare(self, dry_run: bool) -> list[str]:
        there = self.accounts()
        if there:
            raise Refused(f"site {self.name}: accounts are there: {', '.join(there[:5])}")
        return self._ground.unprepare(dry_run)

    def close(self) -> None:
        self._aws.close()


def _armed(known: lease.Lease | None, account: str, end: float, generation: int,
           now: float) -> tuple[lease.Lease, tuple[lease.Lease | None, Armed | AlreadyFenced]]:
    """The row as it becomes, as it was, and the answer."""
    row, answer = lease.arm(known, account, end, generation, now)
    return row, (known, answer)


def _gone(known: lease.Lease | None, account: str, generation: int) -> tuple[lease.Lease, None]:
    """The row after everything else is gone; somebody with a higher generation may have written meanwhile."""
    lease.not_lower(known, account, generation)
    assert known is not None
    return replace(known, gone=True), None
