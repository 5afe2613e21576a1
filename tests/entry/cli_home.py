"""A home folder of Tenure and its command line, run in this process: real database, a site in memory behind a file."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestrator.app import App
from orchestrator.entry.cli.main import main
from orchestrator.flows.work.sweep import Sweep
from orchestrator.lifecycle.due import Owed
from tests.entry.parts_only import PartsOnly

OFFER = """\
offers:
  - name: {name}
    containers: 1
    cpu: 0.5
    memory: 128MiB
    pids: 128
    storage: 48MiB
    network: {{rate: 20Mbit/s, egress: 5MiB}}
    duration: {duration}
    images: [docker.io/library/busybox:1.36]
    warn_before: []
    grace: {grace}
"""
SITE = """\
sites:
  - name: rehearsal
    kind: memory
    settings: {{file: {file}}}
    places: [{{offer: {name}, count: 100}}]
"""
HOLDER = ("--holder-id", "lab-7", "--holder-name", "某某大学", "--email", "lab@example.edu.cn", "--kind", "university")


@dataclass(frozen=True)
class Said:
    """What one command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        assert self.out, self.err
        return json.loads(self.out)


@dataclass
class Home:
    """One installation, as its operator sees it."""

    folder: Path

    def __call__(self, *words: str, stdin: str = "") -> Said:
        """Run `tenure …` on this home."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "stdin", io.StringIO(stdin)):
            code = main(["--home", str(self.folder), *words])
        return Said(code, out.getvalue(), err.getvalue())

    def write(self, name: str, text: str) -> str:
        """A file beside the home; its path."""
        file = self.folder.parent / name
        file.write_text(text)
        return str(file)

    def voucher(self) -> str:
        """A file with one fresh code."""
        code = self("voucher", "issue", "--offer", "trial", "--valid-for", "1d").out
        return self.write("code", code)

    def redeemed(self) -> str:
        """The id of a fresh account that is yet to be made."""
        return str(self("redeem", "--sender", "portal", *HOLDER, self.voucher(), "--json").json["account"])

    def active(self) -> str:
        """The id of a fresh account that is usable; made by a worker without Pulumi."""
        account = self.redeemed()
        self.work(Owed.PROVISION)
        return account

    def work(self, *owed: Owed) -> None:
        """Let a worker do once what is owed of these kinds."""
        with App.open(self.folder, stacks=PartsOnly()) as app, Sweep(app.ctx, frozenset(owed)) as sweep:
            sweep.tick(app.ctx.clock())
            assert sweep.idle(30)


def made(folder: Path, duration: str = "1h", grace: str = "1h") -> Home:
    """A home with one offer (`trial`), one site (`rehearsal`) and one sender (`portal`)."""
    home = Home(folder / "home")
    assert home("init").code == 0
    offer = home.write("offers.yaml", OFFER.format(name="trial", duration=duration, grace=grace))
    site = home.write("site.yaml", SITE.format(name="trial", file=folder / "world"))
    applied = home("apply", "-f", offer, "-f", site)
    assert applied.code == 0, applied.err
    assert home("sender", "add", "portal").code == 0
    return home
