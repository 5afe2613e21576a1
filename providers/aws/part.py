"""What the five parts have in common: nothing is made without an end, nothing in use is removed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from providers.aws.edge import Aws
from providers.aws.errors import Gone
from providers.aws.lease import Lease
from providers.aws.leases import Leases
from providers.aws.names import Names
from providers.protocol import Fact, Leftover, PartName, Refused, Seen, Spec, checked_account


class AwsPart(ABC):
    """One of the five: the protocol's three verbs over what each part knows of its resources."""

    name: PartName
    identity: frozenset[str]

    def __init__(self, aws: Aws, names: Names, leases: Leases) -> None:
        self._aws = aws
        self._names = names
        self._leases = leases

    def observe(self, spec: Spec) -> Seen | None:
        found = self.look(checked_account(spec.account))
        return None if found is None else Seen(self.name, found)

    def ensure(self, spec: Spec) -> Seen:
        self.make(spec, self._leases.live(checked_account(spec.account)))
        found = self.look(spec.account)
        if found is None:
            raise Refused(f"account {spec.account}: its {self.name} was made and is not there")
        return Seen(self.name, found)

    def remove(self, spec: Spec) -> None:
        self._leases.not_in_use(checked_account(spec.account))
        self.take(spec.account)

    def _role(self, account: str) -> dict[str, Any] | None:
        """The account's role when it is ours: names of roles are the whole AWS account's, and the path says whose."""
        name = self._names.of(account)
        try:
            role: dict[str, Any] = self._aws.call("iam", "get_role", RoleName=name)["Role"]
        except Gone:
            return None
        return role if role["Arn"] == self._names.role_arn(name) else None

    @abstractmethod
    def look(self, account: str) -> Mapping[str, Fact] | None:
        """Its facts, or None when it is not (wholly) there."""

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
