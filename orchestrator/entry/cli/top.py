"""`tenure top`: the live screen of sites, ends and what is stuck; the same once, or as JSON, for scripts."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import opened
from orchestrator.entry.cli.output import STUCK, Json

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.flows.context import Context
    from orchestrator.flows.overview.model import Overview

EVERY = 1.0
SHARE = 5
"""A look may take up a fifth of the time: where looking is slow, it is done less often."""


def add_to(app: typer.Typer) -> None:
    """Put this command at the top of the tree."""
    app.command(epilog="Example: tenure top --once")(top)


def top(once: Annotated[bool, typer.Option("--once", help="Show it once and end; so it is off a terminal.")] = False,
        json: Json = False) -> None:
    """Sites, ends of the next 24 hours, what is stuck and why, places. Ctrl-C ends it.

    Shown once, the exit code is 3 when an account is stuck or past its end and not known to be fenced.
    """
    from orchestrator.flows.overview.model import overview

    with opened() as ctx:
        if once or json or not sys.stdout.isatty():
            found = overview(ctx)
            if json:
                output.document(found)
            else:
                _print(found)
            if found.stuck or found.unfenced:
                raise typer.Exit(STUCK)
            return
        _watch(ctx)


def _console() -> "Console":
    """Colours and width as the terminal has them, none for NO_COLOR; as wide as needed where nobody looks."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    return console


def _print(found: "Overview") -> None:
    from orchestrator.entry.cli.board import board

    console = _console()
    console.print(board(found, console.width, ascii_only=console.options.ascii_only))


def _watch(ctx: "Context") -> None:
    """Again and again until Ctrl-C. A database that does not answer is said so; what was seen last stays."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from orchestrator.entry.cli.board import board
    from orchestrator.flows.overview.model import overview
    from orchestrator.store.errors import StoreBusy

    console = _console()
    try:
        with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:
            shown: Group | None = None
            while True:
                begun = time.monotonic()
                try:
                    shown = board(overview(ctx), console.width, ascii_only=console.options.ascii_only)
                    live.update(shown, refresh=True)
                except StoreBusy as error:
                    told = Text(f"The database does not answer ({error}); this is what was seen last.", "bold red")
                    live.update(Group(told, shown or ""), refresh=True)
                took = time.monotonic() - begun
                time.sleep(max(EVERY - took, took * (SHARE - 1)))
    except KeyboardInterrupt:
        return
