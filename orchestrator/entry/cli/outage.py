"""`tenure outage`: when a site could not be used, and what that meant for its accounts."""

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened, site_named
from orchestrator.entry.cli.output import CommandError, DryRun, Json, Why, Yes
from orchestrator.lifecycle import times

if TYPE_CHECKING:
    from orchestrator.lifecycle.outage import Outage
    from orchestrator.store.outages import Credit

app = typer.Typer(help="Outages of sites: a trial's end moves by what it lost, a contract's hours are not counted.")


@app.command(epilog="Example: tenure outage add edge-1 --from '2026-11-20 02:00' --until '2026-11-20 05:30' "
                    "--why 'power at the hall'")
def add(site: Annotated[str, typer.Argument(help="The site's name.")],
        from_: Annotated[str, typer.Option("--from", help="When it began.")],
        until: Annotated[str, typer.Option(help="When it was over.")],
        why: Why,
        most: Annotated[int, typer.Option("--max", min=1, help="Refuse to touch more accounts than so many.")] = 1000,
        yes: Yes = False, dry_run: DryRun = False, json: Json = False) -> None:
    """Tell of an outage and make it good at once. Told twice it is one; what sites tell themselves comes by itself."""
    from orchestrator.flows.usage import outages

    with opened() as ctx:
        with ctx.store.read() as tx:
            site_named(tx, site)
        since, end = output.when(from_, ctx.clock()), output.when(until, ctx.clock())
        made = outages.told(ctx, site, since, end, actor=actor(), why=why)
        planned = outages.plan(ctx, made)
        if len(planned) > most:
            raise CommandError(f"{len(planned)} accounts are concerned; allow more with --max")
        for one in planned[:20] if not json else ():
            output.note(f"  {one.account}  {one.outcome.value if one.outcome else one.why}  "
                        f"{times.show_span(timedelta(seconds=one.seconds))}")
        counted = dict(Counter(one.outcome.value if one.outcome else "later" for one in planned))
        if dry_run:
            output.answer(json, {"outage": made.id, "accounts": planned},
                          f"{output.count(len(planned), 'account')} concerned"
                          f"{f': {output.cell(counted)}' if counted else ''}; nothing was changed")
            return
        output.confirm(f"Tell of this outage of {site} ({times.show_span(end - since)}, "
                       f"{output.count(len(planned), 'account')})?", yes)
        outages.add(ctx, made)
        with output.progress("making it good", len(planned)):
            done = outages.settle(ctx, site)
        for one in done:
            if one.outcome is None:
                output.note(f"{one.account}: tried again by a worker: {one.why}")
    output.answer(json, {"outage": made.id, "accounts": done}, f"{made.id}: {output.cell(counted)}")


@app.command("list", epilog="Example: tenure outage list --site edge-1 --accounts")
def list_(site: Annotated[str | None, typer.Option("--site", help="Only of this site.")] = None,
          accounts: Annotated[bool, typer.Option("--accounts", help="What each meant for each account.")] = False,
          json: Json = False) -> None:
    """Outages, newest first, and what was made good."""
    from orchestrator.flows.usage import outages

    with opened() as ctx:
        if site is not None:
            with ctx.store.read() as tx:
                site_named(tx, site)
        found = outages.report(ctx, site)
    if accounts:
        output.rows(json, [{"outage": outage.id, "account": one.account, "outcome": one.outcome.value,
                            "seconds": one.seconds, "at": one.at} for outage, credits in found for one in credits],
                    ["outage", "account", "outcome", "seconds", "at"], "no account was concerned")
        return
    output.rows(json, [_row(*one) for one in found],
                ["outage", "site", "since", "until", "said_by", "why", "settled", "accounts"], "no outage is known")


def _row(outage: "Outage", credits: "list[Credit]") -> dict[str, Any]:
    return {"outage": outage.id, "site": outage.site, "since": outage.since, "until": outage.until,
            "said_by": outage.said_by, "why": outage.why, "settled": outage.settled_at is not None,
            "accounts": dict(Counter(one.outcome.value for one in credits))}
