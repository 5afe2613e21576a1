"""The one place where AWS is called: time-outs, standard retries, errors translated, and AWS's own clock kept."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_exponential

from providers.aws.errors import NotYet, translated
from providers.aws.settings import AwsSettings
from providers.protocol import NeedsHuman, SiteError, TryLater

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds to wait for AWS to catch up with itself; whoever called tries again after that."""
CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 5},
                max_pool_connections=32, user_agent_extra="tenure")


class Clock:
    """AWS's time by our clock and the `Date` of its answers, which are cut to whole seconds."""

    def __init__(self, here: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.here = here
        self._offset = timedelta()

    def heard(self, stated: datetime, before: datetime, after: datetime) -> None:
        """An answer dated `stated` came between two readings of ours: the nearest offset that explains it."""
        low, high = stated - after, stated + timedelta(seconds=1) - before
        self._offset = min(max(self._offset, low), high)

    def now(self) -> datetime:
        return self.here() + self._offset


class Aws:
    """Thread-safe; makes a service's client on its first use. `patience`: seconds to wait for AWS to catch up."""

    def __init__(self, settings: AwsSettings, secrets: Mapping[str, str], patience: float = PATIENCE) -> None:
        self.settings = settings
        self.patience = patience
        self.clock = Clock()
        self._secrets = secrets
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._clients: dict[str, Any] = {}
        self._caller = ""
        self._number = ""
        self._zone = ""

    def call(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One call. Raises SiteErrors only."""
        what = f"site {self.settings.site}: aws {service} {operation}"
        before = self.clock.here()
        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise translated(what, error) from error
        if date := answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"):
            self.clock.heard(parsedate_to_datetime(date).astimezone(UTC), before, self.clock.here())
        return answer

    def all(self, service: str, operation: str, key: str, /, **arguments: Any) -> list[Any]:
        """Every item of a listing, whatever number of pages it has."""
        what = f"site {self.settings.site}: aws {service} {operation}"
        found: list[Any] = []
        try:
            for page in self._client(service).get_paginator(operation).paginate(**arguments):
                found += page.get(key, [])
        except (ClientError, BotoCoreError) as error:
            raise translated(what, error) from error
        return found

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds as soon as it is there. TryLater when patience ends."""
        retrying = Retrying(retry=retry_if_result(lambda seen: seen is None), stop=stop_after_delay(self.patience),
                            wait=wait_exponential(0.2, max=3))
        try:
            found: T | None = retrying(look)
        except RetryError as error:
            raise TryLater(f"{what}: not within {self.patience:g} s", after=timedelta(seconds=5)) from error
        assert found is not None
        return found

    def settled(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """One call, and again while AWS says that it has not caught up; when patience ends, that is its answer."""
        retrying = Retrying(retry=retry_if_exception_type(NotYet), stop=stop_after_delay(self.patience),
                            wait=wait_exponential(0.2, max=3), reraise=True)
        answer: dict[str, Any] = retrying(self.call, service, operation, **arguments)
        return answer

    @property
    def caller(self) -> str:
        """ARN of the principal that Tenure is; of a role, the role and not one session of it. A session's own ARN
        has not the role's path, and `aws:PrincipalArn` has: only IAM knows it."""
        if not self._caller:
            arn = self._identity()["Arn"]
            _, _, session = arn.partition(":assumed-role/")
            self._caller = self._role_arn(session.split("/")[0]) if session else arn
        return self._caller

    def _role_arn(self, role: str) -> str:
        try:
            return str(self.call("iam", "get_role", RoleName=role)["Role"]["Arn"])
        except NeedsHuman as refused:
            raise NeedsHuman(str(refused), remedy=f"let Tenure's role {role} do iam:GetRole on itself: no holder gets a"
                             " session unless the roles' trust has its whole ARN") from refused

    @property
    def number(self) -> str:
        """The AWS account's number."""
        if not self._number:
            self._number = str(self._identity()["Account"])
        return self._number

    def _identity(self) -> dict[str, Any]:
        return self.call("sts", "get_caller_identity")

    @property
    def partition(self) -> str:
        """`aws` or `aws-cn`, by the region."""
        return str(self._boto().get_partition_for_region(self.settings.region))

    @property
    def zone(self) -> str:
        """The first availability zone: a volume can be attached only in the zone of the subnets."""
        if not self._zone:
            usable = [{"Name": "state", "Values": ["available"]}]
            found = self.call("ec2", "describe_availability_zones", Filters=usable)
            self._zone = min(zone["ZoneName"] for zone in found["AvailabilityZones"])
        return self._zone

    def close(self) -> None:
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _boto(self) -> boto3.Session:
        if self._session is None:
            self._session = boto3.Session(
                aws_access_key_id=self._secrets.get("access_key_id") or None,
                aws_secret_access_key=self._secrets.get("secret_access_key") or None,
                aws_session_token=self._secrets.get("session_token") or None,
                region_name=self.settings.region,
            )
        return self._session

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._boto().client(
                    service, config=CONFIG, endpoint_url=self.settings.endpoint_url or None)
            return self._clients[service]


def each(*acts: Callable[[], object]) -> None:
    """Do all of them, whatever fails; then the first failure is the caller's."""
    failed = []
    for act in acts:
        try:
            act()
        except SiteError as error:
            failed.append(error)
    if failed:
        raise failed[0]
