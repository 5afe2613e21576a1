"""What everything of an account is called at AWS: all of it from the account's id and the site's name."""

from collections.abc import Iterable, Mapping

from providers.aws.edge import Aws
from providers.protocol import ACCOUNT_ID, checked_account

ACCOUNT_TAG = "tenure-account"
SITE_TAG = "tenure-site"


class Names:
    """Names and ARNs at one site. An id is checked here, before it becomes part of any of them."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.site = aws.settings.site
        self.region = aws.settings.region
        self.path = f"/tenure/{self.site}/"
        self.table = f"tenure-{self.site}"
        self.group = f"tenure-{self.site}"
        self.end_role = f"tenure-{self.site}-end"
        self.job_role = f"tenure-{self.site}-job"
        self.machine = f"tenure-{self.site}-stop"

    def of(self, account: str) -> str:
        return f"tn-{checked_account(account)}"

    def boundary(self, account: str) -> str:
        return f"{self.of(account)}-boundary"

    def logs(self, account: str) -> str:
        return f"{self.path}{self.of(account)}"

    def tags(self, account: str) -> dict[str, str]:
        return {ACCOUNT_TAG: checked_account(account), SITE_TAG: self.site}

    @property
    def own_tags(self) -> dict[str, str]:
        """Of what belongs to the site and to no account."""
        return {SITE_TAG: self.site}

    def arn(self, service: str, rest: str, everywhere: bool = False) -> str:
        region = "" if everywhere else self.region
        return f"arn:{self._aws.partition}:{service}:{region}:{self._aws.number}:{rest}"

    def role_arn(self, role: str) -> str:
        return self.arn("iam", f"role{self.path}{role}", everywhere=True)

    def boundary_arn(self, account: str) -> str:
        return self.arn("iam", f"policy{self.path}{self.boundary(account)}", everywhere=True)

    def queue_arn(self, account: str) -> str:
        return self.arn("batch", f"job-queue/{self.of(account)}")

    def definitions_arn(self, account: str) -> str:
        return self.arn("batch", f"job-definition/{self.of(account)}-*")

    def jobs_arn(self) -> str:
        return self.arn("batch", "job/*")

    def logs_arn(self, account: str) -> str:
        return self.arn("logs", f"log-group:{self.logs(account)}*")

    def machine_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.machine}")

    def sdk(self, by: str, action: str) -> str:
        """A call of any AWS API as a target of EventBridge Scheduler or a step of Step Functions."""
        return f"arn:{self._aws.partition}:{by}:::aws-sdk:{action}"


def account_ids(traces: Iterable[str]) -> list[str]:
    """The account ids in names (`tn-<id>-…`) and tags."""
    words = {trace.removeprefix("tn-").split("-")[0] for trace in traces}
    return sorted(word for word in words if ACCOUNT_ID.fullmatch(word))


def listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most services want them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def read(tags: object) -> dict[str, str]:
    """Tags as most services give them."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}  # type: ignore[attr-defined]
