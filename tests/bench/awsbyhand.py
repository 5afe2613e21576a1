"""The floor at AWS: the same account by the same calls, typed by hand with raw boto3. No lease, no checks, no proof."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.lab.moto import Moto

DENY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
ALLOW = DENY.replace("Deny", "Allow")
LOOK = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


class ByHand:
    """One account in the VPC that `tenure site prepare` has made."""

    def __init__(self, server: Moto, number: int) -> None:
        self.name, self.number = f"hand-{number}", number
        self.client: dict[str, Any] = {service: server.client(service) for service in (
            "iam", "ec2", "batch", "scheduler", "logs")}
        self.vpc = self.client["ec2"].describe_vpcs(Filters=[{"Name": "tag-key", "Values": ["tenure-site"]}])["Vpcs"][0]
        role = self.client["iam"].list_roles(PathPrefix="/aws-service-role/batch")["Roles"][0]
        self.batch_role = role["Arn"]
        self.made: dict[str, str] = {}

    def make(self) -> None:
        iam, ec2, batch, name = self.client["iam"], self.client["ec2"], self.client["batch"], self.name
        self.made["policy"] = iam.create_policy(PolicyName=name, PolicyDocument=ALLOW)["Policy"]["Arn"]
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ALLOW, PermissionsBoundary=self.made["policy"])
        for what in ("deny", "queue", "environment", "stop"):
            self.client["scheduler"].create_schedule(
                Name=f"{name}-{what}", ScheduleExpression="at(2999-01-01T00:00:00)", FlexibleTimeWindow={"Mode": "OFF"},
                Target={"Arn": "arn:aws:scheduler:::aws-sdk:batch:updateJobQueue", "RoleArn": role["Role"]["Arn"],
                        "Input": json.dumps({"JobQueue": name, "State": "DISABLED"})})
        self.made["volume"] = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=1, VolumeType="gp3",
                                                Encrypted=True)["VolumeId"]
        block = self.vpc["CidrBlock"].split(".")
        self.made["subnet"] = ec2.create_subnet(
            VpcId=self.vpc["VpcId"], CidrBlock=f"{block[0]}.{block[1]}.200.{16 * self.number}/28",
            AvailabilityZone="eu-central-1a")["Subnet"]["SubnetId"]
        self.made["group"] = ec2.create_security_group(GroupName=name, VpcId=self.vpc["VpcId"],
                                                       Description="x")["GroupId"]
        self.client["logs"].create_log_group(logGroupName=name)
        batch.create_compute_environment(
            computeEnvironmentName=name, type="MANAGED", state="ENABLED", serviceRole=self.batch_role,
            computeResources={"type": "FARGATE", "maxvCpus": 1, "subnets": [self.made["subnet"]],
                              "securityGroupIds": [self.made["group"]]})
        batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=[
            {"order": 1, "computeEnvironment": name}])
        self.made["definition"] = batch.register_job_definition(
            jobDefinitionName=name, type="container", platformCapabilities=["FARGATE"],
            containerProperties={"image": "busybox", "executionRoleArn": role["Role"]["Arn"], "resourceRequirements": [
                {"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "1024"}]})["jobDefinitionArn"]
        iam.put_role_policy(RoleName=name, PolicyName="holder", PolicyDocument=ALLOW)

    def fence(self) -> None:
        batch, name = self.client["batch"], self.name
        self.client["iam"].put_role_policy(RoleName=name, PolicyName="fence", PolicyDocument=DENY)
        batch.update_job_queue(jobQueue=name, state="DISABLED")
        batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
        for state in LOOK:
            batch.list_jobs(jobQueue=name, jobStatus=state)

    def remove(self) -> None:
        iam, ec2, batch, name = self.client["iam"], self.client["ec2"], self.client["batch"], self.name
        batch.delete_job_queue(jobQueue=name)
        batch.delete_compute_environment(computeEnvironment=name)
        batch.deregister_job_definition(jobDefinition=self.made["definition"])
        self.client["logs"].delete_log_group(logGroupName=name)
        ec2.delete_security_group(GroupId=self.made["group"])
        ec2.delete_subnet(SubnetId=self.made["subnet"])
        ec2.delete_volume(VolumeId=self.made["volume"])
        for what in ("deny", "queue", "environment", "stop"):
            self.client["scheduler"].delete_schedule(Name=f"{name}-{what}")
        for policy in ("holder", "fence"):
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)
        iam.delete_policy(PolicyArn=self.made["policy"])


def accounts(server: Moto, count: int) -> dict[str, list[float]]:
    """Make so many accounts by hand, fence each and take it away again; seconds of each act."""
    took: dict[str, list[float]] = {"make": [], "fence": [], "remove": []}
    for number in range(count):
        one = ByHand(server, number)
        acts: dict[str, Callable[[], None]] = {"make": one.make, "fence": one.fence, "remove": one.remove}
        for name, act in acts.items():
            began = time.monotonic()
            act()
            took[name].append(time.monotonic() - began)
    return took
