"""Runs accounts' stacks: several at once, each in a process of Pulumi's CLI that works through our own provider."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final
from urllib.parse import quote

from providers.protocol import NeedsHuman, PartName, Refused, Seen, Site, SiteError, Spec, Stale
from providers.resident import PROJECT, InFlight, Purpose, ResidentProvider, Run
from stacks import cli, secrets
from stacks.backend import files_of, write_new
from stacks.errors import StackError, StackFailed, StackLocked, StackMissing
from stacks.events import Change, changes, refreshed
from stacks.language import Language

LIMIT: Final = timedelta(minutes=5)
"""For one run of the CLI. A part's own calls have shorter limits."""
PATIENCE: Final = timedelta(seconds=10)
"""With a lock held by another process of this machine."""
WORST: Final = (Stale, Refused, NeedsHuman, SiteError)
"""When several parts failed, the one is raised after which trying again makes least sense."""


def utc_now() -> datetime:
    """This machine's clock; for the age of locks only."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Outputs:
    """The five parts as the site showed them when they were made or last changed."""

    parts: Mapping[PartName, Seen]


class Stacks:
    """All accounts' stacks in one backend. Thread-safe; one operation per account at a time."""

    def __init__(
        self,
        backend_url: str | None,
        home: Path,
        passphrase: str,
        at_once: int = 4,
        limit: timedelta = LIMIT,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`home` is Tenure's own directory for Pulumi's files and, without `backend_url`, for the states too. No run of
        the CLI takes longer than `limit`."""
        self.home = home
        url = backend_url or f"file://{quote(str(home / 'states'))}"
        self._passphrase = passphrase
        self._limit = limit
        self._clock = clock
        self._files = files_of(url)
        self._url = self._files.url if self._files else url
        self._places = BoundedSemaphore(at_once)
        self._provider = ResidentProvider(threads=at_once * 16)
        self._cli = Path()

    def start(self) -> None:
        """Find the CLI, make the directories, listen on loopback."""
        self._cli = cli.required()
        for place in ("pulumi", "program", "runs"):
            (self.home / place).mkdir(parents=True, exist_ok=True, mode=0o700)
        # The runtime's name is never used: each run brings its own language host.
        write_new(self.home / "program" / "Pulumi.yaml", f"name: {PROJECT}\nruntime: python\n")
        secrets.config_file(self.home / "settings.yaml", self._passphrase)
        if self._files:
            self._files.prepare()
        self._provider.start(also=Language(self._provider).add_to)

    def close(self) -> None:
        """Stop listening."""
        self._provider.close()

    def __enter__(self) -> "Stacks":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def up(self, account: str, spec: Spec, site: Site) -> Outputs:
        """Make the account's parts what the spec says, or raise what the part that failed raised."""
        same(account, spec)
        with self._begin(spec, site, "up") as run:
            if self._files:
                self._files.check(account)
                self._files.create(account)
            argv = ["up", "--yes", "--skip-preview", *self._client()]
            try:
                self._operate(run, argv)
            except StackMissing:
                self._pulumi(account, ["stack", "init", account])
                self._operate(run, argv)
            return Outputs(dict(run.seen))

    def preview(self, account: str, spec: Spec, site: Site) -> list[Change]:
        """What `up` would change, compared with the site itself. Changes nothing."""
        same(account, spec)
        with self._begin(spec, site, "preview") as run, self._log() as log:
            self._there(account)
            argv = ["preview", "--refresh=true", "--event-log", log.name, *self._client()]
            self._operate(run, argv)
            return changes(Path(log.name))

    def refresh(self, account: str, spec: Spec, site: Site) -> list[Change]:
        """Look at the site and note in the state what is not as it was made."""
        same(account, spec)
        with self._begin(spec, site, "refresh") as run, self._log() as log:
            self._there(account)
            argv = ["refresh", "--yes", "--skip-preview", "--event-log", log.name, *self._client()]
            self._operate(run, argv)
            return refreshed(Path(log.name))

    def destroy(self, account: str, spec: Spec, site: Site) -> None:
        """Remove the account's parts, the last one first. What an interrupted `up` made without noting it is not
        among them: ask the site for leftovers."""
        same(account, spec)
        with self._begin(spec, site, "destroy") as run:
            if not self.exists(account):
                return
            self._there(account)
            self._operate(run, ["destroy", "--yes", "--skip-preview", *self._client()])

    def exists(self, account: str) -> bool:
        """Whether there is a stack for this account."""
        if self._files:
            return self._files.exists(account)
        try:
            self._export(account)
        except StackMissing:
            return False
        return True

    def remove(self, account: str) -> None:
        """Forget the stack of an account that holds nothing any more. Already gone is success."""
        if self._files:
            self._files.remove(account)
        elif self.exists(account):
            self._pulumi(account, ["stack", "rm", account, "--yes", "--preserve-config", "--remove-backups"])

    def repair(self, account: str) -> list[str]:
        """Put right what an interrupted run left behind, and say what it was. Only for a caller who knows that nobody
        else runs this stack. A state that cannot be read stays as it is: StackBroken."""
        if self._files:
            self._files.check(account)
        state = self._export(account)
        done = []
        self._pulumi(account, ["cancel", "--yes", account])
        pending = state["deployment"].pop("pending_operations", None)
        if pending:
            with tempfile.NamedTemporaryFile("w", dir=self.home / "runs", suffix=".json") as file:
                json.dump(state, file)
                file.flush()
                self._pulumi(account, ["stack", "import", "--stack", account, "--file", file.name])
            done += [f"forgot an interrupted {each['type']} of {each['resource']['urn']}" for each in pending]
        return done

    def _begin(self, spec: Spec, site: Site, purpose: Purpose) -> "Begun":
        return Begun(self._provider, self._places, spec, site, purpose)

    def _there(self, account: str) -> None:
        if not self._files:
            return
        self._files.check(account)
        if not self._files.exists(account):
            raise StackMissing(f"stack {account}: there is none")

    def _operate(self, run: Run, argv: Sequence[str]) -> None:
        """One run that touches the site. A lock whose holder is no more is taken away."""
        account = run.spec.account
        argv = [*argv, "--stack", account, "--suppress-outputs", "--suppress-progress", *self._settings()]
        try:
            self._once(run, argv)
        except StackLocked as error:
            if not self._let_go(error.holder):
                raise
            self.repair(account)
            self._once(run, argv)

    def _let_go(self, holder: str) -> bool:
        """Whether a lock's holder is certainly no more: gone from this machine, or of any machine and older than a run
        can be (as long again is left for its clock)."""
        since = cli.held_since(holder)
        return (since is not None and self._clock() - since > 2 * self._limit) or cli.holder_ends(holder, PATIENCE)

    def _once(self, run: Run, argv: Sequence[str]) -> None:
        try:
            self._pulumi(run.spec.account, argv)
        except StackError as error:
            worst = worst_of(run.errors)
            if worst is None:
                raise
            raise worst from error

    def _pulumi(self, account: str, argv: Sequence[str]) -> str:
        """One run of the CLI, with its output; anything but success raises."""
        command = [str(self._cli), "--non-interactive", "--color", "never", *argv]
        done = cli.run(command, self.home / "program", self._environment(), self._limit)
        if done.code != 0 or done.timed_out:
            raise cli.failure(account, done, secrets=[self._passphrase, self._url])
        return done.output

    def _export(self, account: str) -> dict[str, Any]:
        exported: dict[str, Any] = json.loads(self._pulumi(account, ["stack", "export", "--stack", account]))
        return exported

    def _client(self) -> list[str]:
        return [f"--client=127.0.0.1:{self._provider.port}"]

    def _settings(self) -> list[str]:
        return ["--config-file", str(self.home / "settings.yaml")]

    def _log(self) -> "tempfile._TemporaryFileWrapper[bytes]":
        return tempfile.NamedTemporaryFile(dir=self.home / "runs", suffix=".events")

    def _environment(self) -> dict[str, str]:
        """The worker's own, for the clouds' credentials in it, without what is Tenure's or another Pulumi's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "TENURE_"))}
        return kept | {
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_BACKEND_URL": self._url,
            "PULUMI_CONFIG_PASSPHRASE": self._passphrase,
            "PULUMI_DEBUG_PROVIDERS": f"{PROJECT}:{self._provider.port}",
            "PULUMI_DEBUG_COMMANDS": "true",  # where the engine's event log is
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_LOG_ROTATION_MAX_TOTAL_MB": "20",
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",  # the `.bak` stays
        }


class Begun:
    """A place among the runs that may go on at once, and the registration of one of them."""

    def __init__(
        self, provider: ResidentProvider, places: BoundedSemaphore, spec: Spec, site: Site, purpose: Purpose
    ) -> None:
        self._places = places
        self._registration = provider.begin(spec, site, purpose)

    def __enter__(self) -> Run:
        try:
            run = self._registration.__enter__()
        except InFlight as error:
            raise StackLocked(str(error)) from error
        self._places.acquire()
        return run

    def __exit__(self, *raised: Any) -> None:
        self._places.release()
        self._registration.__exit__(*raised)


def same(account: str, spec: Spec) -> None:
    """A spec names its account; the caller must mean the same one."""
    if spec.account != account:
        raise StackFailed(f"stack {account}: the spec given is of account {spec.account}")


def worst_of(errors: Sequence[Exception]) -> Exception | None:
    """The error that decides who acts next."""
    for kind in WORST:
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0] if errors else None
