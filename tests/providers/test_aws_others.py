"""What is not this site's own: others' things of the same name, another site's accounts. At the emulator."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from providers.aws.site import AwsSite, connect
from providers.protocol import PARTS, NeedsHuman, PartName, Spec, only
from tests.lab.moto import KEYS, Moto, moto
from tests.providers.every import HOUR, complete
from tests.providers.shown_aws import account_at


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    with moto() as one:
        yield one


@pytest.fixture(scope="module")
def site(server: Moto) -> Iterator[AwsSite]:
    with closing(connect("north", server.settings(), KEYS)) as one:
        one.prepare(dry_run=False)
        yield one


@pytest.fixture
def account(site: AwsSite) -> Iterator[Spec]:
    with account_at(site) as made:
        yield made


def test_a_role_of_the_same_name_is_not_touched(server: Moto, site: AwsSite, account: Spec) -> None:
    """A role that merely has our name stops the account, and stays as it was."""
    iam, name = server.client("iam"), f"tn-{account.account}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}", Description="somebody's")
    site.arm(account, site.now() + HOUR, 1)
    try:
        with pytest.raises(NeedsHuman, match="not ours"):
            site.parts["account"].ensure(account)
        assert iam.get_role(RoleName=name)["Role"]["Description"] == "somebody's"
    finally:
        iam.delete_role(RoleName=name)


def foreign_environment(server: Moto, site: AwsSite, name: str) -> None:
    """Somebody's compute environment, without Tenure's tags."""
    batch, ec2 = server.client("batch"), server.client("ec2")
    role = server.client("iam").list_roles(PathPrefix="/aws-service-role/batch")["Roles"][0]["Arn"]
    batch.create_compute_environment(computeEnvironmentName=name, type="MANAGED", serviceRole=role, state="ENABLED",
                                     computeResources={
        "type": "FARGATE", "maxvCpus": 7, "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]]})


def foreign_queue(server: Moto, site: AwsSite, name: str) -> None:
    """On an environment of theirs."""
    foreign_environment(server, site, "theirs")
    server.client("batch").create_job_queue(jobQueueName=name, state="ENABLED", priority=7, computeEnvironmentOrder=[
        {"order": 1, "computeEnvironment": "theirs"}])


def foreign_group(server: Moto, site: AwsSite, name: str) -> None:
    """In the site's own VPC."""
    ec2 = server.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "tag:tenure-site", "Values": [site.name]}])["Vpcs"]
    ec2.create_security_group(GroupName=name, VpcId=vpc["VpcId"], Description="theirs")


def theirs(server: Moto) -> list[object]:
    """Every environment, queue and security group that has not our tags."""
    batch, ec2 = server.client("batch"), server.client("ec2")
    found = [*batch.describe_compute_environments()["computeEnvironments"], *batch.describe_job_queues()["jobQueues"],
             *ec2.describe_security_groups()["SecurityGroups"]]
    return [one for one in found if "tenure-account" not in str(one.get("tags", one.get("Tags")))]


@pytest.mark.parametrize(("part", "make"), [
    ("containers", foreign_environment), ("containers", foreign_queue), ("network", foreign_group)])
def test_what_merely_has_our_name_stops_the_account_and_stays(
        server: Moto, site: AwsSite, account: Spec, part: PartName,
        make: Callable[[Moto, AwsSite, str], None]) -> None:
    """Neither taken over, nor listed as ours, nor cleaned away."""
    site.arm(account, site.now() + HOUR, 1)
    for earlier in PARTS[:PARTS.index(part)]:
        site.parts[earlier].ensure(account)
    make(server, site, f"tn-{account.account}")
    before = theirs(server)
    try:
        with pytest.raises(NeedsHuman, match="not ours"):
            site.parts[part].ensure(account)
        assert site.parts[part].observe(account) is None
        site.fence([(account.account, 3)], "operator")
        only(site.clean([(account.account, 4)]))
        assert site.leftovers(account.account) == []
        assert theirs(server) == before
    finally:
        away(server, f"tn-{account.account}")


def away(server: Moto, name: str) -> None:
    """What the foreign ones leave."""
    batch, ec2 = server.client("batch"), server.client("ec2")
    batch.delete_job_queue(jobQueue=name)
    for environment in (name, "theirs"):
        batch.delete_compute_environment(computeEnvironment=environment)
    for group in ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]:
        ec2.delete_security_group(GroupId=group["GroupId"])


def test_another_site_s_account_is_not_seen(server: Moto, site: AwsSite, account: Spec) -> None:
    """Two sites in one region of one AWS account share nothing."""
    with closing(connect("south", server.settings(vpc_cidr="10.80.0.0/16"), KEYS)) as south:
        south.prepare(dry_run=False)
        complete(site, account)
        assert south.accounts() == []
        assert south.leftovers(account.account) == []
        south.unprepare(dry_run=False)
