"""A host as a site, whichever kind: every call is one request to the on-site program over a kept SSH connection."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Literal

from providers.host import batches, certificates, door, prepare, settings, shell, ssh, unprepare, wire
from providers.host.agent import Agent, Stream
from providers.host.part import HostPart
from providers.host.wire import BATCH, CLEANED, FENCE, QUICK, WORK
from providers.protocol import (
    AlreadyFenced,
    Armed,
    Capacity,
    Cleaned,
    Credential,
    Fenced,
    Finding,
    Leftover,
    NeedsHuman,
    Opened,
    Outage,
    Part,
    PartName,
    Refused,
    SiteError,
    Spec,
    Usage,
    checked_account,
    checked_generation,
)

MOST_SKEW = 2.0
OF_HOST = ("operator_key", "ca_key")
"""The keys that Tenure makes for a site that is a host."""


def known_secrets(name: str, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """The secrets that every host needs: `operator_key` and `ca_key`, OpenSSH private keys; for `prepare` only, and
    kept nowhere, `bootstrap_key` (else the SSH agent's keys are used)."""
    missing = [secret for secret in OF_HOST if not secrets.get(secret)]
    if missing:
        raise NeedsHuman(f"site {name}: no {missing[0]} is known", remedy=f"tenure apply makes the keys of site {name}")
    return secrets


class HostSite:
    """Thread-safe; connects on first use and keeps the connection. A kind names its five parts."""

    kinds: tuple[type[HostPart], ...]
    short: float = QUICK
    """Seconds for what changes a lease or reads a meter: more where the host asks a cluster for that."""

    def __init__(
        self,
        host: settings.HostSettings,
        secrets: Mapping[str, str],
        start: Callable[[], Stream] | None = None,
    ) -> None:
        """`start` begins the on-site program by other means than SSH."""
        self.name = host.site
        self._host = host
        self._ca = certificates.private_key(secrets["ca_key"], f"site {self.name}: ca_key")
        self._operator = certificates.private_key(secrets["operator_key"], f"site {self.name}: operator_key")
        login = ssh.login_key(secrets["operator_key"], f"site {self.name}: operator_key")
        self._bootstrap_key = secrets.get("bootstrap_key", "")
        self._connection = ssh.Connection(host.login, lambda: [login])
        self._agent = Agent(start or self._serve, f"site {self.name}")
        self.parts: Mapping[PartName, Part] = {kind.name: kind(self._agent, f"site {self.name}") for kind in self.kinds}

    def now(self) -> datetime:
        return wire.read_now(self._agent.call("now", timeout=QUICK, urgent=True))

    def knock(self) -> None:
        """Where Tenure logs in: what holders connect to may lead there from outside only."""
        door.knock(self._host.login)

    def reaper(self) -> Finding:
        """A host with a program of before this question cannot answer it."""
        try:
            (found,) = wire.read_findings([self._agent.call("reaper", timeout=QUICK)])
            return found
        except Refused as unknown:
            return Finding("reaper", False, str(unknown), f"tenure site prepare {self.name}")

    def arm(self, spec: Spec, end: datetime, generation: int) -> Armed | AlreadyFenced:
        return wire.read_end(self._lease("arm", spec.account, generation, urgent=True, end=wire.seconds(end)))

    def open(self, spec: Spec, duration: timedelta, generation: int) -> Opened:
        if duration <= timedelta(0):
            raise Refused(f"account {spec.account}: a lease of {duration} cannot be opened")
        return wire.read_opened(self._lease("open", spec.account, generation, duration=duration.total_seconds()))

    def issue(self, spec: Spec, holder_key: str, end: datetime) -> Credential:
        """The principal is installed first, and only with open logins: no certificate is made for a fenced account."""
        account, key = checked_account(spec.account), certificates.holder_key(holder_key)
        name = certificates.principal(self._ca, account, key)
        until = end.astimezone(UTC).replace(microsecond=0)
        line = certificates.mint(self._ca, key, account, name, self.now(), until)
        self._agent.call("principal", timeout=QUICK, account=account, principal=name, expires=wire.seconds(until))
        at = self._host.door
        return Credential(line, f"tn-{account}@{at.host}", at.port, (at.known_hosts(),), until)

    def rescue(self, spec: Spec, holder_key: str, until: datetime) -> Credential:
        """The site's answer comes first, as for `issue`; its principal is another one than that of logins."""
        account, key = checked_account(spec.account), certificates.holder_key(holder_key)
        name = f"{certificates.principal(self._ca, account, key)}:rescue"
        end = until.astimezone(UTC).replace(microsecond=0)
        line = certificates.mint(self._ca, key, account, name, self.now(), end, terminal=False)
        self._agent.call("rescue", timeout=QUICK, account=account, principal=name, until=wire.seconds(end))
        at = self._host.door
        return Credential(line, f"tn-{account}@{at.host}", at.port, (at.known_hosts(),), end)

    def export(self, account: str, include: Sequence[str], put: Callable[[bytes], object]) -> int:
        """Over the operator's own connection."""
        answer = self._agent.pieces("export", idle=WORK, put=put, account=checked_account(account),
                                    include=list(include))
        return wire.read_size(answer)

    def fence(self, batch: Sequence[tuple[str, int]], by: Literal["end", "operator"]) -> list[Fenced]:
        def ask(sound: list[tuple[str, int]]) -> list[Fenced]:
            answer = self._agent.call("fence", timeout=FENCE, urgent=True, batch=[list(one) for one in sound], by=by)
            return wire.read_fenced(answer, [account for account, _ in sound])

        return batches.each(batch, BATCH, ask, lambda account, wrong: Fenced(account, None, wrong))

    def unfence(self, spec: Spec, generation: int, end: datetime) -> Armed | AlreadyFenced:
        return wire.read_end(self._lease("unfence", spec.account, generation, end=wire.seconds(end)))

    def warn(self, account: str, text: str) -> None:
        self._agent.call("notice", timeout=QUICK, account=checked_account(account), text=text)

    def leftovers(self, account: str) -> list[Leftover]:
        return wire.read_leftovers(self._agent.call("leftovers", timeout=WORK, account=checked_account(account)))

    def clean(self, batch: Sequence[tuple[str, int]]) -> list[Cleaned]:
        def ask(sound: list[tuple[str, int]]) -> list[Cleaned]:
            answer = self._agent.call("clean", timeout=WORK, batch=[list(one) for one in sound])
            return wire.read_cleaned(answer, [account for account, _ in sound])

        return batches.each(batch, CLEANED, ask, Cleaned)

    def accounts(self) -> list[str]:
        return wire.read_accounts(self._agent.call("accounts", timeout=WORK))

    def usage(self, account: str, since: datetime) -> list[Usage]:
        begun = wire.seconds(since)
        answer = self._agent.call("usage", timeout=self.short, account=checked_account(account), since=begun)
        return wire.read_usage(answer)

    def stored(self, account: str) -> int | None:
        return wire.read_stored(self._agent.call("stored", timeout=QUICK, account=checked_account(account)))

    def outages(self, since: datetime) -> list[Outage]:
        return wire.read_outages(self._agent.call("outages", timeout=QUICK, since=wire.seconds(since)))

    def capacity(self) -> Capacity:
        return wire.read_capacity(self._agent.call("capacity", timeout=self.short))

    def check(self) -> list[Finding]:
        """A site that cannot be reached is a finding too: the operator asked what is wrong."""
        try:
            clock, version = self._clock(), self._version()
            return [clock, version, *wire.read_findings(self._agent.call("check", timeout=WORK))]
        except SiteError as failed:
            remedy = failed.remedy if isinstance(failed, NeedsHuman) else "see that the host is up and reachable"
            return [Finding("reachable", False, str(failed), remedy)]

    def prepare(self, dry_run: bool) -> list[str]:
        with closing(self._bootstrap()) as on:
            said = prepare.apply(on, self._host, self._ca_line, self._operator_line, dry_run=dry_run)
        self._agent.close()
        if not dry_run:
            prepare.confirm(self._agent.hello().version, self.name)
        return said

    def unprepare(self, dry_run: bool) -> list[str]:
        if not dry_run:
            self.close()
        with closing(self._bootstrap()) as on:
            return unprepare.take_away(on, self._host, dry_run=dry_run)

    def close(self) -> None:
        self._agent.close()
        self._connection.close()

    @property
    def _ca_line(self) -> str:
        return certificates.public_line(self._ca.public_key())

    @property
    def _operator_line(self) -> str:
        return certificates.public_line(self._operator.public_key())

    def _serve(self) -> Stream:
        return self._connection.open(shell.quoted(prepare.serve(self._host)))

    def _bootstrap(self) -> shell.Remote:
        """The host as somebody who may change it: a login given now, root or with sudo."""
        who = ssh.Address(
            self.name, self._host.address, self._host.port, self._host.bootstrap_user, self._host.host_key
        )
        pem = self._bootstrap_key
        keys = (lambda: [ssh.login_key(pem, "bootstrap_key")]) if pem else ssh.agent_keys
        let_in = f"give --as and --identity of a login of your own that the host accepts; {who.user}'s was tried"
        return shell.Remote(ssh.Connection(who, keys, let_in), sudo="" if who.user == "root" else self._host.paths.sudo)

    def _lease(self, op: str, account: str, generation: int, urgent: bool = False, **arguments: object) -> object:
        checked_generation(generation)
        return self._agent.call(
            op, timeout=self.short, urgent=urgent, account=checked_account(account), generation=generation, **arguments
        )

    def _clock(self) -> Finding:
        """The site's clock beside ours, read between two readings of ours; half the way between is the best guess."""
        before = datetime.now(UTC)
        site = self.now()
        after = datetime.now(UTC)
        offset = (site - (before + (after - before) / 2)).total_seconds()
        return Finding("clock", abs(offset) <= MOST_SKEW, f"{offset:+.3f} s off ours", "set the host's clock (NTP)")

    def _version(self) -> Finding:
        there, ours = self._agent.hello().version, prepare.version()
        return Finding("on-site program", there == ours, there, f"tenure site prepare {self.name}")
