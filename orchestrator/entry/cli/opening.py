"""Opens the home folder for a command. Everything heavy is imported here, when a command needs it, and not before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.entry.cli import output
from orchestrator.entry.cli.output import CommandError

if TYPE_CHECKING:
    from orchestrator.app import App
    from orchestrator.flows.context import Context
    from orchestrator.store.engine import Tx
    from orchestrator.store.senders import Sender
    from orchestrator.store.sites import SiteRow


_named: Path | None = None


def use(folder: Path | None) -> None:
    """The home that this command line names; None: none."""
    global _named
    _named = folder


def home() -> Path:
    """The one named by --home or TENURE_HOME, else ~/.tenure."""
    return (_named or Path.home() / ".tenure").absolute()


def actor() -> str:
    """Who runs this command, for the journal: the Unix user's number, since names are personal data."""
    return f"cli:{os.getuid()}"


@contextmanager
def opened_app(*, make: bool = False) -> Iterator["App"]:
    """The application of this home, closed at the end. `make`: also one whose database is to be made."""
    folder = home()
    if not (folder / "tenure.yaml").exists():
        raise CommandError(f"{folder} is no home of Tenure: run `tenure init`, or name another with --home or "
                           "TENURE_HOME")
    from orchestrator.app import App

    app = App.open(folder, make=make)
    try:
        output.show_times_in(app.ctx.settings.timezone)
        yield app
    finally:
        app.close()


@contextmanager
def opened(*, make: bool = False) -> Iterator["Context"]:
    """What flows are given."""
    with opened_app(make=make) as app:
        yield app.ctx


def sender_named(tx: "Tx", name: str) -> "Sender":
    """The sender, by name or id."""
    from orchestrator.store import senders

    found = senders.get(tx, name)
    if found is None:
        raise CommandError(f"there is no sender {name!r}: `tenure sender list` shows those there are")
    return found


def site_named(tx: "Tx", name: str) -> "SiteRow":
    """The site by its name."""
    from orchestrator.store import sites

    found = sites.get(tx, name)
    if found is None:
        raise CommandError(f"there is no site {name!r}: `tenure site list` shows those there are")
    return found
