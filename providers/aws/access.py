"""Access: what the role may do while the lease lasts, and the session that the holder gets at the claim."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from providers import sealing
from providers.aws import policies
from providers.aws.errors import Gone
from providers.aws.lease import Lease
from providers.aws.names import ACCOUNT_TAG
from providers.aws.part import AwsPart
from providers.protocol import Credential, Fact, Leftover, NeedsHuman, PartName, Spec, TryLater

SHORTEST = 900
"""AWS makes no session shorter than this; its own policy ends it with the lease all the same."""
SPREADING = 10.0
"""Seconds within which a new role's trust may still be unknown to STS."""


class Access(AwsPart):
    """Facts: login (the role), policy."""

    name: PartName = "access"
    identity: frozenset[str] = frozenset({"login"})
    remedy = ("set session_hours: 1 or give Tenure an IAM user; run it as the principal that the roles trust, or arm"
              " their accounts again (`tenure account extend`)")

    def look(self, account: str) -> Mapping[str, Fact] | None:
        if self._role(account) is None:
            return None
        try:
            found = self._aws.call("iam", "get_role_policy", RoleName=self._names.of(account),
                                   PolicyName=policies.HOLDER)
        except Gone:
            return None
        return {"login": self._names.role_arn(self._names.of(account)),
                "policy": policies.text(found["PolicyDocument"])}

    def wanted(self, spec: Spec) -> Mapping[str, Fact]:
        return {"policy": policies.text(policies.holder(self._names, spec.account))}

    def make(self, spec: Spec, lease: Lease) -> None:
        if self._role(spec.account) is None:
            raise TryLater(f"account {spec.account}: its access comes after the account itself, which AWS does not "
                           "show", after=timedelta(seconds=5))
        self._aws.call("iam", "put_role_policy", RoleName=self._names.of(spec.account), PolicyName=policies.HOLDER,
                       PolicyDocument=policies.text(policies.holder(self._names, spec.account)))

    def take(self, account: str) -> None:
        if self._role(account) is None:
            return
        try:
            self._aws.call("iam", "delete_role_policy", RoleName=self._names.of(account), PolicyName=policies.HOLDER)
        except Gone:
            return

    def left(self, account: str) -> list[Leftover]:
        if self._role(account) is None:
            return []
        try:
            found = self._aws.all("iam", "list_role_policies", "PolicyNames", RoleName=self._names.of(account))
        except Gone:
            return []
        return [Leftover("role policy", f"{self._names.of(account)}/{name}") for name in found]

    def everyone(self) -> set[str]:
        """Everything of access hangs on the account's role."""
        return set()

    def fit(self) -> tuple[bool, str]:
        """Whether AWS would give out sessions as they are set up, and what was seen."""
        caller, hours = self._aws.caller, self._aws.settings.session_hours
        if ":role/" in caller and hours > 1:
            return False, f"sessions of {hours} h are set, and AWS gives a role ({caller}) no more than 1 h"
        roles = [role for role in self._aws.all("iam", "list_roles", "Roles", PathPrefix=self._names.path)
                 if role["RoleName"].startswith("tn-")]
        others = [role["RoleName"] for role in roles
                  if policies.trusted(role["AssumeRolePolicyDocument"]) != {caller}]
        if others:
            return False, f"not {caller}, but somebody else is trusted by {', '.join(sorted(others)[:5])}"
        return True, f"sessions of {hours} h; {len(roles)} roles trust {caller}"

    def mint(self, account: str, holder_key: str, end: datetime, now: datetime) -> Credential:
        """A session of the role, sealed to the holder's key: nobody else can read it, we neither."""
        until = end.astimezone(UTC).replace(microsecond=0)
        longest = 3600 * self._aws.settings.session_hours
        seconds = int(min(max((until - now).total_seconds(), SHORTEST), longest))
        made = self._assume(account, seconds, until)["Credentials"]
        expires = min(until, now.replace(microsecond=0) + timedelta(seconds=seconds))
        files = "\n".join([
            f"[tenure-{account}]", f"aws_access_key_id = {made['AccessKeyId']}",
            f"aws_secret_access_key = {made['SecretAccessKey']}", f"aws_session_token = {made['SessionToken']}",
            f"region = {self._names.region}", *self._usage(account, expires), ""])
        sealed = sealing.armored(files.encode(), holder_key)
        return Credential(certificate="", login=self._names.role_arn(self._names.of(account)), port=443, host_keys=(),
                          expires=expires, sealed=sealed)

    def _usage(self, account: str, expires: datetime) -> list[str]:
        name = self._names.of(account)
        return [f"# Over at {expires.isoformat()}. Put this into ~/.aws/credentials; then start a job:",
                f"#   aws --profile tenure-{account} batch submit-job --job-name first --job-queue {name}"
                f" --job-definition {name}-0 --tags {ACCOUNT_TAG}={account}",
                "# and read what it prints:",
                f"#   aws --profile tenure-{account} logs filter-log-events"
                f" --log-group-name {self._names.logs(account)}"]

    def _assume(self, account: str, seconds: int, until: datetime) -> dict[str, Any]:
        """STS learns of a new role some seconds late, and says that it is forbidden meanwhile."""
        name = self._names.of(account)
        retrying = Retrying(retry=retry_if_exception_type(NeedsHuman), stop=stop_after_delay(SPREADING),
                            wait=wait_exponential(0.2, max=2))
        try:
            found: dict[str, Any] = retrying(
                self._aws.call, "sts", "assume_role", RoleArn=self._names.role_arn(name), RoleSessionName=name,
                DurationSeconds=seconds, Policy=policies.text(policies.session(until.timestamp())))
        except RetryError as refused:
            error = refused.last_attempt.exception()
            raise TryLater(f"account {account}: no session yet: {error}", after=timedelta(seconds=5)) from error
        return found
