"""Acting on accounts: extend, fence, unfence, reclaim, retry. Many are shown first, and each answers for itself."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import chosen, failures, output
from orchestrator.entry.cli.chosen import AtSite, Choice, EndingBefore, Ids, InState, Most, OfSender
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, DryRun, Json, Why, Yes
from orchestrator.lifecycle import times
from orchestrator.lifecycle.account import USABLE, State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.account import Account
    from orchestrator.store.accounts import AccountRecord

Act = Callable[["Context", str], "Account"]
Plan = Callable[["Context", "list[AccountRecord]"], "Mapping[str, Planned]"]
SIZES_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Planned:
    """What would become of one account: for programs, and for people."""

    facts: dict[str, Any]
    words: str


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
    plan: Plan | None = None
    done: str = ""
    """What is said of an account that went well; empty: its state and end."""


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
        from orchestrator.flows.accounts.extend import extend as extend_

        end = output.when(to, ctx.clock()) if to is not None else None
        run(ctx, "extend", Choice(ids, site, sender, state, ending_before),
            How(most, yes, dry_run, json, usable=not (ids or state),
                plan=lambda ctx, records: _moved(ctx, records, end, span)),
            lambda ctx, id: extend_(ctx, id, to=end, by=span, actor=actor(), why=why))


def fence(ids: Ids = None, site: AtSite = None, sender: OfSender = None, state: InState = None,
          ending_before: EndingBefore = None, most: Most = 100, why: Why = "", yes: Yes = False,
          dry_run: DryRun = False, json: Json = False) -> None:
    """Nobody can use these accounts from now on; nothing is deleted, and the end stays where it is."""
    with opened() as ctx:
        from orchestrator.flows.accounts.operate import fence as fence_

        run(ctx, "fence", Choice(ids, site, sender, state, ending_before),
            How(most, yes, dry_run, json, usable=not (ids or state)),
            lambda ctx, id: fence_(ctx, id, actor=actor(), why=why))


def unfence(ids: Ids = None, site: AtSite = None, sender: OfSender = None, most: Most = 100, why: Why = "",
            yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Lift a fence that an operator placed, before the end. A fence at the end is never lifted."""
    with opened() as ctx:
        from orchestrator.flows.accounts.operate import unfence as unfence_

        state = None if ids else "FENCED"
        run(ctx, "unfence", Choice(ids, site, sender, state), How(most, yes, dry_run, json),
            lambda ctx, id: unfence_(ctx, id, actor=actor(), why=why))


def reclaim(ids: Ids = None, site: AtSite = None, sender: OfSender = None, state: InState = None,
            ending_before: EndingBefore = None, most: Most = 20, why: Why = "", yes: Yes = False,
            dry_run: DryRun = False, json: Json = False) -> None:
    """Take accounts back without waiting for end or grace: everything in them is deleted. Always asks."""
    with opened() as ctx:
        from orchestrator.flows.accounts.operate import reclaim as reclaim_

        run(ctx, "reclaim", Choice(ids, site, sender, state, ending_before),
            How(most, yes, dry_run, json, always_ask=True, plan=_lost),
            lambda ctx, id: reclaim_(ctx, id, actor=actor(), why=why))
        if not dry_run:
            output.note("a worker, or `tenure reap`, does it")


def retry(ids: Ids = None, site: AtSite = None, sender: OfSender = None, most: Most = 100, why: Why = "",
          yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Try what is stuck again now: named accounts, or all that are stuck. A worker, or `tenure reap`, does it."""
    with opened() as ctx:
        from orchestrator.flows.accounts.operate import retry as retry_

        run(ctx, "retry", Choice(ids, site, sender, stuck=not ids), How(most, yes, dry_run, json),
            lambda ctx, id: retry_(ctx, id, actor=actor(), why=why))


def run(ctx: "Context", what: str, choice: Choice, how: How, act: Act) -> None:
    """Do it to each; one that fails stops no other. Exit code 1 when one failed."""
    found = chosen.touched(ctx, choice, how.most)
    records = [record for record in found if not how.usable or record.account.state in USABLE]
    if not records:
        output.answer(how.json, [], f"nothing to do: {_left_out(found, records)}" if found else "no account fits")
        return
    if len(records) < len(found):
        output.note(f"left out: {_left_out(found, records)}")
    asks = how.always_ask or not (len(records) == 1 and bool(choice.ids))
    planned = how.plan(ctx, records) if how.plan is not None and (how.dry_run or asks) else {}
    words = {id: one.words for id, one in planned.items()}
    if how.dry_run:
        _rehearse(ctx, what, how.json, records, planned)
        return
    if asks:
        chosen.preview(ctx, records, words)
        output.confirm(f"{what.capitalize()} {output.count(len(records), 'account')}?", how.yes)
    results = []
    with output.progress(what, len(records)) as progress:
        for record in records:
            results.append(one(ctx, record.id, act))
            progress.step()
    _answer(what, how, results)


def _rehearse(ctx: "Context", what: str, json: bool, records: "list[AccountRecord]",
              planned: "Mapping[str, Planned]") -> None:
    if json:
        output.document([{"account": record.id, "would": what} | (planned[record.id].facts if planned else {})
                         for record in records])
        return
    chosen.rehearsed(ctx, records, {record.id: planned[record.id].words if planned else what for record in records})
    output.note(f"{output.count(len(records), 'account')} would be touched ({what}); nothing was changed")


def _left_out(found: "list[AccountRecord]", records: "list[AccountRecord]") -> str:
    """Of those found, who are not touched and why."""
    taken = {record.id for record in records}
    why = Counter("fenced already" if record.account.state is State.FENCED else "that cannot be used now"
                  for record in found if record.id not in taken)
    return ", ".join(f"{output.count(many, 'account')} {words}" for words, many in sorted(why.items()))


def _moved(ctx: "Context", records: "list[AccountRecord]", to: "datetime | None",
           by: timedelta | None) -> "Mapping[str, Planned]":
    """The end that each has and the one that it would have."""
    from orchestrator.flows.accounts.extend import end_of

    found = {}
    for record in records:
        before = record.account.ends_at
        after = to if before is None else end_of(ctx, before, to, by)
        words = f"ends {output.shown(before)} -> {output.shown(after)}"
        found[record.id] = Planned({"ends_at": before, "new_ends_at": after}, words)
    return found


def _lost(ctx: "Context", records: "list[AccountRecord]") -> "Mapping[str, Planned]":
    """What would be deleted of each, where its site says how much within some seconds, and which are held by what."""
    from orchestrator.flows.work.reap import stored
    from orchestrator.store import holding

    by_site: dict[str, list[str]] = {}
    for record in records:
        by_site.setdefault(record.site, []).append(record.id)
    with output.progress("asking how much is stored"):
        sizes_of = stored(ctx, by_site, SIZES_WITHIN)
    with ctx.store.read() as tx:
        held = holding.of(tx, [record.id for record in records])
    found = {}
    for record in records:
        size, holds = sizes_of.get(record.id), held.get(record.id, ())
        amount = "an unknown amount" if size is None else f"{size / (1 << 20):.1f}MiB"
        waits = "; waits for " + ", ".join(f"tenure hold {one} --off" for one in holds) if holds else ""
        found[record.id] = Planned({"stored": size, "held_by": list(holds)},
                                   f"everything in it is deleted: {amount} stored{waits}")
    return found


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


def _answer(what: str, how: How, results: list[dict[str, Any]]) -> None:
    failed = [one for one in results if not one["ok"]]
    if how.json:
        output.document(results)
    else:
        for one in results:
            if one["ok"] and how.done:
                output.say(f"{one['account']}: {how.done}")
            elif one["ok"]:
                said = "to be taken back" if one["reclaim_asked"] else f"ends {output.shown(one['ends_at'])}"
                output.say(f"{one['account']}: {one['state'].value}, {said}")
    for one in failed:
        named = "" if one["account"] in one["error"] else f" {one['account']}"
        output.note(f"tenure: {what}{named}: {one['error']}")
    if failed:
        raise typer.Exit(output.FAILED)
