"""What the site needs before its first account: table, roles, schedule group, state machine, VPC. Made by `prepare`."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from providers.aws import ends, policies
from providers.aws.containers import BATCH_ROLES
from providers.aws.edge import Aws
from providers.aws.errors import Exists, Gone
from providers.aws.names import SITE_TAG, Names, listed

BATCH = "batch.amazonaws.com"


@dataclass(frozen=True)
class Piece:
    """One thing that `prepare` makes."""

    what: str
    there: Callable[[], bool]
    make: Callable[[], object]
    take: Callable[[], object]


class Ground:
    """All pieces, in the order in which they are made."""

    def __init__(self, aws: Aws, names: Names) -> None:
        self._aws = aws
        self._names = names
        self.pieces = (
            Piece(f"table of leases {names.table}", self._table, self._make_table, self._take_table),
            self._role(names.end_role, ("scheduler.amazonaws.com", "states.amazonaws.com"), policies.ends_alone),
            self._role(names.job_role, ("ecs-tasks.amazonaws.com",), policies.runs_jobs),
            Piece("Batch's service-linked role", self._batch, self._make_batch, lambda: None),
            Piece(f"schedule group {names.group}", self._group, self._make_group, self._take_group),
            Piece(f"state machine {names.machine}", self._machine, self._make_machine, self._take_machine),
            Piece(f"VPC {aws.settings.vpc_cidr} with a way out", self._network, self._make_network, self._take_network),
        )

    def prepare(self, dry_run: bool) -> list[str]:
        said = []
        for piece in self.pieces:
            if not piece.there():
                said.append(f"{piece.what}: {'would be made' if dry_run else 'made'}")
                if not dry_run:
                    piece.make()
        return said

    def unprepare(self, dry_run: bool) -> list[str]:
        said = []
        for piece in reversed(self.pieces):
            if piece.there() and piece.what != "Batch's service-linked role":
                said.append(f"{piece.what}: {'would be taken away' if dry_run else 'taken away'}")
                if not dry_run:
                    piece.take()
        return said

    def _finds(self, service: str, operation: str, **which: Any) -> dict[str, Any] | None:
        try:
            return self._aws.call(service, operation, **which)
        except Gone:
            return None

    def _table(self) -> bool:
        return self._finds("dynamodb", "describe_table", TableName=self._names.table) is not None

    def _make_table(self) -> None:
        name = self._names.table
        with suppress(Exists):
            self._aws.call("dynamodb", "create_table", TableName=name, BillingMode="PAY_PER_REQUEST",
                           AttributeDefinitions=[{"AttributeName": "account", "AttributeType": "S"}],
                           KeySchema=[{"AttributeName": "account", "KeyType": "HASH"}],
                           Tags=listed(self._names.own_tags))
        self._aws.until(f"site {self._names.site}: table {name} is active", self._active)

    def _active(self) -> bool | None:
        found = self._aws.call("dynamodb", "describe_table", TableName=self._names.table)
        return True if found["Table"]["TableStatus"] == "ACTIVE" else None

    def _take_table(self) -> None:
        self._finds("dynamodb", "delete_table", TableName=self._names.table)

    def _role(self, name: str, services: tuple[str, ...], document: Callable[[Names], policies.Document]) -> Piece:
        """A role of the site's own, with the one inline policy it needs."""
        def right() -> bool:
            found = self._finds("iam", "get_role_policy", RoleName=name, PolicyName=name)
            return found is not None and found["PolicyDocument"] == document(self._names)

        def make() -> None:
            with suppress(Exists):
                self._aws.call("iam", "create_role", RoleName=name, Path=self._names.path,
                               AssumeRolePolicyDocument=policies.text(policies.service_trust(*services)),
                               Tags=listed(self._names.own_tags))
            self._aws.call("iam", "put_role_policy", RoleName=name, PolicyName=name,
                           PolicyDocument=policies.text(document(self._names)))

        def take() -> None:
            self._finds("iam", "delete_role_policy", RoleName=name, PolicyName=name)
            self._finds("iam", "delete_role", RoleName=name)

        return Piece(f"role {name}", right, make, take)

    def _batch(self) -> bool:
        return bool(self._aws.all("iam", "list_roles", "Roles", PathPrefix=BATCH_ROLES))

    def _make_batch(self) -> None:
        self._aws.call("iam", "create_service_linked_role", AWSServiceName=BATCH)

    def _group(self) -> bool:
        return self._finds("scheduler", "get_schedule_group", Name=self._names.group) is not None

    def _make_group(self) -> None:
        self._aws.call("scheduler", "create_schedule_group", Name=self._names.group, Tags=listed(self._names.own_tags))

    def _take_group(self) -> None:
        self._finds("scheduler", "delete_schedule_group", Name=self._names.group)

    def _machine(self) -> bool:
        found = self._finds("stepfunctions", "describe_state_machine", stateMachineArn=self._names.machine_arn())
        return found is not None and json.loads(found["definition"]) == ends.machine(self._names)

    def _make_machine(self) -> None:
        definition, role = json.dumps(ends.machine(self._names)), self._names.role_arn(self._names.end_role)
        if self._finds("stepfunctions", "describe_state_machine", stateMachineArn=self._names.machine_arn()):
            self._aws.call("stepfunctions", "update_state_machine", stateMachineArn=self._names.machine_arn(),
                           definition=definition, roleArn=role)
            return
        self._aws.call("stepfunctions", "create_state_machine", name=self._names.machine, definition=definition,
                       roleArn=role, tags=[{"key": SITE_TAG, "value": self._names.site}])

    def _take_machine(self) -> None:
        self._finds("stepfunctions", "delete_state_machine", stateMachineArn=self._names.machine_arn())

    def _mine(self, operation: str, key: str) -> list[dict[str, Any]]:
        return self._aws.all("ec2", operation, key, Filters=[
            {"Name": f"tag:{SITE_TAG}", "Values": [self._names.site]}])

    def _network(self) -> bool:
        vpcs = self._mine("describe_vpcs", "Vpcs")
        gateways = self._mine("describe_internet_gateways", "InternetGateways")
        return bool(vpcs and gateways and gateways[0]["Attachments"] and self._way_out(vpcs[0]["VpcId"]))

    def _way_out(self, vpc: str) -> bool:
        return any(route.get("DestinationCidrBlock") == "0.0.0.0/0"
                   for table in self._tables(vpc) for route in table["Routes"])

    def _tables(self, vpc: str) -> list[dict[str, Any]]:
        return self._aws.all("ec2", "describe_route_tables", "RouteTables",
                             Filters=[{"Name": "vpc-id", "Values": [vpc]}])

    def _make_network(self) -> None:
        vpcs = self._mine("describe_vpcs", "Vpcs") or [self._aws.call(
            "ec2", "create_vpc", CidrBlock=self._aws.settings.vpc_cidr, TagSpecifications=self._tagged("vpc"))["Vpc"]]
        gateways = self._mine("describe_internet_gateways", "InternetGateways") or [self._aws.call(
            "ec2", "create_internet_gateway", TagSpecifications=self._tagged("internet-gateway"))["InternetGateway"]]
        vpc, gateway = vpcs[0]["VpcId"], gateways[0]["InternetGatewayId"]
        if not gateways[0].get("Attachments"):
            self._aws.settled("ec2", "attach_internet_gateway", VpcId=vpc, InternetGatewayId=gateway)
        if not self._way_out(vpc):
            self._aws.settled("ec2", "create_route", RouteTableId=self._tables(vpc)[0]["RouteTableId"],
                              DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)

    def _take_network(self) -> None:
        vpcs = self._mine("describe_vpcs", "Vpcs")
        for gateway in self._mine("describe_internet_gateways", "InternetGateways"):
            for attached in gateway["Attachments"]:
                self._aws.call("ec2", "detach_internet_gateway", VpcId=attached["VpcId"],
                               InternetGatewayId=gateway["InternetGatewayId"])
            self._aws.call("ec2", "delete_internet_gateway", InternetGatewayId=gateway["InternetGatewayId"])
        for vpc in vpcs:
            self._aws.settled("ec2", "delete_vpc", VpcId=vpc["VpcId"])

    def _tagged(self, kind: str) -> list[dict[str, Any]]:
        tags = self._names.own_tags | {"Name": f"tenure-{self._names.site}"}
        return [{"ResourceType": kind, "Tags": listed(tags)}]
