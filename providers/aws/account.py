"""The account itself: a role that can be nobody's after its end, because its boundary says so."""

from collections.abc import Mapping
from contextlib import suppress

from providers.aws import policies
from providers.aws.errors import Exists, Gone
from providers.aws.lease import Lease
from providers.aws.names import listed, read
from providers.aws.part import AwsPart
from providers.protocol import Fact, Leftover, PartName, Spec

MOST_VERSIONS = 5


class Account(AwsPart):
    """Facts: role, role_id, boundary."""

    name: PartName = "account"
    identity: frozenset[str] = frozenset({"role", "role_id"})

    def look(self, account: str) -> Mapping[str, Fact] | None:
        role = self._role(account)
        if role is None:
            return None
        try:
            self._aws.call("iam", "get_policy", PolicyArn=self._names.boundary_arn(account))
        except Gone:
            return None
        bounded = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
        return {"role": role["Arn"], "role_id": role["RoleId"], "boundary": bounded}

    def wanted(self, spec: Spec) -> Mapping[str, Fact]:
        return {"role": self._names.role_arn(self._names.of(spec.account)),
                "boundary": self._names.boundary_arn(spec.account)}

    def make(self, spec: Spec, lease: Lease) -> None:
        account, name = spec.account, self._names.of(spec.account)
        boundary = self._names.boundary_arn(account)
        try:
            self._aws.call("iam", "create_policy", PolicyName=self._names.boundary(account), Path=self._names.path,
                           PolicyDocument=self._boundary(lease), Tags=listed(self._names.tags(account)))
        except Exists:
            self._own(self._aws.call("iam", "list_policy_tags", PolicyArn=boundary)["Tags"], account, boundary)
        try:
            self._aws.call("iam", "create_role", RoleName=name, Path=self._names.path, PermissionsBoundary=boundary,
                           AssumeRolePolicyDocument=self._trust(lease), Tags=self._tags(lease),
                           MaxSessionDuration=3600 * self._aws.settings.session_hours)
        except Exists as there:
            if self._aws.call("iam", "get_role", RoleName=name)["Role"]["Arn"] != self._names.role_arn(name):
                raise self._not_ours(account, f"role {name}") from there
            self._own(self._aws.call("iam", "list_role_tags", RoleName=name)["Tags"], account, f"role {name}")
            self._aws.call("iam", "put_role_permissions_boundary", RoleName=name, PermissionsBoundary=boundary)
        self.end(lease)
        if lease.shut_at(self._aws.clock.now().timestamp()) is not None:
            self.shut(account, True)

    def end(self, lease: Lease) -> None:
        """Write the lease's end into boundary, trust and tags. Nothing there is fine: `make` writes it, too."""
        name = self._names.of(lease.account)
        if self._role(lease.account) is None:
            return
        try:
            self._set_boundary(lease)
            self._aws.settled("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=self._trust(lease))
            self._aws.call("iam", "tag_role", RoleName=name, Tags=self._tags(lease))
        except Gone:
            return

    def shut(self, account: str, shut: bool) -> None:
        """Put up or take down the policy that denies everything."""
        name = self._names.of(account)
        if self._role(account) is None:
            return
        try:
            if shut:
                self._aws.call("iam", "put_role_policy", RoleName=name, PolicyName=policies.FENCE,
                               PolicyDocument=policies.text(policies.fence()))
            else:
                self._aws.call("iam", "delete_role_policy", RoleName=name, PolicyName=policies.FENCE)
        except Gone:
            return

    def take(self, account: str) -> None:
        name, boundary = self._names.of(account), self._names.boundary_arn(account)
        if self._role(account) is not None:
            self._take_role(name)
        try:
            for version in self._versions(boundary):
                if not version["IsDefaultVersion"]:
                    self._aws.call("iam", "delete_policy_version", PolicyArn=boundary, VersionId=version["VersionId"])
            self._aws.settled("iam", "delete_policy", PolicyArn=boundary)
        except Gone:
            return

    def _take_role(self, name: str) -> None:
        try:
            for policy in self._aws.all("iam", "list_role_policies", "PolicyNames", RoleName=name):
                self._aws.call("iam", "delete_role_policy", RoleName=name, PolicyName=policy)
            for one in self._aws.all("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name):
                self._aws.call("iam", "detach_role_policy", RoleName=name, PolicyArn=one["PolicyArn"])
            self._aws.settled("iam", "delete_role", RoleName=name)
        except Gone:
            return

    def left(self, account: str) -> list[Leftover]:
        names = {self._names.of(account), self._names.boundary(account)}
        roles = self._aws.all("iam", "list_roles", "Roles", PathPrefix=self._names.path)
        bounds = self._aws.all("iam", "list_policies", "Policies", Scope="Local", PathPrefix=self._names.path)
        return [*(Leftover("role", role["RoleName"]) for role in roles if role["RoleName"] in names),
                *(Leftover("policy", one["PolicyName"]) for one in bounds if one["PolicyName"] in names)]

    def everyone(self) -> set[str]:
        roles = self._aws.all("iam", "list_roles", "Roles", PathPrefix=self._names.path)
        bounds = self._aws.all("iam", "list_policies", "Policies", Scope="Local", PathPrefix=self._names.path)
        return {role["RoleName"] for role in roles} | {one["PolicyName"] for one in bounds}

    def _set_boundary(self, lease: Lease) -> None:
        """At most five versions are kept by AWS: the oldest goes first. The same end again writes nothing."""
        arn, wanted = self._names.boundary_arn(lease.account), self._boundary(lease)
        versions = self._versions(arn)
        now = next(one["VersionId"] for one in versions if one["IsDefaultVersion"])
        there = self._aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=now)["PolicyVersion"]["Document"]
        if policies.text(there) == wanted:
            return
        old = sorted((one for one in versions if not one["IsDefaultVersion"]), key=lambda one: str(one["CreateDate"]))
        for one in old[:max(0, len(versions) - MOST_VERSIONS + 1)]:
            with suppress(Gone):
                self._aws.call("iam", "delete_policy_version", PolicyArn=arn, VersionId=one["VersionId"])
        self._aws.settled("iam", "create_policy_version", PolicyArn=arn, PolicyDocument=wanted, SetAsDefault=True)

    def _versions(self, arn: str) -> list[dict[str, object]]:
        return self._aws.all("iam", "list_policy_versions", "Versions", PolicyArn=arn)

    def _boundary(self, lease: Lease) -> str:
        return policies.text(policies.boundary(self._names, lease.account, lease.end))

    def _trust(self, lease: Lease) -> str:
        aws = self._aws
        return policies.text(policies.trust(aws.caller, aws.partition, aws.number, lease.end))

    def _tags(self, lease: Lease) -> list[dict[str, str]]:
        return listed(self._names.tags(lease.account) | {"tenure-generation": str(lease.generation),
                                                         "tenure-end": policies.instant(lease.end)})

    def _own(self, tags: object, account: str, what: str) -> None:
        """What merely has our name is not adopted."""
        found = read(tags)
        if any(found.get(key) != value for key, value in self._names.tags(account).items()):
            raise self._not_ours(account, what)
