"""What comes between two calls to AWS: a fence, another end, a clean, Batch that is busy, an answer that is late or
lost. Against the emulator; what it never says by itself is said in AWS's words."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from providers.aws import policies
from providers.aws.containers import MOST
from providers.aws.site import AwsSite
from providers.protocol import PARTS, NeedsHuman, PartName, Refused, Spec, TryLater, only
from tests.lab.moto import Moto, moto
from tests.providers.aws_between import Between, always, each_of, nothing, once, refuses, times
from tests.providers.every import HOUR, complete, fence
from tests.providers.shown_aws import account_at, boundary, role, states
from tests.providers.specs import new_id, spec

NAME = "between"
BUSY = "Cannot update, resource is being modified"


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    with moto() as one:
        yield one


@pytest.fixture(scope="module")
def other(server: Moto) -> Iterator[AwsSite]:
    """Another worker at the same site, to whom nothing happens."""
    with closing(Between().site(server, NAME)) as one:
        one.prepare(dry_run=False)
        yield one


@pytest.fixture
def between() -> Between:
    return Between()


@pytest.fixture
def site(server: Moto, other: AwsSite, between: Between) -> Iterator[AwsSite]:
    with closing(between.site(server, NAME)) as one:
        yield one


@pytest.fixture
def account(other: AwsSite) -> Iterator[Spec]:
    with account_at(other) as made:
        yield made


def ends(server: Moto, account: Spec) -> set[str]:
    """Every end that the account's boundary and trust have."""
    documents = (boundary(server, account)["Statement"]
                 + role(server, account)["AssumeRolePolicyDocument"]["Statement"])
    return {at["aws:CurrentTime"] for one in documents for kind, at in one.get("Condition", {}).items()
            if kind.startswith("Date")}


def test_a_fence_while_a_part_is_made_stays(server: Moto, site: AwsSite, other: AwsSite, between: Between,
                                            account: Spec) -> None:
    """A queue is made again for an account that was open when we looked; by now it is fenced."""
    complete(other, account)
    other.open(account, HOUR, 2)
    server.client("batch").delete_job_queue(jobQueue=f"tn-{account.account}")
    between.before = once("CreateJobQueue", lambda: fence(other, account, 5))
    site.parts["containers"].ensure(account)
    assert states(server, account) == ("DISABLED", "DISABLED", True)


def test_an_end_that_moves_while_the_role_is_made_is_the_one(server: Moto, site: AwsSite, other: AwsSite,
                                                             between: Between, account: Spec) -> None:
    """Not the end as it was when we looked: a rental would end with its trial."""
    end = site.now() + 720 * HOUR
    site.arm(account, site.now() + HOUR, 1)

    def converted() -> None:
        other.arm(account, end, 2)

    between.before = once("ListPolicyVersions", converted)
    site.parts["account"].ensure(account)
    assert ends(server, account) == {policies.instant(end.timestamp())}


@pytest.mark.parametrize(("part", "call"), [("account", "CreateRole"), ("storage", "CreateVolume")])
def test_what_is_made_while_it_is_cleaned_away_goes_too(site: AwsSite, other: AwsSite, between: Between, account: Spec,
                                                        part: PartName, call: str) -> None:
    """Nobody would look for it any more."""
    site.arm(account, site.now() + HOUR, 1)

    def cleaned() -> None:
        fence(other, account, 2)
        only(other.clean([(account.account, 3)]))

    between.before = once(call, cleaned)
    with pytest.raises(Refused, match="cleaned away"):
        site.parts[part].ensure(account)
    assert other.leftovers(account.account) == []


def test_a_fence_ends_jobs_while_batch_is_busy_with_their_queue(server: Moto, site: AwsSite, other: AwsSite,
                                                                between: Between, account: Spec) -> None:
    """Soon after an opening. All the rest is done, it is tried later, and then it is whole."""
    complete(other, account)
    other.open(account, HOUR, 2)

    def running(operation: str, said: dict[str, Any]) -> dict[str, Any] | None:
        if operation == "ListJobs":
            return {"jobSummaryList": [{"jobId": "a-job"}] if b'"RUNNING"' in said["body"] else []}
        return {} if operation == "TerminateJob" else None

    between.before = each_of(running, always("UpdateJobQueue", refuses("UpdateJobQueue", "ClientException", BUSY)))
    (row,) = site.fence([(account.account, 3)], "operator")
    assert isinstance(row.error, TryLater)
    assert "TerminateJob" in between.made
    assert states(server, account) == ("ENABLED", "DISABLED", True)
    assert between.made.count("UpdateAssumeRolePolicy") == 1
    between.before = running
    fence(site, account, 3)
    assert states(server, account) == ("DISABLED", "DISABLED", True)


def test_a_reclaim_waits_for_batch(site: AwsSite, other: AwsSite, between: Between, account: Spec) -> None:
    """Batch is busy with the queue, and then still ties the environment to it: none of it is for a human."""
    complete(other, account)
    busy = {"jobQueues": [{"jobQueueName": "tn", "status": "UPDATING", "state": "DISABLED",
                           "tags": site._containers._names.tags(account.account)}]}
    between.before = each_of(
        times(2, "DeleteJobQueue", refuses("DeleteJobQueue", "ClientException",
                                           "Cannot delete, resource is being modified")),
        times(2, "DeleteComputeEnvironment", refuses("DeleteComputeEnvironment", "ClientException",
                                                     "Cannot delete, found existing JobQueue relationship")),
        times(6, "DescribeJobQueues", lambda: busy))
    site.parts["containers"].remove(account)
    assert between.made.index("DeleteJobQueue") > [at for at, name in enumerate(between.made)
                                                   if name == "DescribeJobQueues"][5]
    assert (between.made.count("DeleteJobQueue"), between.made.count("DeleteComputeEnvironment")) == (3, 3)
    assert site.parts["containers"].observe(account) is None


def test_a_queue_that_stays_busy_is_tried_later(server: Moto, other: AwsSite, account: Spec) -> None:
    """With Batch's own words, and nobody is called."""
    complete(other, account)
    between = Between()
    between.before = always("DeleteJobQueue", refuses("DeleteJobQueue", "ClientException", BUSY))
    with closing(between.site(server, NAME, patience=0.3)) as site, pytest.raises(TryLater, match="being modified"):
        site.parts["containers"].remove(account)


def test_two_writers_of_one_entry_are_waited_for(site: AwsSite, between: Between, account: Spec) -> None:
    """Scheduler refuses a write while another one is under way."""
    complete(site, account)
    between.before = times(2, "UpdateSchedule", refuses("UpdateSchedule", "ConflictException"))
    site.arm(account, site.now() + 2 * HOUR, 2)
    fence(site, account, 5)
    between.before = times(2, "DeleteSchedule", refuses("DeleteSchedule", "ConflictException"))
    only(site.clean([(account.account, 6)]))
    assert site.leftovers(account.account) == []


@pytest.mark.parametrize(("part", "operation", "late"), [
    ("account", "GetPolicy", refuses("GetPolicy", "NoSuchEntity")),
    ("storage", "DescribeVolumes", lambda: {"Volumes": []}),
    ("network", "DescribeSecurityGroups", lambda: {"SecurityGroups": []}),
    ("containers", "DescribeLogGroups", lambda: {"logGroups": []}),
    ("access", "GetRolePolicy", refuses("GetRolePolicy", "NoSuchEntity")),
])
def test_what_aws_shows_late_is_waited_for(site: AwsSite, other: AwsSite, between: Between, account: Spec,
                                           part: PartName, operation: str, late: Any) -> None:
    """Made a moment ago and not in the listing yet: no fault, and nothing is made twice."""
    other.arm(account, site.now() + HOUR, 1)
    for earlier in PARTS[:PARTS.index(part)]:
        other.parts[earlier].ensure(account)
    between.before = times(3, operation, late)
    assert site.parts[part].ensure(account) == other.parts[part].observe(account)
    assert between.made.count(operation) > 3


@pytest.mark.parametrize(("part", "operation", "code"), [
    ("account", "CreateRole", "EntityAlreadyExists"), ("network", "CreateSecurityGroup", "InvalidGroup.Duplicate"),
    ("containers", "CreateComputeEnvironment", "ClientException"), ("containers", "CreateJobQueue", "ClientException")])
def test_a_name_that_is_taken_by_nobody_whom_aws_shows_is_tried_later(
        site: AwsSite, other: AwsSite, between: Between, account: Spec, part: PartName, operation: str,
        code: str) -> None:
    """Another worker's of this moment, or our own whose answer was lost: not a stranger's, and nobody is called."""
    other.arm(account, site.now() + HOUR, 1)
    for earlier in PARTS[:PARTS.index(part)]:
        other.parts[earlier].ensure(account)
    between.before = once(operation, refuses(operation, code, "Object already exists"))
    with pytest.raises(TryLater):
        site.parts[part].ensure(account)
    site.parts[part].ensure(account)


def test_what_aws_never_shows_is_tried_later(server: Moto, other: AwsSite, account: Spec) -> None:
    """Not the end of it: the next try finds it."""
    other.arm(account, other.now() + HOUR, 1)
    between = Between()
    between.before = always("DescribeSecurityGroups", lambda: {"SecurityGroups": []})
    with closing(between.site(server, NAME, patience=0.3)) as site, pytest.raises(TryLater, match="security group"):
        site.parts["network"].ensure(account)
    other.parts["network"].ensure(account)


def test_access_before_its_account_is_tried_later(site: AwsSite, account: Spec) -> None:
    """AWS may not show the role yet."""
    site.arm(account, site.now() + HOUR, 1)
    with pytest.raises(TryLater, match="comes after the account"):
        site.parts["access"].ensure(account)
    with pytest.raises(TryLater, match="come after its network"):
        site.parts["containers"].ensure(account)


def test_a_limit_that_aws_takes_and_does_not_set_is_said(server: Moto, other: AwsSite, account: Spec) -> None:
    """Batch says yes to a larger account and leaves it as it was."""
    complete(other, account)
    larger = replace(account, cpu_milli=3500, memory=8 << 30)
    between = Between()
    between.before = always("UpdateComputeEnvironment", lambda: {})
    told = "max_vcpus of its containers reads back as 1 where 4 was set"
    with closing(between.site(server, NAME, patience=0.3)) as site, pytest.raises(NeedsHuman, match=told):
        site.parts["containers"].ensure(larger)
    assert other.parts["containers"].ensure(larger).facts["max_vcpus"] == 4


def test_what_is_not_as_it_was_made_is_not_opened(server: Moto, other: AwsSite, account: Spec) -> None:
    """Somebody gave the account without egress a way out."""
    quiet = replace(account, egress=0)
    complete(other, quiet)
    ec2, own = server.client("ec2"), [{"Name": "tag:tenure-account", "Values": [account.account]}]
    (group,) = ec2.describe_security_groups(Filters=own)["SecurityGroups"]
    ec2.authorize_security_group_egress(GroupId=group["GroupId"], IpPermissions=[
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])
    with pytest.raises(NeedsHuman, match="egress_to"):
        other.open(quiet, HOUR, 2)
    other.parts["network"].ensure(quiet)
    other.open(quiet, HOUR, 2)


def test_what_aws_shows_late_is_waited_for_when_logins_open(server: Moto, site: AwsSite, other: AwsSite,
                                                            between: Between, account: Spec) -> None:
    """The size as it was before a change, and no policy: neither is a fault, nor the end of the account."""
    complete(other, account)
    batch = server.client("batch")
    before = batch.describe_compute_environments(computeEnvironments=[f"tn-{account.account}"])
    larger = replace(account, cpu_milli=3500, memory=8 << 30)
    other.parts["containers"].ensure(larger)
    between.before = each_of(times(2, "DescribeComputeEnvironments", lambda: before),
                             times(2, "GetRolePolicy", refuses("GetRolePolicy", "NoSuchEntity")))
    site.open(larger, HOUR, 2)
    assert states(server, account) == ("ENABLED", "ENABLED", False)


def test_an_account_that_finds_no_room_later_keeps_its_row(server: Moto, site: AwsSite, other: AwsSite,
                                                           between: Between, account: Spec) -> None:
    """The region is filled by others between two tries: what is there already keeps its end, and goes on from it."""
    site.arm(account, site.now() + HOUR, 1)
    site.parts["account"].ensure(account)
    full = [{"computeEnvironmentName": f"other-{number}", "status": "VALID", "tags": {}} for number in range(MOST)]
    between.before = always("DescribeComputeEnvironments", lambda: {"computeEnvironments": full})
    end = site.now() + 2 * HOUR
    with pytest.raises(NeedsHuman, match=f"{MOST} compute environments"):
        site.arm(account, end, 2)
    between.before = nothing
    site.parts["storage"].ensure(account)
    assert ends(server, account) == {policies.instant(end.timestamp())}


def test_a_batch_is_cleaned_while_batch_is_busy_with_each_of_it(server: Moto, other: AwsSite, account: Spec) -> None:
    """None waits until another's queue is gone: Batch lets the first go only once the last is asked for, too."""
    accounts = [account, *(replace(account, account=new_id()) for _ in range(2))]
    for one in accounts:
        complete(other, one)
    asked: set[str] = set()

    def busy(operation: str, said: dict[str, Any]) -> None:
        if operation == "DeleteJobQueue":
            asked.add(str(said["body"]))
            if len(asked) < len(accounts):
                refuses(operation, "ClientException", "Cannot delete, resource is being modified")()

    between = Between()
    between.before = busy
    with closing(between.site(server, NAME, patience=20)) as site:
        assert [row.error for row in site.fence([(one.account, 2) for one in accounts], "end")] == [None] * 3
        assert [row.error for row in site.clean([(one.account, 3) for one in accounts])] == [None] * 3
    assert [left for one in accounts for left in other.leftovers(one.account)] == []


def test_of_two_workers_at_the_last_place_one_has_it(server: Moto, site: AwsSite, other: AwsSite, between: Between,
                                                     account: Spec) -> None:
    """Both found it free. The one that wrote later counts again, and leaves nothing."""
    second = replace(spec(), images=account.images)
    there = [{"computeEnvironmentName": f"other-{number}", "status": "VALID", "tags": {}} for number in range(MOST - 1)]
    full = always("DescribeComputeEnvironments", lambda: {"computeEnvironments": there})
    between.before = each_of(full, once("PutItem", lambda: other.arm(second, other.now() + HOUR, 1) and None))
    with pytest.raises(NeedsHuman, match=f"{MOST} compute environments"):
        site.arm(account, site.now() + HOUR, 1)
    assert site.leftovers(account.account) == []
    assert [one.account for one in other._leases.all()] == [second.account]
    fence(other, second, 5)
    only(other.clean([(second.account, 6)]))
    site.arm(account, site.now() + HOUR, 7)


class Lost:
    """The answer of one call is lost, counted from the first."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, operation: str, said: dict[str, Any]) -> None:
        self.left -= 1
        if self.left == 0:
            raise EndpointConnectionError(endpoint_url=operation)


@pytest.mark.parametrize("part", PARTS)
def test_an_answer_that_is_lost_at_any_call_is_taken_up(server: Moto, site: AwsSite, other: AwsSite, between: Between,
                                                        account: Spec, part: PartName) -> None:
    """AWS did it and we never heard: the next try takes up what is there, and has nothing twice."""
    other.arm(account, site.now() + HOUR, 1)
    for earlier in PARTS[:PARTS.index(part)]:
        other.parts[earlier].ensure(account)
    other.parts[part].ensure(account)
    whole = Counter(one.kind for one in other.leftovers(account.account))
    for number in range(1, 100):
        other.parts[part].remove(account)
        lost = between.after = Lost(number)
        heard = False
        with suppress(TryLater):
            site.parts[part].ensure(account)
            heard = lost.left > 0
        between.after = nothing
        made = site.parts[part].ensure(account)
        assert made == other.parts[part].observe(account) == other.parts[part].ensure(account)
        assert Counter(one.kind for one in other.leftovers(account.account)) == whole, number
        if heard:
            break
    assert number > 4
