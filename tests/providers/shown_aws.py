"""The AWS site at its emulator, shown: by its API past our own code, and by what happens between two calls."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.aws import policies
from providers.aws.names import ACCOUNT_TAG
from providers.aws.site import AwsSite
from providers.protocol import PartName, Spec, only
from tests.lab.moto import Moto
from tests.providers import every
from tests.providers.aws_between import Between, Died, always, dies, refuses
from tests.providers.aws_evaluator import Request, allowed
from tests.providers.keys import make_key
from tests.providers.shown import GetsIn, Shown
from tests.providers.specs import spec

AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
IMAGE = "public.ecr.aws/docker/library/busybox:1"
REGION = "eu-central-1"
"""Where a site is when nothing else is said, as `Moto` has it."""


@dataclass(frozen=True)
class ShownAws(Shown):
    """The emulator knows no time: ends are read where AWS would look for them, and policies are evaluated here."""

    site: AwsSite
    server: Moto = field(kw_only=True)
    between: Between = field(kw_only=True)

    def ends(self, account: Spec) -> dict[str, datetime]:
        scheduler, name = self.server.client("scheduler"), f"tn-{account.account}"
        found = {one["Name"]: scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])["ScheduleExpression"]
                 for one in scheduler.list_schedules(NamePrefix=f"{name}-")["Schedules"]}
        holder = role(self.server, account)
        texts = found | {"boundary": json.dumps(boundary(self.server, account)),
                         "trust": json.dumps(holder["AssumeRolePolicyDocument"]), "tags": json.dumps(holder["Tags"])}
        ends = {f"{where} {at}": datetime.fromisoformat(f"{at}Z") for where, text in texts.items()
                for at in AT.findall(text)}
        assert {where.split()[0] for where in ends} == texts.keys()
        row = self.row(account)
        assert row is not None
        return ends | {"row": datetime.fromtimestamp(float(row["end"]["N"]), UTC)}

    def holder(self, account: Spec) -> GetsIn:
        """Submits a job to the account's queue, in a session of its role."""
        self.site.issue(account, make_key().public, self.site.now() + timedelta(hours=1))
        iam, name = self.server.client("iam"), f"tn-{account.account}"

        def gets_in() -> bool:
            names = iam.list_role_policies(RoleName=name)["PolicyNames"]
            own = [iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in names]
            (queue,) = self.server.client("batch").describe_job_queues(jobQueues=[name])["jobQueues"]
            now, whose = self.site.now().isoformat(), {f"aws:PrincipalTag/{ACCOUNT_TAG}": account.account}
            submit = Request("batch:SubmitJob", queue["jobQueueArn"], {"aws:CurrentTime": now, **whose})
            return queue["state"] == "ENABLED" and allowed(submit, own, boundary(self.server, account))

        return gets_in

    def there(self, account: Spec) -> set[str]:
        """Service by service: all of the region, and then what has the account in its name or tags."""
        batch, ec2, iam = (self.server.client(service) for service in ("batch", "ec2", "iam"))
        every = {
            "role": [one["RoleName"] for one in iam.list_roles()["Roles"]],
            "policy": [one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]],
            "volume": _tagged(ec2.describe_volumes()["Volumes"], "VolumeId"),
            "snapshot": _tagged(ec2.describe_snapshots(Filters=[
                {"Name": "tag-key", "Values": [ACCOUNT_TAG]}])["Snapshots"], "SnapshotId"),
            "subnet": _tagged(ec2.describe_subnets()["Subnets"], "SubnetId"),
            "security group": _tagged(ec2.describe_security_groups()["SecurityGroups"], "GroupId"),
            "network interface": _tagged(ec2.describe_network_interfaces()["NetworkInterfaces"], "NetworkInterfaceId"),
            "job queue": [one["jobQueueName"] for one in batch.describe_job_queues()["jobQueues"]],
            "compute environment": [one["computeEnvironmentName"] for one in
                                    batch.describe_compute_environments()["computeEnvironments"]],
            "job definition": [one["jobDefinitionArn"] for one in
                               batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]],
            "log group": [one["logGroupName"] for one in
                          self.server.client("logs").describe_log_groups()["logGroups"]],
            "schedule": [one["Name"] for one in self.server.client("scheduler").list_schedules()["Schedules"]],
        }
        every["role policy"] = [f"{role}/{name}" for role in every["role"] if account.account in role
                                for name in iam.list_role_policies(RoleName=role)["PolicyNames"]]
        row = self.row(account)
        every["lease"] = [f"lease of {account.account}"] if row is not None and not row["gone"]["BOOL"] else []
        return {f"{kind} {name.split('@')[0]}" for kind, names in every.items() for name in names
                if account.account in name}

    @contextmanager
    def unlisted(self) -> Iterator[None]:
        """AWS does not list volumes."""
        with self.between.calls(always("DescribeVolumes", refuses("DescribeVolumes", "InternalError"))):
            yield

    def dies(self, account: Spec, part: PartName, fatal: int) -> bool:
        with self.between.calls(dies(fatal)):
            try:
                self.site.parts[part].ensure(account)
            except Died:
                return True
        return False

    def row(self, account: Spec) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.server.client("dynamodb").get_item(
            TableName=f"tenure-{self.site.name}", Key={"account": {"S": account.account}}).get("Item")
        return found


@contextmanager
def account_at(site: AwsSite) -> Iterator[Spec]:
    """What Fargate can hold; gone from the site afterwards, whatever was made of it."""
    made = replace(spec(), images=(IMAGE,))
    yield made
    every.fence(site, made, every.GONE)
    only(site.clean([(made.account, every.GONE)]))
    assert site.leftovers(made.account) == []


def role(server: Moto, account: Spec, region: str = REGION) -> dict[str, Any]:
    found: dict[str, Any] = server.client("iam", region).get_role(RoleName=f"tn-{account.account}")["Role"]
    return found


def boundary(server: Moto, account: Spec, region: str = REGION) -> dict[str, Any]:
    """The version in force."""
    iam, arn = server.client("iam", region), role(server, account, region)["PermissionsBoundary"]
    policy = iam.get_policy(PolicyArn=arn["PermissionsBoundaryArn"])["Policy"]
    found: dict[str, Any] = iam.get_policy_version(
        PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]["Document"]
    return found


def states(server: Moto, account: Spec, region: str = REGION) -> tuple[str, str, bool]:
    """Queue, environment, and whether everything is denied."""
    batch, iam, name = server.client("batch", region), server.client("iam", region), f"tn-{account.account}"
    queue = batch.describe_job_queues(jobQueues=[name])["jobQueues"][0]["state"]
    environment = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]["state"]
    return queue, environment, policies.FENCE in iam.list_role_policies(RoleName=name)["PolicyNames"]


def _tagged(things: list[dict[str, Any]], key: str) -> list[str]:
    """Ids, each with the account in its tags behind an @."""
    return [f"{one[key]}@{tag['Value']}" for one in things for tag in one.get("Tags", []) if tag["Key"] == ACCOUNT_TAG]
