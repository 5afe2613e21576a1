"""Containers: a Batch compute environment on Fargate whose `maxvCpus` bounds all of the account, its queue, one job
definition for each image of the offer, and a log group for what they print."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from providers.aws import fargate
from providers.aws.edge import each
from providers.aws.errors import Exists, Gone
from providers.aws.lease import Lease
from providers.aws.leases import unprepared
from providers.aws.names import ACCOUNT_TAG
from providers.aws.part import AwsPart
from providers.protocol import Fact, Leftover, NeedsHuman, PartName, Spec, TryLater

MOST = 50
"""Compute environments in a region, and job queues as well: fixed by AWS, no request raises it."""
UNFINISHED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
BATCH_ROLES = "/aws-service-role/batch.amazonaws.com/"
"""Where AWS keeps the role that Batch acts with; there is one in each AWS account."""


class Containers(AwsPart):
    """Facts: environment, queue, max_vcpus, images, state (ENABLED while the holder may submit)."""

    name: PartName = "containers"
    identity: frozenset[str] = frozenset({"environment", "queue"})

    def look(self, account: str) -> Mapping[str, Fact] | None:
        environment, queue = self._environment(account), self._queue(account)
        if environment is None or queue is None or not self._log_groups(account):
            return None
        images = sorted(one["containerProperties"]["image"] for one in self._definitions(account))
        return {"environment": environment["computeEnvironmentArn"], "queue": queue["jobQueueArn"],
                "max_vcpus": int(environment["computeResources"]["maxvCpus"]), "images": images,
                "state": str(queue["state"])}

    def wanted(self, spec: Spec) -> Mapping[str, Fact]:
        return {"max_vcpus": fargate.quota(spec), "images": sorted(spec.images)}

    def make(self, spec: Spec, lease: Lease) -> None:
        fargate.fits(spec)
        account, name = spec.account, self._names.of(spec.account)
        with suppress(Exists):
            self._aws.call("logs", "create_log_group", logGroupName=self._names.logs(account),
                           tags=self._names.tags(account))
        state = "ENABLED" if lease.usable(self._aws.clock.now().timestamp()) else "DISABLED"
        environment = self._environment(account)
        if environment is None:
            self._make_environment(spec, state)
        else:
            self._size(spec, environment)
        self._aws.until(f"account {account}: its compute environment is valid", lambda: self._valid(account))
        if self._queue(account) is None:
            self._create(account, "job_queue", jobQueueName=name, state=state, priority=1,
                         computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}])
        self._define(spec)
        self.state(account, state)

    def state(self, account: str, state: str, patient: bool = True) -> None:
        """Queue and compute environment on or off. What is not there is off. Not patient: NotYet at once while Batch is
        still busy with one of them."""
        name, queue, environment = self._names.of(account), self._queue(account), self._environment(account)
        act = self._aws.settled if patient else self._aws.call
        wrong = [(operation, which) for operation, which, there in (
            ("update_job_queue", "jobQueue", queue),
            ("update_compute_environment", "computeEnvironment", environment),
        ) if there is not None and there["state"] != state]
        each(*(partial(act, "batch", operation, **{which: name}, state=state) for operation, which in wrong))

    def stop(self, account: str) -> None:
        """End every job that is not over."""
        each(*(partial(self._aws.call, "batch", "terminate_job", jobId=job["jobId"], reason="the account is fenced")
               for job in self.jobs(account, UNFINISHED)))

    def jobs(self, account: str, states: tuple[str, ...]) -> list[dict[str, Any]]:
        """The account's jobs in these states; none without a queue."""
        if self._queue(account) is None:
            return []
        try:
            return [job for state in states for job in self._aws.all(
                "batch", "list_jobs", "jobSummaryList", jobQueue=self._names.of(account), jobStatus=state)]
        except Gone:
            return []

    def take(self, account: str) -> None:
        name = self._names.of(account)
        self.state(account, "DISABLED")
        self.stop(account)
        self._aws.until(f"account {account}: its jobs are over",
                        lambda: True if not self.jobs(account, UNFINISHED) else None)
        self._delete(f"account {account}: its queue", lambda: self._queue(account), "delete_job_queue", jobQueue=name)
        self._delete(f"account {account}: its compute environment", lambda: self._environment(account),
                     "delete_compute_environment", computeEnvironment=name)
        for definition in self._definitions(account):
            self._aws.call("batch", "deregister_job_definition", jobDefinition=definition["jobDefinitionArn"])
        for group in self._log_groups(account):
            try:
                self._aws.call("logs", "delete_log_group", logGroupName=group)
            except Gone:
                continue

    def left(self, account: str) -> list[Leftover]:
        found = [Leftover("job", job["jobId"]) for job in self.jobs(account, UNFINISHED)]
        if (queue := self._queue(account)) is not None:
            found.append(Leftover("job queue", queue["jobQueueName"]))
        if (environment := self._environment(account)) is not None:
            found.append(Leftover("compute environment", environment["computeEnvironmentName"]))
        found += [Leftover("job definition", one["jobDefinitionArn"]) for one in self._definitions(account)]
        return found + [Leftover("log group", group) for group in self._log_groups(account)]

    def everyone(self) -> set[str]:
        batch = [*self.environments(), *self.queues()]
        groups = self._aws.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"{self._names.path}tn-")
        tagged = [(one, one.get("tags", {}).get(ACCOUNT_TAG, "")) for one in batch]
        return {account for one, account in tagged if account and self._ours(one, account)} | {
            group["logGroupName"].removeprefix(self._names.path) for group in groups}

    def environments(self) -> list[dict[str, Any]]:
        """All of the region, whoever's they are: they count against AWS's limit together."""
        return [one for one in self._aws.all("batch", "describe_compute_environments", "computeEnvironments")
                if _there(one)]

    def queues(self) -> list[dict[str, Any]]:
        found = self._aws.all("batch", "describe_job_queues", "jobQueues")
        return [one for one in found if _there(one)]

    def fit(self) -> tuple[bool, str]:
        _, there = super().fit()
        environments, queues = len(self.environments()), len(self.queues())
        return max(environments, queues) < MOST, (f"{there}; {environments} of {MOST} compute environments, "
                                                  f"{queues} of {MOST} queues in the region")

    def room(self, account: str, armed: set[str]) -> None:
        """NeedsHuman, before anything is created, when AWS would not give the account its place. `armed` are the others
        that have a lease, and may still be without their environment."""
        coming = {self._names.of(other) for other in armed}
        for what, names in (("compute environments", {one["computeEnvironmentName"] for one in self.environments()}),
                            ("job queues", {one["jobQueueName"] for one in self.queues()})):
            if self._names.of(account) not in names and len(names | coming) >= MOST:
                raise NeedsHuman(
                    f"site {self._names.site}: {self._names.region} has {len(names | coming)} {what} in use or"
                    f" promised, and AWS allows {MOST}", remedy="this limit is fixed: add a site in another region,"
                    " or of a kind that has no such limit (a namespace of a Kubernetes cluster)")

    def _create(self, account: str, what: str, **arguments: Any) -> None:
        """One that Batch has by our name already is somebody else's, or another worker's of this very moment."""
        try:
            self._aws.call("batch", f"create_{what}", tags=self._names.tags(account), **arguments)
        except Exists as there:
            found = self._named(what, account)
            if found is None:  # not shown yet
                raise
            if not self._ours(found, account):
                raise self._not_ours(account, f"a {what.replace('_', ' ')} {self._names.of(account)}") from there

    def _delete(self, what: str, look: Callable[[], dict[str, Any] | None], operation: str, **which: str) -> None:
        """Batch deletes only what it is not busy with, and goes on for a while after it has said yes."""
        def status() -> str | None:
            found = (look() or {"status": "DELETED"})["status"]
            return None if found in ("CREATING", "UPDATING") else str(found)

        if self._aws.until(f"{what} is at rest", status) in ("VALID", "INVALID"):
            with suppress(Gone):
                self._aws.settled("batch", operation, **which)
        self._aws.until(f"{what} is gone", lambda: True if look() is None else None)

    def _ours(self, thing: dict[str, Any], account: str) -> bool:
        """Whether its tags say that it is this account's, at this site."""
        return bool(self._names.tags(account).items() <= thing.get("tags", {}).items())

    def _environment(self, account: str) -> dict[str, Any] | None:
        found = self._named("compute_environment", account)
        return found if found is not None and self._ours(found, account) else None

    def _queue(self, account: str) -> dict[str, Any] | None:
        found = self._named("job_queue", account)
        return found if found is not None and self._ours(found, account) else None

    def _named(self, what: str, account: str) -> dict[str, Any] | None:
        """What has the account's name, whoever's it is."""
        key = {"compute_environment": "computeEnvironments", "job_queue": "jobQueues"}[what]
        found = self._aws.call("batch", f"describe_{what}s", **{key: [self._names.of(account)]})[key]
        return next((one for one in found if _there(one)), None)

    def _definitions(self, account: str) -> list[dict[str, Any]]:
        """Active revisions, of all names that begin with the account's."""
        found = self._aws.all("batch", "describe_job_definitions", "jobDefinitions", status="ACTIVE")
        return [one for one in found if one["jobDefinitionName"].startswith(f"{self._names.of(account)}-")
                and self._ours(one, account)]

    def _log_groups(self, account: str) -> list[str]:
        wanted = self._names.logs(account)
        found = self._aws.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=wanted)
        return [one["logGroupName"] for one in found if one["logGroupName"] == wanted]

    def _make_environment(self, spec: Spec, state: str) -> None:
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in self._names.tags(spec.account).items()]
        subnets = self._aws.all("ec2", "describe_subnets", "Subnets", Filters=filters)
        groups = self._aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
        if not subnets or not groups:
            raise TryLater(f"account {spec.account}: its containers come after its network, which AWS does not show",
                           after=timedelta(seconds=5))
        self._create(
            spec.account, "compute_environment", computeEnvironmentName=self._names.of(spec.account), type="MANAGED",
            state=state, serviceRole=self._batch_role(),
            computeResources={"type": "FARGATE", "maxvCpus": fargate.quota(spec),
                              "subnets": [min(one["SubnetId"] for one in subnets)],
                              "securityGroupIds": [min(one["GroupId"] for one in groups)]})

    def _batch_role(self) -> str:
        roles = self._aws.all("iam", "list_roles", "Roles", PathPrefix=BATCH_ROLES)
        if not roles:
            raise unprepared(self._names)
        return str(roles[0]["Arn"])

    def _size(self, spec: Spec, environment: dict[str, Any]) -> None:
        wanted = fargate.quota(spec)
        if environment["computeResources"]["maxvCpus"] != wanted:
            self._aws.settled("batch", "update_compute_environment", computeEnvironment=self._names.of(spec.account),
                              computeResources={"maxvCpus": wanted})

    def _valid(self, account: str) -> bool | None:
        environment = self._environment(account)
        if environment is not None and environment["status"] == "INVALID":
            raise NeedsHuman(f"account {account}: Batch finds its compute environment invalid: "
                             f"{environment.get('statusReason', '')}", remedy="see what AWS says and put it right")
        return True if environment is not None and environment["status"] == "VALID" else None

    def _define(self, spec: Spec) -> None:
        """One definition for each image, of the right size; others are withdrawn. A holder cannot change the image."""
        wanted = {f"{self._names.of(spec.account)}-{number}": self._properties(spec, image)
                  for number, image in enumerate(sorted(spec.images))}
        right: set[str] = set()
        for there in self._definitions(spec.account):
            name = there["jobDefinitionName"]
            if name in right or not _same(wanted.get(name), there["containerProperties"]):
                self._aws.call("batch", "deregister_job_definition", jobDefinition=there["jobDefinitionArn"])
            else:
                right.add(name)
        for name in sorted(wanted.keys() - right):
            self._aws.call("batch", "register_job_definition", jobDefinitionName=name, type="container",
                           platformCapabilities=["FARGATE"], containerProperties=wanted[name],
                           tags=self._names.tags(spec.account))

    def _properties(self, spec: Spec, image: str) -> dict[str, Any]:
        size, role = fargate.job(spec), self._names.role_arn(self._names.job_role)
        return {
            "image": image, "executionRoleArn": role,
            "resourceRequirements": [{"type": "VCPU", "value": size.vcpu}, {"type": "MEMORY", "value": size.memory}],
            "networkConfiguration": {"assignPublicIp": "ENABLED"},
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": self._names.logs(spec.account), "awslogs-region": self._names.region,
                "awslogs-stream-prefix": "job"}},
        }


def _there(thing: dict[str, Any]) -> bool:
    """Batch goes on showing what it has deleted."""
    return bool(thing["status"] != "DELETED")


def _same(wanted: dict[str, Any] | None, there: dict[str, Any]) -> bool:
    """Whether what AWS shows is what we would register; it adds fields of its own."""
    if wanted is None:
        return False

    def norm(value: object) -> str:
        return json.dumps(sorted(value, key=str) if isinstance(value, list) else value, sort_keys=True)

    return all(norm(there.get(key)) == norm(value) for key, value in wanted.items())
