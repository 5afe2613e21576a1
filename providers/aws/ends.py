"""Ends that AWS keeps by itself: one-time entries of EventBridge Scheduler, and making AWS be as the lease says.

The entries shut queue and compute environment, deny everything, and start a state machine that ends running jobs;
AWS runs them within the minute. API calls are refused to the second by the boundary, without any of them.
"""

import json
from collections.abc import Mapping
from typing import Any

from providers.aws import policies
from providers.aws.account import Account
from providers.aws.containers import UNFINISHED, Containers
from providers.aws.edge import Aws, each
from providers.aws.errors import Exists, Gone
from providers.aws.lease import Lease
from providers.aws.leases import Leases
from providers.aws.names import Names
from providers.protocol import Leftover, TryLater

TRIES = 5
LATEST = "2999-12-31T00:00:00"


class Ends:
    """The entries of all accounts, and the one function that brings AWS and a lease together."""

    def __init__(self, aws: Aws, names: Names, leases: Leases, account: Account, containers: Containers) -> None:
        self._aws = aws
        self._names = names
        self._leases = leases
        self._account = account
        self._containers = containers

    def enforce(self, account: str) -> None:
        """Make AWS as the lease says. Whoever is overtaken while doing so does it again, for the lease as it is then:
        so the last one to finish has written the last decision."""
        lease = self._leases.get(account)
        for _ in range(TRIES):
            if lease is not None:
                self._apply(lease)
            again = self._leases.get(account)
            if again == lease:
                return
            lease = again
        raise TryLater(f"account {account}: others change its lease all the time")

    def _apply(self, lease: Lease) -> None:
        now = self._aws.clock.now().timestamp()
        shut = lease.gone or lease.shut_at(now) is not None
        if shut:
            self._shut(lease)
            return
        self._account.end(lease)
        self.write(lease)
        self._account.shut(lease.account, False)
        self._containers.state(lease.account, "ENABLED" if lease.open else "DISABLED")

    def _shut(self, lease: Lease) -> None:
        """Each step, whatever became of the one before: while Batch is still busy with a queue it does not take it off,
        and jobs are ended all the same. Nothing is waited for: whoever fences many asks again."""
        account = lease.account
        each(lambda: self._account.shut(account, True),
             lambda: self._containers.state(account, "DISABLED", patient=False),
             lambda: self._containers.stop(account),
             lambda: None if lease.gone else self._account.end(lease))

    def write(self, lease: Lease) -> None:
        """The entries, at the lease's end."""
        for name, target in self._targets(lease.account).items():
            wanted = {
                "Name": name, "GroupName": self._names.group, "Target": target, "State": "ENABLED",
                "ScheduleExpression": f"at({at(lease.end)})", "ScheduleExpressionTimezone": "UTC",
                "FlexibleTimeWindow": {"Mode": "OFF"}, "ActionAfterCompletion": "NONE",
                "Description": f"end of {lease.account}, generation {lease.generation}",
            }
            try:
                self._aws.settled("scheduler", "update_schedule", **wanted)
            except Gone:
                self._create(wanted)

    def _create(self, wanted: Mapping[str, Any]) -> None:
        try:
            self._aws.call("scheduler", "create_schedule", **wanted)
        except Exists:
            self._aws.settled("scheduler", "update_schedule", **wanted)

    def take(self, account: str) -> None:
        for name in self._listed(account):
            try:
                self._aws.settled("scheduler", "delete_schedule", Name=name, GroupName=self._names.group)
            except Gone:
                continue

    def left(self, account: str) -> list[Leftover]:
        return [Leftover("schedule", name) for name in self._listed(account)]

    def everyone(self) -> set[str]:
        return set(self._listed(None))

    def _listed(self, account: str | None) -> list[str]:
        prefix = f"{self._names.of(account)}-" if account else "tn-"
        try:
            found = self._aws.all("scheduler", "list_schedules", "Schedules", GroupName=self._names.group,
                                  NamePrefix=prefix)
        except Gone:
            return []
        return [one["Name"] for one in found if one["Name"].startswith(prefix)]

    def _targets(self, account: str) -> dict[str, dict[str, Any]]:
        names, name = self._names, self._names.of(account)
        role = names.role_arn(names.end_role)
        off: dict[str, tuple[str, Mapping[str, str]]] = {
            "deny": ("iam:putRolePolicy", {"RoleName": name, "PolicyName": policies.FENCE,
                                           "PolicyDocument": policies.text(policies.fence())}),
            "queue": ("batch:updateJobQueue", {"JobQueue": name, "State": "DISABLED"}),
            "environment": ("batch:updateComputeEnvironment", {"ComputeEnvironment": name, "State": "DISABLED"}),
            "stop": ("sfn:startExecution", {"StateMachineArn": names.machine_arn(),
                                            "Input": json.dumps({"queue": name})}),
        }
        return {f"{name}-{what}": {"Arn": names.sdk("scheduler", action), "RoleArn": role, "Input": json.dumps(given),
                                   "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}}
                for what, (action, given) in off.items()}


def at(end: float) -> str:
    """Whole seconds, cut, as Scheduler writes them."""
    return min(policies.instant(end).removesuffix("Z"), LATEST)


def machine(names: Names) -> dict[str, Any]:
    """The state machine that ends an account's jobs: for each state that is not over, list, end all of them, and look
    again until none is listed. Written in Amazon States Language."""
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 10, "BackoffRate": 1.5}]
    end_one = {"StartAt": "End", "States": {"End": {
        "Type": "Task", "Resource": names.sdk("states", "batch:terminateJob"), "Retry": retry, "End": True,
        "Parameters": {"JobId.$": "$.JobId", "Reason": "the account's end"}}}}
    one_state = {"StartAt": "List", "States": {
        "List": {"Type": "Task", "Resource": names.sdk("states", "batch:listJobs"), "Retry": retry, "Next": "Any",
                 "Parameters": {"JobQueue.$": "$.queue", "JobStatus.$": "$.state", "MaxResults": 100},
                 "ResultPath": "$.found"},
        "Any": {"Type": "Choice", "Default": "Over", "Choices": [
            {"Variable": "$.found.JobSummaryList[0]", "IsPresent": True, "Next": "EndAll"}]},
        "EndAll": {"Type": "Map", "ItemsPath": "$.found.JobSummaryList", "MaxConcurrency": 10, "Iterator": end_one,
                   "ResultPath": None, "Next": "Pause"},
        "Pause": {"Type": "Wait", "Seconds": 5, "Next": "List"},
        "Over": {"Type": "Succeed"},
    }}
    return {"Comment": "Tenure: ends the jobs of an account whose time is over", "StartAt": "States", "States": {
        "States": {"Type": "Pass", "Result": list(UNFINISHED), "ResultPath": "$.states", "Next": "Each"},
        "Each": {"Type": "Map", "ItemsPath": "$.states", "End": True, "Iterator": one_state,
                 "Parameters": {"queue.$": "$.queue", "state.$": "$$.Map.Item.Value"}}}}
