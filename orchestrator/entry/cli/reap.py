"""`tenure reap`, `tenure sweep`, `tenure hold`: the scheduled teardown, what nobody owns, and the brake."""

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import STUCK, USAGE, CommandError, DryRun, Json, Why, Yes
from orchestrator.lifecycle import sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.flows.context import Context
    from orchestrator.flows.endings.orphans import Orphan

ACCOUNT = re.compile(r"a[a-z2-7]{9}")
MOST_NAMED = 5


def add_to(app: typer.Typer) -> None:
    """Put these commands at the top of the tree."""
    app.command(epilog="Example, for cron: * * * * *  tenure reap --max 200")(reap)
    app.command(epilog="Example: tenure sweep edge-1")(sweep)
    app.command(epilog="Example: tenure hold edge-1 --why 'data is being copied'")(hold)


def reap(dry_run: DryRun = False,
         at: Annotated[str | None, typer.Option(help="Rehearse this time: like --dry-run, nothing is changed.")] = None,
         most: Annotated[int | None, typer.Option("--max", min=1, help="Touch at most so many accounts.")] = None,
         json: Json = False) -> None:
    """Fence what is due and reclaim what is past grace. Needs no server and no worker; safe twice at once.

    It does nothing that is not owed anyway, so it never asks. Exit code 3 when something is stuck.
    """
    from orchestrator.flows.work.reap import reap as reap_

    with opened() as ctx:
        if dry_run or at is not None:
            _rehearse(ctx, at, most, json)
            return
        with output.progress("reaping"):
            done = reap_(ctx, most)
    output.answer(json, output.plain_fields(done), *(
        f"{what}: {len(ids)}" + (f" ({', '.join(ids[:10])}{', …' if len(ids) > 10 else ''})" if ids else "")
        for what, ids in output.plain_fields(done).items()))
    if done.stuck:
        output.note(f"tenure: {len(done.stuck)} accounts are stuck: tenure account list --stuck")
        raise typer.Exit(STUCK)


def _rehearse(ctx: "Context", at: str | None, most: int | None, json: bool) -> None:
    from orchestrator.flows.work.reap import plan

    now = ctx.clock()
    when = output.when(at, now) if at else now
    if when < now:
        raise CommandError(f"--at {output.shown(when)} is past: what is due now is what --dry-run says", USAGE)
    with output.progress("rehearsing"):
        found = plan(ctx, when, most)
    if json:
        output.document({"at": when, "accounts": found})
        return
    output.table([[one.what, one.account, one.site, one.offer, output.shown(one.at), one.why, _size(one)]
                  for one in found], ["would", "account", "site", "offer", "at", "why", "stored"])
    counts = Counter(one.what for one in found)
    output.note(f"at {output.shown(when)}: {counts['warn']} would be warned, {counts['fence']} fenced, "
                f"{counts['keep']} kept, {counts['delete']} deleted; nothing was changed")


def _size(one: Any) -> str:
    if one.what != "delete":
        return "-"
    stored = "?" if one.stored is None else f"{one.stored / (1 << 20):.1f}MiB"
    return f"{stored} of {sizes.show_size(one.quota)}"


def sweep(site: Annotated[str, typer.Argument(help="The site's name.")],
          remove: Annotated[bool, typer.Option("--remove", help="Fence and clean away what was found, after a yes.")]
          = False,
          most: Annotated[int, typer.Option("--max", min=1, help="Refuse to remove more than so many.")] = 10,
          why: Why = "", yes: Yes = False, json: Json = False) -> None:
    """What is at a site and belongs to no live account. Exit code 1 when something is there and stays."""
    from orchestrator.flows.endings import orphans

    with opened() as ctx:
        with output.progress(f"looking at {site}"):
            found = orphans.orphans(ctx, site)
        if not json:
            _tell(found)
        if found and remove:
            if len(found) > most:
                raise CommandError(f"{len(found)} orphans are more than --max {most}: look at them first", USAGE)
            output.confirm(f"Remove these {len(found)} from {site} for ever?", yes)
            with output.progress(f"cleaning {site}"):
                left = orphans.remove(ctx, site, [one.account for one in found], actor=actor(), why=why)
        else:
            left = found
    output.answer(json, {"site": site, "found": found, "left": [one.account for one in left]},
                  f"{len(found)} found at {site}, {len(left)} there still")
    if left:
        raise typer.Exit(output.FAILED)


def _tell(found: "list[Orphan]") -> None:
    words = {"unknown": "nobody here knows it", "reclaimed": "reclaimed, and back", "elsewhere": "is at another site"}
    for one in found:
        output.say(f"{one.account}: {words[one.why]}")
        for thing in one.leftovers:
            output.say(f"  {thing.kind} {thing.what}{' (could not be listed)' if thing.unlisted else ''}")


def hold(target: Annotated[str, typer.Argument(metavar="ACCOUNT|SITE|all", help="What is held.")],
         off: Annotated[bool, typer.Option("--off", help="Let it go on.")] = False,
         why: Why = "",
         yes: Yes = False, json: Json = False) -> None:
    """Stop reclaims of an account, a site or everything. Never a fence: the end stays the end.

    Each of the three is a hold of its own: letting one go leaves the others.
    """
    from orchestrator.flows.accounts import operate

    with opened() as ctx:
        account, site = _target(ctx, target)
        if off and account is None:
            output.confirm(f"Let reclaims go on {'everywhere' if site is None else f'at {site}'}?", yes)
        done = operate.hold(ctx, not off, account=account, site=site, actor=actor(), why=why)
        held = _held_by(ctx, done.accounts)
    was = "held before, too" if done.before else ""
    if off:
        was = "reclaim goes on" if done.before else "was not held by this hold; nothing was changed"
    output.answer(json, {"target": target, "hold": not off, "before": done.before, "accounts": done.accounts,
                         "held": sorted(held)},
                  f"{target}: {was or 'held'}, {output.count(len(done.accounts), 'live account')}")
    if off and held:
        tell_held(held, "held all the same")


def tell_held(held: "Mapping[str, Sequence[str]]", what: str) -> None:
    """Which accounts are held, and how each hold is let go."""
    named = sorted(held)
    holds = Counter(hold for holds in held.values() for hold in holds)
    ways = [f"tenure hold {hold} --off" for hold, _ in holds.most_common(MOST_NAMED)]
    output.note(f"{what}: {', '.join(named[:MOST_NAMED])}"
                f"{f' and {len(named) - MOST_NAMED} more' if len(named) > MOST_NAMED else ''}; held by "
                f"{', '.join(hold for hold, _ in holds.most_common(MOST_NAMED))}"
                f"{', …' if len(holds) > MOST_NAMED else ''}; to let go: {'; '.join(ways)}")


def _held_by(ctx: "Context", ids: "Sequence[str]") -> "Mapping[str, Sequence[str]]":
    """Of these accounts, those that are held, and by what."""
    from orchestrator.store import holding

    with ctx.store.read() as tx:
        return holding.of(tx, ids)


def _target(ctx: "Context", target: str) -> tuple[str | None, str | None]:
    """Account and site; neither for everything."""
    from orchestrator.store import accounts, sites

    if target == "all":
        return None, None
    with ctx.store.read() as tx:
        if ACCOUNT.fullmatch(target) and accounts.get(tx, target) is not None:
            return target, None
        if sites.get(tx, target) is not None:
            return None, target
    raise CommandError(f"{target!r} is neither an account nor a site, nor `all`: `tenure account list --all` "
                       "and `tenure site list` show those there are")
