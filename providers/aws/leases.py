"""Leases at the site: one row of a DynamoDB table for each account that ever was. Written only when nobody has written
since it was read, so that two workers cannot both be right."""

from collections.abc import Callable
from typing import Any, TypeVar

from providers.aws.edge import Aws
from providers.aws.errors import Gone, Raced
from providers.aws.lease import Lease
from providers.aws.names import Names
from providers.protocol import NeedsHuman, Refused, TryLater, checked_account

T = TypeVar("T")
TRIES = 20


class Leases:
    """The table."""

    def __init__(self, aws: Aws, names: Names) -> None:
        self._aws = aws
        self._names = names

    def get(self, account: str) -> Lease | None:
        """The lease as it is now, or None."""
        return self._read(account)[0]

    def live(self, account: str) -> Lease:
        """The lease of an account whose end is known here; Refused otherwise: what nothing ends must not be made."""
        known = self.get(account)
        if known is None or known.gone:
            raise Refused(f"account {account}: has no end at this site yet, arm it first")
        return known

    def not_in_use(self, account: str) -> None:
        """Refused while the holder can get in."""
        known = self.get(account)
        if known is not None and known.usable(self._aws.clock.now().timestamp()):
            raise Refused(f"account {account}: is in use: fence it first")

    def change(self, account: str, act: Callable[[Lease | None, float], tuple[Lease, T]]) -> T:
        """One decision on the row as it is, by AWS's clock. What `act` raises is raised, and nothing is written."""
        checked_account(account)
        for _ in range(TRIES):
            known, version = self._read(account)
            lease, answer = act(known, self._aws.clock.now().timestamp())
            if lease == known:
                return answer
            try:
                self._write(lease, version)
            except Raced:
                continue
            return answer
        raise TryLater(f"account {account}: others change its lease all the time")

    def all(self) -> list[Lease]:
        """Of all accounts that are not gone."""
        rows = self._aws.all("dynamodb", "scan", "Items", TableName=self._names.table, ConsistentRead=True)
        return [lease for lease in map(_lease, rows) if not lease.gone]

    def _read(self, account: str) -> tuple[Lease | None, int]:
        try:
            found = self._aws.call("dynamodb", "get_item", TableName=self._names.table, ConsistentRead=True,
                                   Key={"account": {"S": checked_account(account)}}).get("Item")
        except Gone as gone:
            raise unprepared(self._names) from gone
        return (None, 0) if found is None else (_lease(found), int(found["version"]["N"]))

    def _write(self, lease: Lease, version: int) -> None:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(account)"}
        if version:
            condition = {"ConditionExpression": "#v = :read", "ExpressionAttributeNames": {"#v": "version"},
                         "ExpressionAttributeValues": {":read": {"N": str(version)}}}
        self._aws.call("dynamodb", "put_item", TableName=self._names.table, Item=_item(lease, version + 1), **condition)


def unprepared(names: Names) -> NeedsHuman:
    """Nothing of Tenure's is in this region yet."""
    return NeedsHuman(f"site {names.site}: is not prepared in {names.region}",
                      remedy=f"tenure site prepare {names.site}")


def _item(lease: Lease, version: int) -> dict[str, Any]:
    item: dict[str, Any] = {
        "account": {"S": lease.account}, "end": {"N": repr(lease.end)}, "generation": {"N": str(lease.generation)},
        "open": {"BOOL": lease.open}, "gone": {"BOOL": lease.gone}, "by": {"S": lease.fenced_by},
        "notice": {"S": lease.notice}, "version": {"N": str(version)},
    }
    for name in ("starts_at", "duration", "fenced_at"):
        value = getattr(lease, name)
        if value is not None:
            item[name] = {"N": repr(value)}
    return item


def _lease(item: dict[str, Any]) -> Lease:
    def number(name: str) -> float | None:
        return float(item[name]["N"]) if name in item else None

    end = number("end")
    assert end is not None
    return Lease(
        account=item["account"]["S"], end=end, generation=int(item["generation"]["N"]), open=item["open"]["BOOL"],
        starts_at=number("starts_at"), duration=number("duration"), fenced_at=number("fenced_at"),
        fenced_by="operator" if item["by"]["S"] == "operator" else "end", gone=item["gone"]["BOOL"],
        notice=item["notice"]["S"],
    )
