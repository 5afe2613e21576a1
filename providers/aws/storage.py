"""Storage: an EBS volume of the offer's size. It grows in place and never shrinks."""

from collections.abc import Mapping
from typing import Any

from providers.aws.errors import Gone
from providers.aws.lease import Lease
from providers.aws.names import ACCOUNT_TAG, SITE_TAG, listed, read
from providers.aws.part import AwsPart
from providers.protocol import Fact, Leftover, PartName, Refused, Spec

GIB = 1 << 30
LARGEST = 16_384
GONE = ("deleted", "deleting")


def gib(size: int) -> int:
    """EBS counts whole GiB: the smallest that holds so many bytes."""
    return max(1, -(-size // GIB))


class Storage(AwsPart):
    """Facts: volume, storage (bytes)."""

    name: PartName = "storage"
    identity: frozenset[str] = frozenset({"volume"})

    def look(self, account: str) -> Mapping[str, Fact] | None:
        volumes = self.volumes(account)
        return {"volume": volumes[0]["VolumeId"], "storage": volumes[0]["Size"] * GIB} if volumes else None

    def wanted(self, spec: Spec) -> Mapping[str, Fact]:
        return {"storage": gib(spec.storage) * GIB}

    def make(self, spec: Spec, lease: Lease) -> None:
        wanted, volumes = gib(spec.storage), self.volumes(spec.account)
        if wanted > LARGEST:
            raise Refused(f"account {spec.account}: {wanted} GiB are more than one EBS volume has ({LARGEST})")
        if not volumes:
            name = self._names.of(spec.account)
            made = self._aws.call(
                "ec2", "create_volume", AvailabilityZone=self._aws.zone, Size=wanted, VolumeType="gp3", Encrypted=True,
                ClientToken=f"{name}-{lease.generation}",
                TagSpecifications=[{"ResourceType": "volume",
                                    "Tags": listed(self._names.tags(spec.account) | {"Name": name})}])
            self._aws.until(f"account {spec.account}: its volume is there", lambda: self._ready(made["VolumeId"]))
            return
        there = volumes[0]
        if wanted < there["Size"]:
            raise Refused(f"account {spec.account}: its volume has {there['Size']} GiB; EBS cannot make it {wanted}")
        if wanted > there["Size"]:
            self._aws.settled("ec2", "modify_volume", VolumeId=there["VolumeId"], Size=wanted)

    def take(self, account: str) -> None:
        for volume in self.volumes(account):
            self._delete("delete_volume", VolumeId=volume["VolumeId"])
        for snapshot in self._snapshots(account):
            self._delete("delete_snapshot", SnapshotId=snapshot["SnapshotId"])

    def left(self, account: str) -> list[Leftover]:
        return [*(Leftover("volume", one["VolumeId"]) for one in self.volumes(account)),
                *(Leftover("snapshot", one["SnapshotId"]) for one in self._snapshots(account))]

    def everyone(self) -> set[str]:
        return {read(one.get("Tags")).get(ACCOUNT_TAG, "") for one in self.ours()}

    def ours(self) -> list[dict[str, Any]]:
        """All volumes of this site's accounts."""
        found = self._aws.all("ec2", "describe_volumes", "Volumes",
                              Filters=[{"Name": f"tag:{SITE_TAG}", "Values": [self._names.site]},
                                       {"Name": "tag-key", "Values": [ACCOUNT_TAG]}])
        return [one for one in found if one["State"] not in GONE]

    def volumes(self, account: str) -> list[dict[str, Any]]:
        """Oldest first: whatever was made twice, the first one counts."""
        found = self._aws.all("ec2", "describe_volumes", "Volumes", Filters=self._filters(account))
        return sorted((one for one in found if one["State"] not in GONE),
                      key=lambda one: (one["CreateTime"], one["VolumeId"]))

    def _snapshots(self, account: str) -> list[dict[str, Any]]:
        return self._aws.all("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"],
                             Filters=self._filters(account))

    def _filters(self, account: str) -> list[dict[str, Any]]:
        return [{"Name": f"tag:{key}", "Values": [value]} for key, value in self._names.tags(account).items()]

    def _ready(self, volume: str) -> bool | None:
        try:
            found = self._aws.call("ec2", "describe_volumes", VolumeIds=[volume])["Volumes"]
        except Gone:
            return None
        return True if found and found[0]["State"] in ("available", "in-use") else None

    def _delete(self, operation: str, **which: str) -> None:
        try:
            self._aws.settled("ec2", operation, **which)
        except Gone:
            return
