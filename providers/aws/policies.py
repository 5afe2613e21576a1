"""Every IAM document that Tenure writes. They are values, not templates: nothing has to be quoted, and the tests
evaluate exactly what is sent.

AWS counts the seconds: `aws:CurrentTime` < the end is allowed, >= the end is denied, by AWS itself.
"""

import json
from datetime import UTC, datetime
from typing import Any, TypeAlias

from providers.aws.names import ACCOUNT_TAG, Names

Document: TypeAlias = dict[str, Any]
VERSION = "2012-10-17"
NEVER = ["iam:*", "organizations:*", "account:*", "sts:AssumeRole", "ec2:*", "ebs:*", "scheduler:*", "states:*",
         "dynamodb:*", "batch:Create*", "batch:Delete*", "batch:Update*", "batch:Register*", "batch:Deregister*"]
"""What no holder may do whatever else is granted: IAM things, volumes, limits, ends."""
FENCE = "tenure-fence"
"""Name of the inline policy that denies everything."""
HOLDER = "tenure-holder"
"""Name of the inline policy that lets the holder in."""


def text(document: Document) -> str:
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def instant(at: float) -> str:
    """Whole seconds, cut: an end is never late."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _before(end: float) -> dict[str, Any]:
    return {"DateLessThan": {"aws:CurrentTime": instant(end)}}


def _ended(end: float) -> dict[str, Any]:
    return {"Sid": "Ended", "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": {"DateGreaterThanEquals": {"aws:CurrentTime": instant(end)}}}


def holder(names: Names, account: str) -> Document:
    """What the holder may do: submit jobs of their own definitions to their own queue, end them, read their output.
    Batch cannot limit its listings to one account's jobs, so these are not granted."""
    own = {"StringEquals": {f"aws:PrincipalTag/{ACCOUNT_TAG}": account}}
    return {"Version": VERSION, "Statement": [
        {"Sid": "Submit", "Effect": "Allow", "Action": "batch:SubmitJob",
         "Resource": [names.queue_arn(account), names.definitions_arn(account)], "Condition": own},
        {"Sid": "TagWhatIsSubmitted", "Effect": "Allow", "Action": "batch:TagResource", "Resource": names.jobs_arn(),
         "Condition": {"StringEquals": own["StringEquals"] | {f"aws:RequestTag/{ACCOUNT_TAG}": account},
                       "Null": {f"aws:ResourceTag/{ACCOUNT_TAG}": "true"}}},
        {"Sid": "EndOwnJobs", "Effect": "Allow", "Action": ["batch:CancelJob", "batch:TerminateJob"],
         "Resource": names.jobs_arn(),
         "Condition": {"StringEquals": own["StringEquals"] | {f"aws:ResourceTag/{ACCOUNT_TAG}": account}}},
        {"Sid": "ReadOwnOutput", "Effect": "Allow",
         "Action": ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
         "Resource": names.logs_arn(account), "Condition": own},
    ]}


def boundary(names: Names, account: str, end: float) -> Document:
    """The most that the role can ever do, and only before the end. It holds whatever else is attached to the role."""
    return {"Version": VERSION, "Statement": [
        {"Sid": "UntilTheEnd", "Effect": "Allow",
         "Action": ["batch:CancelJob", "batch:SubmitJob", "batch:TagResource", "batch:TerminateJob",
                    "logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
         "Resource": [names.queue_arn(account), names.definitions_arn(account), names.jobs_arn(),
                      names.logs_arn(account)],
         "Condition": _before(end)},
        {"Sid": "Never", "Effect": "Deny", "Action": NEVER, "Resource": "*"},
        _ended(end),
    ]}


def session(end: float) -> Document:
    """Goes into each session when it is minted, so that its end does not wait for a changed boundary to spread."""
    return {"Version": VERSION, "Statement": [
        {"Sid": "UntilTheEnd", "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": _before(end)},
        _ended(end),
    ]}


def trust(caller: str, partition: str, number: str, end: float) -> Document:
    """Only Tenure's own principal makes sessions of the role, and none after the end."""
    return {"Version": VERSION, "Statement": [
        {"Sid": "TenureMints", "Effect": "Allow", "Action": "sts:AssumeRole",
         "Principal": {"AWS": f"arn:{partition}:iam::{number}:root"},
         "Condition": {"StringEquals": {"aws:PrincipalArn": caller}} | _before(end)},
    ]}


def trusted(document: Document) -> set[str]:
    """Who makes sessions by this trust."""
    return {one.get("Condition", {}).get("StringEquals", {}).get("aws:PrincipalArn", "")
            for one in document["Statement"]}


def fence() -> Document:
    """Denies everything, in sessions that exist already as well."""
    return {"Version": VERSION, "Statement": [
        {"Sid": "Fenced", "Effect": "Deny", "Action": "*", "Resource": "*"},
    ]}


def service_trust(*services: str) -> Document:
    """For the site's own roles, which AWS's services take on."""
    return {"Version": VERSION, "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": list(services)}},
    ]}


def ends_alone(names: Names) -> Document:
    """What Scheduler and Step Functions may do at an end: shut accounts of this site, and nothing that opens one."""
    return {"Version": VERSION, "Statement": [
        {"Sid": "Deny", "Effect": "Allow", "Action": "iam:PutRolePolicy", "Resource": names.role_arn("tn-*")},
        {"Sid": "Shut", "Effect": "Allow", "Action": ["batch:UpdateJobQueue", "batch:UpdateComputeEnvironment"],
         "Resource": [names.arn("batch", "job-queue/tn-*"), names.arn("batch", "compute-environment/tn-*")]},
        {"Sid": "Stop", "Effect": "Allow", "Action": "states:StartExecution", "Resource": names.machine_arn()},
        {"Sid": "Find", "Effect": "Allow", "Action": "batch:ListJobs", "Resource": "*"},
        {"Sid": "End", "Effect": "Allow", "Action": "batch:TerminateJob", "Resource": names.jobs_arn()},
    ]}


def runs_jobs(names: Names) -> Document:
    """What Fargate may do for a job: fetch its image and write its output."""
    return {"Version": VERSION, "Statement": [
        {"Effect": "Allow", "Resource": "*",
         "Action": ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer",
                    "ecr:BatchGetImage"]},
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
         "Resource": names.arn("logs", f"log-group:{names.path}*")},
    ]}
