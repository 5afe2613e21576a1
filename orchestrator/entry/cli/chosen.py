"""Which accounts a command is about: named ones, or all that fit a filter; bounded, and shown before they change."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output, shown
from orchestrator.entry.cli.opening import sender_named, site_named
from orchestrator.entry.cli.output import USAGE, CommandError
from orchestrator.lifecycle.account import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.flows.context import Context
    from orchestrator.store.accounts import AccountRecord, Filter

Ids = Annotated[list[str] | None, typer.Argument(metavar="ACCOUNT", help="Named accounts; or give a filter.")]
AtSite = Annotated[str | None, typer.Option("--site", help="Only accounts at this site.")]
OfSender = Annotated[str | None, typer.Option("--sender", help="Only accounts of this sender.")]
InState = Annotated[str | None, typer.Option("--state", help="Only accounts in this state.")]
EndingBefore = Annotated[str | None, typer.Option(help="Only accounts that end before: a time, or +24h.")]
Stuck = Annotated[bool, typer.Option("--stuck", help="Only accounts that are stuck.")]
Most = Annotated[int, typer.Option("--max", min=1, help="Refuse to touch more than so many.")]

PAGE = 500
PREVIEW = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator said."""

    ids: list[str] | None = None
    site: str | None = None
    sender: str | None = None
    state: str | None = None
    ending_before: str | None = None
    stuck: bool = False

    @property
    def filtered(self) -> bool:
        return bool(self.site or self.sender or self.state or self.ending_before or self.stuck)


def select(ctx: "Context", choice: Choice, limit: int, live: bool | None = True) -> "list[AccountRecord]":
    """The accounts, by id; at most `limit`. One that is named and not there is an error."""
    found = paged(ctx, _filter(ctx, choice, live), limit)
    missing = sorted(set(choice.ids or ()) - {record.id for record in found})
    if missing:
        raise CommandError(f"there is no {'such ' if choice.filtered or live else ''}account {missing[0]!r}: "
                           "`tenure account list --all` shows those there are")
    return found


def paged(ctx: "Context", which: "Filter", limit: int) -> "list[AccountRecord]":
    """The accounts of a filter, by id, at most `limit`; read in pages."""
    from orchestrator.store import accounts

    found: list[AccountRecord] = []
    with ctx.store.read() as tx:
        while len(found) < limit:
            page = accounts.select(tx, which, min(PAGE, limit - len(found)), found[-1].id if found else None)
            found += page
            if len(page) < PAGE:
                break
    return found


def _filter(ctx: "Context", choice: Choice, live: bool | None) -> "Filter":
    from orchestrator.store.accounts import Filter

    if choice.state is not None and choice.state.upper() not in list(State):
        raise CommandError(f"--state is one of {', '.join(State)}, not {choice.state!r}", USAGE)
    if choice.site is not None:
        with ctx.store.read() as tx:
            site_named(tx, choice.site)
    owner = None
    if choice.sender is not None:
        with ctx.store.read() as tx:
            owner = sender_named(tx, choice.sender).id
    before = output.when(choice.ending_before, ctx.clock()) if choice.ending_before else None
    state = State(choice.state.upper()) if choice.state else None
    return Filter(site=choice.site, state=state, ending_before=before, sender=owner, ids=choice.ids or None,
                  stuck=True if choice.stuck else None, live=None if choice.ids or state else live)


def touched(ctx: "Context", choice: Choice, most: int) -> "list[AccountRecord]":
    """The accounts of a command that changes something: never all by omission, and never more than `most`."""
    if not choice.ids and not choice.filtered:
        raise CommandError("name accounts, or give a filter such as --site or --ending-before", USAGE)
    refuse_more(ctx, choice, most)
    return select(ctx, choice, most)


def refuse_more(ctx: "Context", choice: Choice, most: int) -> None:
    """More than `most` live accounts are an error that says how many there are."""
    if (found := count(ctx, choice)) > most:
        raise CommandError(f"{found} accounts fit, more than --max {most}: narrow the filter, or allow more", USAGE)


def count(ctx: "Context", choice: Choice, live: bool | None = True) -> int:
    """How many there are."""
    from orchestrator.store import accounts

    which = _filter(ctx, choice, live)
    with ctx.store.read() as tx:
        return accounts.count(tx, which)


def preview(ctx: "Context", records: "list[AccountRecord]", words: "Mapping[str, str]") -> None:
    """Show what is about to be touched, on stderr; `words`: what would become of each."""
    now = ctx.clock()
    for record in records[:PREVIEW]:
        cells = [*shown.row(record, now)[:6], words.get(record.id, "")]
        output.note("  " + "  ".join(cells).rstrip())
    if len(records) > PREVIEW:
        output.note(f"  … and {len(records) - PREVIEW} more")


def rehearsed(ctx: "Context", records: "list[AccountRecord]", words: "Mapping[str, str]") -> None:
    """All of what would be touched, on stdout: it is what was asked for."""
    now = ctx.clock()
    output.table([[*shown.row(record, now)[:6], words.get(record.id, "-")] for record in records],
                 [*shown.COLUMNS[:6], "would"])
