"""What the five parts have in common: nothing is made without an end, what was made follows the lease as it is by then
and is read back, nothing in use is removed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from providers.aws.edge import Aws, each
from providers.aws.errors import Gone
from providers.aws.lease import Lease
from providers.aws.leases import Leases
from providers.aws.names import Names, account_ids
from providers.protocol import Fact, Leftover, NeedsHuman, PartName, Refused, Seen, Spec, TryLater, checked_account


class AwsPart(ABC):
    """One of the five: the protocol's three verbs over what each part knows of its resources."""

    name: PartName
    identity: frozenset[str]
    remedy = "raise the limit, or drain this site"
    """What to do when it is not fit."""

    def __init__(self, aws: Aws, names: Names, leases: Leases, enforce: Callable[[str], None]) -> None:
        """`enforce` makes an account be as its lease says now."""
        self._aws = aws
        self._names = names
        self._leases = leases
        self._enforce = enforce

    def observe(self, spec: Spec) -> Seen | None:
        found = self.look(checked_account(spec.account))
        return None if found is None else Seen(self.name, found)

    def ensure(self, spec: Spec) -> Seen:
        lease = self._leases.live(checked_account(spec.account))
        each(lambda: self.make(spec, lease), lambda: self._look_again(lease))
        return Seen(self.name, self.read_back(spec))

    def _look_again(self, lease: Lease) -> None:
        """A fence or another end may have come while we made something for the lease as it was."""
        now = self._leases.get(lease.account)
        if now == lease:
            return
        if now is None or now.gone:
            self.take(lease.account)
            raise Refused(f"account {lease.account}: was cleaned away while its {self.name} was made")
        self._enforce(lease.account)

    def read_back(self, spec: Spec) -> Mapping[str, Fact]:
        """As AWS shows it once it is what was asked for: AWS shows what is new some seconds late. TryLater when it
        shows nothing of it, NeedsHuman when it goes on showing something else than the spec says."""
        def right() -> Mapping[str, Fact] | None:
            found = self.look(spec.account)
            return found if found is not None and not self._differing(spec, found) else None

        try:
            return self._aws.until(f"account {spec.account}: AWS shows its {self.name} as it was made", right)
        except TryLater:
            found = self.look(spec.account)
            if found is None:
                raise
            self._compare(spec, found)
            return found

    def _compare(self, spec: Spec, found: Mapping[str, Fact]) -> None:
        for fact in self._differing(spec, found):
            raise NeedsHuman(
                f"account {spec.account}: {fact} of its {self.name} reads back as {found.get(fact)!r} where "
                f"{self.wanted(spec)[fact]!r} was set",
                remedy=f"look at {self._names.of(spec.account)} in {self._names.region}: somebody else changes it, or "
                       "AWS does not do what was asked")

    def _differing(self, spec: Spec, found: Mapping[str, Fact]) -> list[str]:
        return [fact for fact, wanted in self.wanted(spec).items() if found.get(fact) != wanted]

    def remove(self, spec: Spec) -> None:
        self._leases.not_in_use(checked_account(spec.account))
        self.take(spec.account)

    def fit(self) -> tuple[bool, str]:
        """Whether its listings work and another account would find room, and what was seen."""
        return True, f"{len(account_ids(self.everyone()))} there"

    def _role(self, account: str) -> dict[str, Any] | None:
        """The account's role when it is ours: names of roles are the whole AWS account's, and the path says whose."""
        name = self._names.of(account)
        try:
            role: dict[str, Any] = self._aws.call("iam", "get_role", RoleName=name)["Role"]
        except Gone:
            return None
        return role if role["Arn"] == self._names.role_arn(name) else None

    def _not_ours(self, account: str, what: str) -> NeedsHuman:
        return NeedsHuman(f"account {account}: {what} is there already and is not ours",
                          remedy="remove or rename it; Tenure touches only what carries its tags")

    @abstractmethod
    def look(self, account: str) -> Mapping[str, Fact] | None:
        """Its facts, or None when it is not (wholly) there."""

    @abstractmethod
    def wanted(self, spec: Spec) -> Mapping[str, Fact]:
        """What its facts must be for this spec."""

    @abstractmethod
    def make(self, spec: Spec, lease: Lease) -> None:
        """Create or repair it."""

    @abstractmethod
    def take(self, account: str) -> None:
        """Delete all of it, also what is there twice."""

    @abstractmethod
    def left(self, account: str) -> list[Leftover]:
        """What of it is still there, by name and by tag."""

    @abstractmethod
    def everyone(self) -> set[str]:
        """Names and tags of all accounts that have anything of it here."""
