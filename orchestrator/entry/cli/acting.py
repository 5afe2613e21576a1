"""Acting on accounts: extend, fence, unfence, reclaim, retry. Many are shown first, and each answers for itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import chosen, failures, output
from orchestrator.entry.cli.chosen import AtSite, Choice, EndingBefore, Ids, InState, Most, OfSender
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, DryRun, Json, Why, Yes
from orchestrator.lifecycle import times
from orchestrator.lifecycle.account import USABLE

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.account import Account

Act = Callable[["Context", str], "Account"]


@dataclass(frozen=True, slots=True)
class How:
    """How a command that may touch many accounts was asked to go about it."""

    most: int
    yes: bool
    dry_run: bool
    json: bool
    always_ask: bool = False
    usable: bool = False
    """Of those that a filter finds, only the usable: it makes no sense for others, so they are no failures."""


def add_to(app: typer.Typer) -> None:
    """Put these commands under `tenure account`."""
    app.command(epilog="Example: tenure account extend a2k4mzq7xw --by 12h")(extend)
    app.command(epilog="Example: tenure account fence a2k4mzq7xw --why 'reported misuse'")(fence)
    app.command(epilog="Example: tenure account unfence a2k4mzq7xw")(unfence)
    app.command(epilog="Example: tenure account reclaim a2k4mzq7xw --yes")(reclaim)
    app.command(epilog="Example: tenure account retry a2k4mzq7xw")(retry)


def extend(ids: Ids = None, by: Annotated[str | None, typer.Option(help="By so much, from its present end.")] = None,
           to: Annotated[str | None, typer.Option(help="To this end.")] = None, site: AtSite = None,
           sender: OfSender = None, state: InState = None, ending_before: EndingBefore = None, most: Most = 100,
           why: Why = "", yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Move the end of accounts. Refused once an account is fenced at its site."""
    if (by is None) == (to is None):
        raise CommandError("say either --by how much or --to when", USAGE)
    span = times.span(by) if by is not None else None
    with opened() as ctx:
        from orchestrator.flows.extend import extend as extend_

        end = output.when(to, ctx.clock()) if to is not None else None
        run(ctx, "extend", Choice(ids, site, sender, state, ending_before),
            How(most, yes, dry_run, json, usable=not (ids or state)),
            lambda ctx, id: extend_(ctx, id, to=end, by=span, actor=actor(), why=why))


def fence(ids: Ids = None, site: AtSite = None, sender: OfSender = None, state: InState = None,
          ending_before: EndingBefore = None, most: Most = 100, why: Why = "", yes: Yes = False,
          dry_run: DryRun = False, json: Json = False) -> None:
    """Nobody can use these accounts from now on; nothing is deleted, and the end stays where it is."""
    with opened() as ctx:
        from orchestrator.flows.operate import fence as fence_

        run(ctx, "fence", Choice(ids, site, sender, state, ending_before),
            How(most, yes, dry_run, json, usable=not (ids or state)),
            lambda ctx, id: fence_(ctx, id, actor=actor(), why=why))


def unfence(ids: Ids = None, site: AtSite = None, sender: OfSender = None, most: Most = 100, why: Why = "",
            yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Lift a fence that an operator placed, before the end. A fence at the end is never lifted."""
    with opened() as ctx:
        from orchestrator.flows.operate import unfence as unfence_

        state = None if ids else "FENCED"
        run(ctx, "unfence", Choice(ids, site, sender, state), How(most, yes, dry_run, json),
            lambda ctx, id: unfence_(ctx, id, actor=actor(), why=why))


def reclaim(ids: Ids = None, site: AtSite = None, sender: OfSender = None, state: InState = None,
            ending_before: EndingBefore = None, most: Most = 20, why: Why = "", yes: Yes = False,
            dry_run: DryRun = False, json: Json = False) -> None:
    """Take accounts back without waiting for end or grace: everything in them is deleted. Always asks."""
    with opened() as ctx:
        from orchestrator.flows.operate import reclaim as reclaim_

        run(ctx, "reclaim", Choice(ids, site, sender, state, ending_before),
            How(most, yes, dry_run, json, always_ask=True),
            lambda ctx, id: reclaim_(ctx, id, actor=actor(), why=why))
        if not dry_run:
            output.note("a worker, or `tenure reap`, does it; what is held waits for `tenure hold … --off`")


def retry(ids: Ids = None, site: AtSite = None, sender: OfSender = None, most: Most = 100, why: Why = "",
          yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Try what is stuck again now: named accounts, or all that are stuck. A worker, or `tenure reap`, does it."""
    with opened() as ctx:
        from orchestrator.flows.operate import retry as retry_

        run(ctx, "retry", Choice(ids, site, sender, stuck=not ids), How(most, yes, dry_run, json),
            lambda ctx, id: retry_(ctx, id, actor=actor(), why=why))


def run(ctx: "Context", what: str, choice: Choice, how: How, act: Act) -> None:
    """Do it to each; one that fails stops no other. Exit code 1 when one failed."""
    found = chosen.touched(ctx, choice, how.most)
    records = [record for record in found if not how.usable or record.account.state in USABLE]
    if len(records) < len(found):
        output.note(f"left out: {output.count(len(found) - len(records), 'account')} that cannot be used now")
    if not records:
        output.answer(how.json, [], "no account fits")
        return
    named_one = len(records) == 1 and bool(choice.ids)
    if how.dry_run or how.always_ask or not named_one:
        chosen.preview(ctx, records)
    if how.dry_run:
        output.answer(how.json, [{"account": record.id, "would": what} for record in records],
                      f"{output.count(len(records), 'account')} would be touched ({what}); nothing was changed")
        return
    if how.always_ask or not named_one:
        output.confirm(f"{what.capitalize()} {output.count(len(records), 'account')}?", how.yes)
    results = []
    with output.progress(what, len(records)) as progress:
        for record in records:
            results.append(one(ctx, record.id, act))
            progress.step()
    _answer(what, how.json, results)


def one(ctx: "Context", id: str, act: Act) -> dict[str, Any]:
    """What came of it for one account, an error among it."""
    try:
        account = act(ctx, id)
    except Exception as error:
        failure = failures.explain(error)
        if failure is None:
            raise
        return {"account": id, "ok": False, "error": failure.message}
    return {"account": id, "ok": True, "state": account.state, "ends_at": account.ends_at,
            "generation": account.generation, "reclaim_asked": account.reclaim_asked}


def _answer(what: str, json: bool, results: list[dict[str, Any]]) -> None:
    failed = [one for one in results if not one["ok"]]
    if json:
        output.document(results)
    else:
        for one in results:
            if one["ok"]:
                said = "to be taken back" if one["reclaim_asked"] else f"ends {output.shown(one['ends_at'])}"
                output.say(f"{one['account']}: {one['state'].value}, {said}")
    for one in failed:
        named = "" if one["account"] in one["error"] else f" {one['account']}"
        output.note(f"tenure: {what}{named}: {one['error']}")
    if failed:
        raise typer.Exit(output.FAILED)
