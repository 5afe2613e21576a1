"""`tenure usage`: what accounts have used, with its gaps; exported, read now, and gone on without."""

import csv
import json as jsonlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import chosen, output
from orchestrator.entry.cli.chosen import AtSite, Choice, EndingBefore, Ids, InState, Most, OfSender
from orchestrator.entry.cli.opening import actor, opened, site_named
from orchestrator.entry.cli.output import USAGE, CommandError, DryRun, Json, Why
from orchestrator.lifecycle import times
from orchestrator.lifecycle import usage as rules

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.flows.usage.metering import Round
    from orchestrator.flows.usage.used import Used

app = typer.Typer(help="What accounts have used, by meter and hour. What nobody measured is shown as a gap.")

AT_ONCE = 8
COLUMNS = ("account", "site", "offer", "contract", "meter", "unit", "hour", "since", "until", "amount",
           "covered_seconds", "gap_seconds")

From = Annotated[str | None, typer.Option("--from", help="From this time (whole clock hours).")]
Until = Annotated[str | None, typer.Option("--until", help="Until this time.")]


@app.command(epilog="Example: tenure usage show a2k4mzq7xw --from 2026-11-01")
def show(account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
         from_: From = None, until: Until = None, json: Json = False) -> None:
    """One account's use by civil day and meter. GAP: how much of the lease nobody measured."""
    from orchestrator.flows.usage import used

    with opened() as ctx:
        since, end = (output.when(one, ctx.clock()) if one else None for one in (from_, until))
        found = used.of(ctx, account, since, end)
        days = used.by_day(found.hours, times.zone(ctx.settings.timezone))
    if json:
        output.document({"account": account, "read_until": found.read_until, "days": [
            {"day": one.day, "meter": one.meter, "amount": one.amount, "unit": rules.unit(one.meter),
             "covered_seconds": one.covered, "gap_seconds": one.missing} for one in days]})
        return
    output.table([[one.day, one.meter, people(one.meter, one.amount), output.cell(one.covered),
                   f"GAP {times.show_span(one.missing)}" if one.missing else "-"] for one in days],
                 ["day", "meter", "used", "measured", "gap"])
    output.note(f"read up to {output.shown(found.read_until)}")


def people(meter: str, amount: int) -> str:
    """An amount as people say it: core-hours, GiB-hours, GiB, chip-hours."""
    match rules.unit(meter):
        case "core-ms":
            return f"{amount / 3_600_000:.3f} core-h"
        case "byte-s":
            return f"{amount / 3600 / 2**30:.3f} GiB-h"
        case "byte":
            return f"{amount / 2**30:.3f} GiB"
        case _:
            return f"{amount / 3_600_000:.3f} chip-h"


@app.command(epilog="Example: tenure usage export --month 2026-11 --site edge-1 > usage.csv")
def export(month: Annotated[str | None, typer.Option(help="A civil month: 2026-11.")] = None,
           from_: From = None, until: Until = None,
           account: Annotated[str | None, typer.Option(help="Only this account.")] = None, site: AtSite = None,
           format: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
           json: Json = False) -> None:
    """One line for each account, meter and clock hour (UTC), as a stream: rows, and hours that nobody measured."""
    if (month is None) == (from_ is None) or (month is not None and until is not None):
        raise CommandError("say either --month, or --from and perhaps --until", USAGE)
    if format not in ("csv", "json"):
        raise CommandError(f"--format is csv or json, not {format!r}", USAGE)
    from orchestrator.flows.usage import used

    with opened() as ctx:
        since, end = _period(ctx, month, from_, until)
        with ctx.store.read() as tx:
            if site is not None:
                site_named(tx, site)
        if account is not None:
            used.of(ctx, account, since, end)
        lines = (line for one in used.export(ctx, since, end, site, account) for line in _lines(one))
        (_json if json or format == "json" else _csv)(lines)


def _period(ctx: "Context", month: str | None, from_: str | None, until: str | None) -> tuple[datetime, datetime]:
    from orchestrator.lifecycle import periods

    if month is not None:
        # Where months begin on half an hour, a clock hour is of the month that it begins in.
        first, after = periods.month(month, times.zone(ctx.settings.timezone))
        return rules.hour_from(first), rules.hour_from(after)
    now = ctx.clock()
    since, end = output.when(from_ or "", now), output.when(until, now) if until else now
    if end <= since:
        raise CommandError(f"{output.shown(since)} to {output.shown(end)} is no period", USAGE)
    return since, end


def _lines(one: "Used") -> Iterator[dict[str, Any]]:
    account = one.account
    for hour in one.hours:
        stint = one.stint(hour.hour)
        yield {"account": account.id, "site": account.site, "offer": stint.offer.name,
               "contract": stint.bound(hour.hour), "meter": hour.meter, "unit": rules.unit(hour.meter),
               "hour": hour.hour, "since": hour.since, "until": hour.until, "amount": hour.amount,
               "covered_seconds": round(hour.covered.total_seconds(), 3),
               "gap_seconds": round(hour.missing.total_seconds(), 3)}


def _csv(lines: Iterator[dict[str, Any]]) -> None:
    from orchestrator.flows.cells import safe

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow([safe("" if line[name] is None else _plain(line[name])) for name in COLUMNS])


def _json(lines: Iterator[dict[str, Any]]) -> None:
    """One document, written as it comes."""
    before = "[\n"
    for line in lines:
        sys.stdout.write(before + jsonlib.dumps({name: value if isinstance(value, int | float | None) else _plain(value)
                                                 for name, value in line.items()}, ensure_ascii=False))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _plain(value: object) -> str:
    """Instants in UTC: an hour that civil time has twice, or never, is one here."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


@app.command(epilog="Example, for cron: 7 * * * *  tenure usage read --all")
def read(ids: Ids = None, site: AtSite = None, sender: OfSender = None, state: InState = None,
         ending_before: EndingBefore = None,
         all_: Annotated[bool, typer.Option("--all", help="All accounts at all sites.")] = False,
         most: Most = 100_000, dry_run: DryRun = False, json: Json = False) -> None:
    """Read meters now, where no worker does. Safe twice at once; exit code 1 when something could not be read.

    With --all or --site, the sites are asked for outages, too, and these are made good.
    """
    from orchestrator.flows.usage import metering, outages

    choice = Choice(ids, site, sender, state, ending_before)
    with opened() as ctx:
        if all_:
            chosen.refuse_more(ctx, choice, most)
        records = chosen.select(ctx, choice, most) if all_ else chosen.touched(ctx, choice, most)
        by_site: dict[str, set[str]] = {}
        for record in records:
            if record.account.state in metering.READ:
                by_site.setdefault(record.account.site, set()).add(record.id)
        if dry_run:
            output.answer(json, {name: sorted(of) for name, of in sorted(by_site.items())},
                          *(f"{name}: {output.count(len(of), 'account')} would be read"
                            for name, of in sorted(by_site.items())))
            return
        with output.progress("reading meters"), ThreadPoolExecutor(AT_ONCE, "read") as pool:
            done = list(pool.map(lambda one: metering.read_site(ctx, *one), sorted(by_site.items())))
            if all_ or (site is not None and not ids):
                list(pool.map(lambda name: outages.swept(ctx, name), [site] if site else _sites(ctx)))
    _tell(done, json)


def _sites(ctx: "Context") -> list[str]:
    from orchestrator.store import sites

    with ctx.store.read() as tx:
        return [one.name for one in sites.list_(tx)]


def _tell(done: "list[Round]", json: bool) -> None:
    output.answer(json, done, *(f"{one.site}: {output.count(len(one.read), 'account')} read" for one in done))
    for one in done:
        if one.down:
            output.note(f"tenure: site {one.site} does not answer; it is read from where the last reading ended")
        for id, why in sorted(one.failed.items()):
            output.note(f"tenure: account {id}: {why}")
    if any(one.down or one.failed for one in done):
        raise typer.Exit(output.FAILED)


@app.command(epilog="Example: tenure usage waive a2k4mzq7xw --why 'its disk is lost'")
def waive(account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
          why: Why, json: Json = False) -> None:
    """Let an account be removed without a last reading, if its site cannot give one. The gap stays visible."""
    from orchestrator.flows.usage import metering

    with opened() as ctx:
        metering.waive(ctx, account, actor=actor(), why=why)
    output.answer(json, {"account": account, "waived": True},
                  f"{account}: is removed even if its meters cannot be read")
