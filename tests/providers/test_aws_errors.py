"""AWS's answers as ours, and waiting for AWS to catch up with itself."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from botocore import exceptions as boto

from providers.aws import errors
from providers.aws.edge import Aws, each
from providers.aws.errors import Exists, Gone, NotYet, Raced
from providers.aws.settings import AwsSettings
from providers.protocol import NeedsHuman, SiteError, TryLater
from tests.lab.moto import Moto, moto
from tests.providers.aws_between import Between

BUSY = NotYet("aws batch delete_job_queue: being modified")


def answered(operation: str, code: str, message: str = "", status: int = 400) -> SiteError:
    said: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return errors.translated("site north: aws", boto.ClientError(said, operation))


@pytest.mark.parametrize(("operation", "code", "message", "kind"), [
    ("GetRole", "NoSuchEntity", "", Gone),
    ("DescribeTable", "ResourceNotFoundException", "", Gone),
    ("DeleteVolume", "InvalidVolume.NotFound", "", Gone),
    ("DescribeStateMachine", "StateMachineDoesNotExist", "", Gone),
    ("UpdateJobQueue", "ClientException", "arn:aws:batch:... does not exist", Gone),
    ("CreateRole", "EntityAlreadyExists", "", Exists),
    ("CreateSecurityGroup", "InvalidGroup.Duplicate", "", Exists),
    ("CreateSubnet", "InvalidSubnet.Conflict", "", Exists),
    ("CreateLogGroup", "ResourceAlreadyExistsException", "", Exists),
    ("CreateComputeEnvironment", "ClientException", "Object already exists", Exists),
    ("CreateSchedule", "ConflictException", "", Exists),
    ("UpdateSchedule", "ConflictException", "", NotYet),
    ("DeleteSchedule", "ConflictException", "", NotYet),
    ("DeleteJobQueue", "ClientException", "Cannot delete, resource is being modified", NotYet),
    ("UpdateJobQueue", "ClientException", "Cannot update, resource is being modified.", NotYet),
    ("DeleteComputeEnvironment", "ClientException", "Cannot delete, found existing JobQueue relationship", NotYet),
    ("DeleteSecurityGroup", "DependencyViolation", "", NotYet),
    ("DeleteRole", "DeleteConflict", "", NotYet),
    ("PutItem", "ConditionalCheckFailedException", "", Raced),
    ("DescribeVolumes", "RequestLimitExceeded", "", TryLater),
    ("CreateQueue", "SomethingNew", "", NeedsHuman),
    ("CreateComputeEnvironment", "ClientException", "maxvCpus must be at least 1", NeedsHuman),
    ("CreateVolume", "UnauthorizedOperation", "", NeedsHuman),
    ("CreateVolume", "VolumeLimitExceeded", "", NeedsHuman),
])
def test_what_aws_answers_says_who_acts_next(operation: str, code: str, message: str, kind: type[SiteError]) -> None:
    """By its code; Batch has one code for everything, and Scheduler one for two things."""
    error = answered(operation, code, message)
    assert type(error) is kind
    assert code in str(error)


def test_a_fault_of_aws_s_own_is_tried_later() -> None:
    """Whatever it is called."""
    assert type(answered("DescribeVolumes", "Oops", status=503)) is TryLater


@pytest.mark.parametrize(("error", "kind"), [
    (boto.NoCredentialsError(), NeedsHuman),
    (boto.EndpointConnectionError(endpoint_url="http://nowhere"), TryLater),
    (boto.ReadTimeoutError(endpoint_url="http://slow"), TryLater),
    (boto.ParamValidationError(report="no such parameter"), NeedsHuman),
])
def test_what_never_reached_aws(error: Exception, kind: type[SiteError]) -> None:
    """No credentials, no connection, no answer, a call that the SDK does not know."""
    assert type(errors.translated("site north: aws", error)) is kind


@pytest.mark.parametrize("kind", [Gone, Exists, Raced, NotYet])
def test_what_nobody_expected_is_tried_later(kind: type[SiteError]) -> None:
    """An answer that the caller has no use for is AWS's lag, and never one without a class that says who acts next."""
    assert issubclass(kind, TryLater)


class Says(Aws):
    """AWS that answers from a list; the last answer for ever."""

    def __init__(self, *answers: SiteError | dict[str, Any], patience: float = 30) -> None:
        super().__init__(AwsSettings("north", "eu-central-1"), {}, patience)
        self.answers = list(answers)
        self.asked = 0

    def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SiteError):
            raise answer
        return answer


def test_not_yet_is_asked_again() -> None:
    """Twice no, then yes."""
    aws = Says(BUSY, BUSY, {"done": True})
    assert (aws.settled("batch", "delete_job_queue"), aws.asked) == ({"done": True}, 3)


def test_not_yet_for_ever_is_for_whoever_comes_next() -> None:
    """When patience ends, AWS's own last word."""
    aws = Says(BUSY, patience=0.3)
    with pytest.raises(TryLater, match="being modified"):
        aws.settled("batch", "delete_job_queue")
    assert aws.asked > 1


@pytest.mark.parametrize("other", [Gone("gone"), NeedsHuman("no", remedy="x")])
def test_any_other_answer_is_not_waited_for(other: SiteError) -> None:
    """Once is enough."""
    aws = Says(other)
    with pytest.raises(type(other)):
        aws.settled("batch", "delete_job_queue")
    assert aws.asked == 1


def test_what_is_not_there_yet_is_looked_for_again() -> None:
    """Nothing twice, then the thing."""
    seen: list[str | None] = [None, None, "volume"]
    assert Says({}).until("a volume", lambda: seen.pop(0)) == "volume"


def test_what_never_comes_is_tried_later() -> None:
    """And says what it was."""
    with pytest.raises(TryLater, match=r"a volume: not within 0\.3 s"):
        Says({}, patience=0.3).until("a volume", lambda: None)


def test_each_is_done_whatever_fails() -> None:
    """The first failure is told, the last act is done."""
    done: list[int] = []

    def fails(number: int) -> Callable[[], None]:
        def act() -> None:
            done.append(number)
            raise TryLater(str(number))
        return act

    with pytest.raises(TryLater, match="1"):
        each(lambda: done.append(0), fails(1), fails(2), lambda: done.append(3))
    assert done == [0, 1, 2, 3]


@pytest.fixture(scope="module")
def server() -> Any:
    with moto() as one:
        yield one


def test_a_role_with_a_path_is_trusted_by_its_whole_name(server: Moto) -> None:
    """A session's own name has no path in it; the condition on the principal has (roles of single sign-on have one)."""
    iam, name = server.client("iam"), "AWSReservedSSO_tenure_1"
    path = "/aws-reserved/sso.amazonaws.com/eu-central-1/"
    role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    got = server.client("sts").assume_role(RoleArn=role, RoleSessionName="worker")["Credentials"]
    keys = {"access_key_id": got["AccessKeyId"], "secret_access_key": got["SecretAccessKey"],
            "session_token": got["SessionToken"]}
    with closing(Aws(AwsSettings("north", "eu-central-1", endpoint_url=server.url), keys)) as aws:
        assert path in aws.caller
        assert (aws.caller, aws.number) == (role, role.split(":")[4])


def test_a_role_that_may_not_look_at_itself_is_told_so(server: Moto) -> None:
    """A trust with half a name would let nobody in, and say only that it is not yet time."""
    between = Between()
    with closing(between.site(server, "north")) as site:
        def answer(operation: str, said: dict[str, Any]) -> dict[str, Any] | None:
            if operation == "GetCallerIdentity":
                return {"Arn": "arn:aws:sts::123456789012:assumed-role/tenure/worker", "Account": "123456789012"}
            if operation == "GetRole":
                refused: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}
                raise boto.ClientError(refused, operation)
            return None

        between.before = answer
        with pytest.raises(NeedsHuman) as told:
            _ = site._aws.caller
        assert "iam:GetRole" in told.value.remedy
        assert site._aws.number == "123456789012"
