"""`tenure programme`: the programmes there are, and what of their pools is left."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why
from orchestrator.lifecycle import periods, times

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.programme import Programme
    from orchestrator.store.engine import Tx

app = typer.Typer(help="Programmes: who may hold a voucher, what it gives, within which pool and caps.")


@app.command("list", epilog="Example: tenure programme list")
def list_(json: Json = False) -> None:
    """All programmes with what is given of the present period's pool and what is left."""
    from orchestrator.store import programmes

    with opened() as ctx, ctx.store.read() as tx:
        found = [_row(ctx, tx, one) for one in programmes.list_(tx)]
    output.rows(json, found, ["programme", "benefit", "period", "given", "pool", "left"],
                "no programmes: `tenure apply -f` makes them")


@app.command(epilog="Example: tenure programme show wuxi-cash")
def show(name: Annotated[str, typer.Argument(metavar="PROGRAMME")], json: Json = False) -> None:
    """One programme, field by field, as its file says it; with --json as it is kept."""
    from orchestrator.entry.cli.programme_shown import fields
    from orchestrator.flows.vouchers.entitlement import named

    with opened() as ctx, ctx.store.read() as tx:
        found = named(tx, name)
        row = _row(ctx, tx, found)
    output.facts(json, output.plain_fields(found) | row if json else fields(found) | {
        "given": f"{row['given']} ({row['period']})", "left": row["left"] or "no limit"})


@app.command(epilog="Example: tenure programme export --programme wuxi-cash --year 2027 --out grants.csv")
def export(programme: Annotated[str | None, typer.Option(help="Of this programme only.")] = None,
           from_: Annotated[str | None, typer.Option("--from", help="Redeemed from this time on.")] = None,
           until: Annotated[str | None, typer.Option(help="Redeemed before this time.")] = None,
           month: Annotated[str | None, typer.Option(help="A civil month: 2027-03.")] = None,
           year: Annotated[str | None, typer.Option(help="A civil year: 2027.")] = None,
           out: Annotated[Path | None, typer.Option(help="Write it into this file; else stdout.")] = None,
           why: Why = "", json: Json = False) -> None:
    """All that was given, subsidies too, as CSV (UTF-8): a line for each grant, given back or not. No names: credit
    codes and the senders' ids of holders. That you looked is journalled."""
    from orchestrator.flows.vouchers import grants

    if sum([month is not None, year is not None, from_ is not None or until is not None]) > 1:
        raise CommandError("say one of --month, --year, or --from and --until", USAGE)
    with opened() as ctx:
        since, end = (None if one is None else output.when(one, ctx.clock()) for one in (from_, until))
        where = times.zone(ctx.settings.timezone)
        if month is not None:
            since, end = periods.month(month, where)
        if year is not None:
            since, end = periods.year(year, where)
        found = grants.export(ctx, programme, since, end, actor(), why)
    output.sheet(json, found, out)


@app.command(epilog="Example: tenure programme check")
def check(json: Json = False) -> None:
    """Replay every row of the sums. Exit code 1 when a balance is not what its rows come to."""
    from orchestrator.store import ledger

    with opened() as ctx, ctx.store.read() as tx, output.progress("replaying the sums"):
        problems = ledger.check(tx)
    output.answer(json, {"ok": not problems, "problems": problems}, *(problems or ["every balance is what its rows "
                                                                                   "come to"]))
    if problems:
        raise typer.Exit(output.FAILED)


def _row(ctx: "Context", tx: "Tx", programme: "Programme") -> dict[str, Any]:
    from orchestrator.store import ledger

    period = periods.named(programme.pool.per, ctx.clock(), times.zone(ctx.settings.timezone))
    given = -ledger.balance(tx, f"pool/{programme.name}/{period}/{programme.unit}")
    pool = programme.pool.amount
    return {"programme": programme.name, "benefit": programme.benefit, "period": period,
            "given": programme.show(given), "pool": None if pool is None else programme.show(pool),
            "left": None if pool is None else programme.show(pool - given)}
