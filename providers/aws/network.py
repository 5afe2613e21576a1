"""Network: a subnet of sixteen addresses for this account alone, and a security group that says where it may connect.

AWS has no limit on bytes or bandwidth for these; an offer without egress gets no way out at all.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from providers.aws.errors import Exists, Gone
from providers.aws.lease import Lease
from providers.aws.leases import unprepared
from providers.aws.names import ACCOUNT_TAG, SITE_TAG, listed, read
from providers.aws.part import AwsPart
from providers.protocol import Fact, Leftover, NeedsHuman, PartName, Spec

PREFIX = 28
"""The smallest subnet that AWS has: sixteen addresses, five of them AWS's own."""


class Network(AwsPart):
    """Facts: subnet, addresses (its CIDR), group, egress_to (CIDRs)."""

    name: PartName = "network"
    identity: frozenset[str] = frozenset({"subnet", "addresses", "group"})

    def look(self, account: str) -> Mapping[str, Fact] | None:
        subnets, groups = self._subnets(account), self._groups(account)
        if not subnets or not groups:
            return None
        return {"subnet": subnets[0]["SubnetId"], "addresses": subnets[0]["CidrBlock"],
                "group": groups[0]["GroupId"], "egress_to": sorted(_cidrs(groups[0]["IpPermissionsEgress"]))}

    def wanted(self, spec: Spec) -> Mapping[str, Fact]:
        return {"egress_to": sorted(self._aws.settings.egress_cidrs if spec.egress else ())}

    def make(self, spec: Spec, lease: Lease) -> None:
        vpc = self.vpc()
        if not self._subnets(spec.account):
            self._make_subnet(spec.account, vpc)
        if not self._groups(spec.account):
            self._make_group(spec.account, vpc["VpcId"])
        group = self._aws.until(f"account {spec.account}: AWS shows its security group",
                                lambda: next(iter(self._groups(spec.account)), None))
        self._allow(group, set(self._aws.settings.egress_cidrs if spec.egress else ()))

    def take(self, account: str) -> None:
        for group in self._groups(account):
            self._delete("delete_security_group", GroupId=group["GroupId"])
        for subnet in self._subnets(account):
            self._delete("delete_subnet", SubnetId=subnet["SubnetId"])

    def left(self, account: str) -> list[Leftover]:
        subnets = self._subnets(account)
        left = [Leftover("subnet", one["SubnetId"]) for one in subnets]
        left += [Leftover("security group", one["GroupId"]) for one in self._groups(account)]
        if subnets:
            within = [{"Name": "subnet-id", "Values": [one["SubnetId"] for one in subnets]}]
            left += [Leftover("network interface", one["NetworkInterfaceId"]) for one in self._aws.all(
                "ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=within)]
        return left

    def everyone(self) -> set[str]:
        filters = [{"Name": f"tag:{SITE_TAG}", "Values": [self._names.site]},
                   {"Name": "tag-key", "Values": [ACCOUNT_TAG]}]
        found = [*self._aws.all("ec2", "describe_subnets", "Subnets", Filters=filters),
                 *self._aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)]
        return {read(one.get("Tags")).get(ACCOUNT_TAG, "") for one in found}

    def fit(self) -> tuple[bool, str]:
        (_, there), free = super().fit(), len(self.free(self.vpc()))
        return free > 0, f"{there}, {free} slices free"

    def vpc(self) -> dict[str, Any]:
        """The site's VPC; NeedsHuman when `prepare` has not made it."""
        found = self._aws.all("ec2", "describe_vpcs", "Vpcs", Filters=[
            {"Name": f"tag:{SITE_TAG}", "Values": [self._names.site]}])
        if not found:
            raise unprepared(self._names)
        made: dict[str, Any] = found[0]
        return made

    def free(self, vpc: dict[str, Any]) -> list[str]:
        """Slices of the VPC that nobody has, in order."""
        taken = [ipaddress.IPv4Network(one["CidrBlock"]) for one in self._aws.all(
            "ec2", "describe_subnets", "Subnets", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])]
        return [str(one) for one in ipaddress.IPv4Network(vpc["CidrBlock"]).subnets(new_prefix=PREFIX)
                if not any(one.overlaps(other) for other in taken)]

    def _make_subnet(self, account: str, vpc: dict[str, Any]) -> None:
        """Another worker may take the same slice at the same instant: AWS lets one have it, the other goes on."""
        for slice_ in self.free(vpc):
            try:
                self._aws.call("ec2", "create_subnet", VpcId=vpc["VpcId"], CidrBlock=slice_,
                               AvailabilityZone=self._aws.zone, TagSpecifications=self._tagged("subnet", account))
            except Exists:
                continue
            return
        raise NeedsHuman(f"site {self._names.site}: no /{PREFIX} of {vpc['CidrBlock']} is free",
                         remedy="give the site a larger vpc_cidr, or let offers go to another site")

    def _make_group(self, account: str, vpc: str) -> None:
        name = self._names.of(account)
        try:
            self._aws.call("ec2", "create_security_group", GroupName=name, VpcId=vpc,
                           Description=f"Tenure account {account}",
                           TagSpecifications=self._tagged("security-group", account))
        except Exists as there:
            named = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc]}]
            found = self._aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=named)
            if any(not self._names.tags(account).items() <= read(one.get("Tags")).items() for one in found):
                raise self._not_ours(account, f"a security group {name}") from there
            raise

    def _allow(self, group: dict[str, Any], wanted: set[str]) -> None:
        """Exactly these ways out; AWS itself puts one to everywhere into a new group."""
        there = group["IpPermissionsEgress"]
        superfluous = [one for one in there if not _plain(one) or _cidrs([one]) - wanted]
        if superfluous:
            self._try("revoke_security_group_egress", group, superfluous)
        kept = _cidrs([one for one in there if one not in superfluous])
        if wanted - kept:
            self._try("authorize_security_group_egress", group, [
                {"IpProtocol": "-1", "IpRanges": [{"CidrIp": one} for one in sorted(wanted - kept)]}])

    def _try(self, operation: str, group: dict[str, Any], rules: list[dict[str, Any]]) -> None:
        try:
            self._aws.call("ec2", operation, GroupId=group["GroupId"], IpPermissions=rules)
        except (Gone, Exists):
            return

    def _tagged(self, kind: str, account: str) -> list[dict[str, Any]]:
        tags = self._names.tags(account) | {"Name": self._names.of(account)}
        return [{"ResourceType": kind, "Tags": listed(tags)}]

    def _subnets(self, account: str) -> list[dict[str, Any]]:
        found = self._aws.all("ec2", "describe_subnets", "Subnets", Filters=self._filters(account))
        return sorted(found, key=lambda one: str(one["SubnetId"]))

    def _groups(self, account: str) -> list[dict[str, Any]]:
        found = self._aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=self._filters(account))
        return sorted(found, key=lambda one: str(one["GroupId"]))

    def _filters(self, account: str) -> list[dict[str, Any]]:
        return [{"Name": f"tag:{key}", "Values": [value]} for key, value in self._names.tags(account).items()]

    def _delete(self, operation: str, **which: str) -> None:
        try:
            self._aws.settled("ec2", operation, **which)
        except Gone:
            return


def _plain(rule: dict[str, Any]) -> bool:
    """Only IPv4 networks, all protocols: as we write them."""
    others = ("Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    return rule.get("IpProtocol") == "-1" and not any(rule.get(name) for name in others)


def _cidrs(rules: list[dict[str, Any]]) -> set[str]:
    return {one["CidrIp"] for rule in rules for one in rule.get("IpRanges", [])}
