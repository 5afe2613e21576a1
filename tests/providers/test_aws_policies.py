"""Every IAM document that Tenure writes, evaluated: the last second is allowed, the first after the end is refused.

The emulator cannot show this: it takes a date condition for true. What is evaluated here is what is sent.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from providers.aws import policies
from providers.aws.edge import Aws
from providers.aws.ends import machine
from providers.aws.names import ACCOUNT_TAG, Names
from providers.aws.settings import AwsSettings
from tests.providers.aws_evaluator import Request, allowed, trusted

ME, OTHER = "aaaaaaaaaa", "abbbbbbbbb"
END = datetime(2027, 3, 1, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REGIONS = {"eu-central-1": "aws", "cn-north-1": "aws-cn"}


@pytest.fixture(params=sorted(REGIONS))
def names(request: pytest.FixtureRequest) -> Names:
    aws = Aws(AwsSettings("north", request.param), {})
    aws._number = "123456789012"
    aws._caller = f"arn:{REGIONS[request.param]}:iam::{aws._number}:role/tenure"
    return Names(aws)


def submit(names: Names, at: datetime, to: str = ME, by: str = ME, definition: bool = False) -> Request:
    where = names.definitions_arn(to).replace("-*", "-0:1") if definition else names.queue_arn(to)
    return Request("batch:SubmitJob", where, {"aws:CurrentTime": at.isoformat(), f"aws:PrincipalTag/{ACCOUNT_TAG}": by})


def may(names: Names, request: Request, end: datetime = END, *, fenced: bool = False, more: bool = False) -> bool:
    """As AWS decides for a session of the account's role. `more`: somebody attached a policy that allows everything."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    identity = [policies.holder(names, ME), *([policies.fence()] if fenced else []), *([everything] if more else [])]
    seconds = end.timestamp()
    return allowed(request, identity, policies.boundary(names, ME, seconds), policies.session(seconds))


def test_the_last_second_is_allowed(names: Names) -> None:
    """One second before the end a job may be submitted, to the queue and of the definition."""
    assert may(names, submit(names, END - SECOND))
    assert may(names, submit(names, END - SECOND, definition=True))


@pytest.mark.parametrize("late", [timedelta(0), SECOND, timedelta(days=400)])
def test_from_the_end_on_it_is_refused(names: Names, late: timedelta) -> None:
    """The end itself is the first second of not any more."""
    assert not may(names, submit(names, END + late))


def test_an_end_within_a_second_is_cut_not_rounded(names: Names) -> None:
    """AWS counts whole seconds: the account never lasts longer than its lease."""
    end = END + timedelta(milliseconds=900)
    assert may(names, submit(names, END - SECOND), end)
    assert not may(names, submit(names, END), end)


@pytest.mark.parametrize("which", ["boundary", "session"])
def test_either_document_alone_holds_the_end(names: Names, which: str) -> None:
    """A changed boundary spreads late and a session outlives a mistake: each must be enough by itself."""
    seconds = END.timestamp()
    document = policies.boundary(names, ME, seconds) if which == "boundary" else policies.session(seconds)
    limits = {which: document}
    holder = [policies.holder(names, ME)]
    assert allowed(submit(names, END - SECOND), holder, **limits)
    assert not allowed(submit(names, END), holder, **limits)


def test_the_boundary_holds_whatever_is_attached(names: Names) -> None:
    """Somebody gives the role everything: after the end it has nothing, and before it neither IAM nor volumes."""
    assert not may(names, submit(names, END), more=True)
    for action in ("iam:CreateUser", "iam:PutRolePolicy", "iam:DeleteRolePermissionsBoundary", "ec2:CreateVolume",
                   "ec2:RunInstances", "scheduler:DeleteSchedule", "batch:UpdateComputeEnvironment",
                   "batch:RegisterJobDefinition", "sts:AssumeRole", "dynamodb:PutItem", "s3:GetObject"):
        request = Request(action, "*", {"aws:CurrentTime": (END - SECOND).isoformat(),
                                        f"aws:PrincipalTag/{ACCOUNT_TAG}": ME})
        assert not may(names, request, more=True), action


def test_a_fence_denies_at_once_and_everything(names: Names) -> None:
    """A minute before the end, in a session that exists."""
    assert not may(names, submit(names, END - timedelta(minutes=1)), fenced=True)
    assert not may(names, submit(names, END - timedelta(minutes=1)), fenced=True, more=True)


def test_another_account_s_queue_is_refused(names: Names) -> None:
    """By name, and also for a role whose tag is not its own."""
    assert not may(names, submit(names, END - SECOND, to=OTHER))
    assert not may(names, submit(names, END - SECOND, by=OTHER))


def test_only_own_jobs_are_ended(names: Names) -> None:
    """By the job's tag; one without a tag is nobody's."""
    def end(tags: dict[str, str]) -> bool:
        context = {"aws:CurrentTime": (END - SECOND).isoformat(), f"aws:PrincipalTag/{ACCOUNT_TAG}": ME, **tags}
        return may(names, Request("batch:TerminateJob", names.jobs_arn().replace("*", "x"), context))

    assert end({f"aws:ResourceTag/{ACCOUNT_TAG}": ME})
    assert not end({f"aws:ResourceTag/{ACCOUNT_TAG}": OTHER})
    assert not end({})


def test_nobody_tags_another_s_job_as_their_own(names: Names) -> None:
    """A tag is put on with the submit only: what has an account's tag keeps it."""
    def tag(value: str, already: str | None) -> bool:
        context = {"aws:CurrentTime": (END - SECOND).isoformat(), f"aws:PrincipalTag/{ACCOUNT_TAG}": ME,
                   f"aws:RequestTag/{ACCOUNT_TAG}": value}
        there = {f"aws:ResourceTag/{ACCOUNT_TAG}": already} if already else {}
        return may(names, Request("batch:TagResource", names.jobs_arn().replace("*", "x"), context | there))

    assert tag(ME, None)
    assert not tag(OTHER, None)
    assert not tag(ME, OTHER)


def test_listings_of_all_accounts_are_not_granted(names: Names) -> None:
    """Batch cannot limit them to one account's jobs."""
    for action in ("batch:DescribeJobs", "batch:ListJobs", "batch:DescribeComputeEnvironments"):
        context = {"aws:CurrentTime": (END - SECOND).isoformat(), f"aws:PrincipalTag/{ACCOUNT_TAG}": ME}
        assert not may(names, Request(action, "*", context))


def test_only_tenure_mints_and_only_before_the_end(names: Names) -> None:
    """The role's trust: this principal, and the last second."""
    caller, number = names._aws.caller, names._aws.number
    trust = policies.trust(caller, names._aws.partition, number, END.timestamp())

    def assume(who: str, at: datetime) -> bool:
        context = {"aws:CurrentTime": at.isoformat(), "aws:PrincipalArn": who}
        return trusted(Request("sts:AssumeRole", "", context, who), trust)

    other = caller.replace("role/tenure", "user/somebody")
    assert assume(caller, END - SECOND)
    assert not assume(caller, END)
    assert not assume(other, END - SECOND)


def test_ends_alone_can_shut_and_not_open(names: Names) -> None:
    """What Scheduler acts as: the deny, the queue, the environment, the jobs, and nothing of another name."""
    document = [policies.ends_alone(names)]
    good = [("iam:PutRolePolicy", names.role_arn(names.of(ME))), ("batch:UpdateJobQueue", names.queue_arn(ME)),
            ("batch:UpdateComputeEnvironment", names.arn("batch", f"compute-environment/{names.of(ME)}")),
            ("batch:ListJobs", "*"),
            ("states:StartExecution", names.machine_arn()), ("batch:TerminateJob", names.jobs_arn().replace("*", "x"))]
    bad = [("iam:DeleteRolePolicy", names.role_arn(names.of(ME))), ("batch:SubmitJob", names.queue_arn(ME)),
           ("iam:PutRolePolicy", names.role_arn(names.end_role)), ("iam:CreatePolicyVersion", names.boundary_arn(ME)),
           ("batch:UpdateJobQueue", names.arn("batch", "job-queue/production"))]
    assert all(allowed(Request(action, resource), document) for action, resource in good)
    assert not any(allowed(Request(action, resource), document) for action, resource in bad)


def test_jobs_act_only_for_their_image_and_output(names: Names) -> None:
    """What Fargate acts as."""
    document = [policies.runs_jobs(names)]
    logs = names.arn("logs", f"log-group:{names.logs(ME)}:log-stream:x")
    assert allowed(Request("logs:PutLogEvents", logs), document)
    assert not allowed(Request("logs:PutLogEvents", names.arn("logs", "log-group:/other:log-stream:x")), document)
    assert not allowed(Request("iam:PassRole", "*"), document)


@pytest.mark.parametrize("service", ["scheduler.amazonaws.com", "states.amazonaws.com"])
def test_only_its_services_take_on_the_site_s_own_role(names: Names, service: str) -> None:
    """Not another service."""
    trust = policies.service_trust("scheduler.amazonaws.com", "states.amazonaws.com")
    assert trusted(Request("sts:AssumeRole", "", {}, service), trust)
    assert not trusted(Request("sts:AssumeRole", "", {}, "lambda.amazonaws.com"), trust)


def test_documents_fit_what_aws_takes(names: Names) -> None:
    """6,144 characters for a policy, 2,048 for a session's and for a trust."""
    caller, number = names._aws.caller, names._aws.number
    assert len(policies.text(policies.boundary(names, ME, END.timestamp()))) < 6144
    assert len(policies.text(policies.session(END.timestamp()))) < 2048
    assert len(policies.text(policies.trust(caller, names._aws.partition, number, END.timestamp()))) < 2048


def test_every_arn_is_of_the_region_s_partition(names: Names) -> None:
    """China's regions are a partition of their own: one wrong ARN and nothing is granted there."""
    caller, number, end = names._aws.caller, names._aws.number, END.timestamp()
    documents = [policies.boundary(names, ME, end), policies.holder(names, ME), policies.ends_alone(names),
                 policies.runs_jobs(names), policies.trust(caller, names._aws.partition, number, end), machine(names)]
    words = json.dumps(documents).split('"')
    assert {word.split(":")[1] for word in words if word.startswith("arn:")} == {names._aws.partition}
