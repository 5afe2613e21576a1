"""`tenure programme`: the programmes there are, and what of their pools is left."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import opened
from orchestrator.entry.cli.output import Json

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
    """One programme, field by field."""
    from orchestrator.flows.entitlement import named

    with opened() as ctx, ctx.store.read() as tx:
        found = named(tx, name)
        output.facts(json, output.plain_fields(found) | _row(ctx, tx, found))


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
    from orchestrator.lifecycle import periods, times
    from orchestrator.store import ledger

    period = periods.named(programme.pool.per, ctx.clock(), times.zone(ctx.settings.timezone))
    given = -ledger.balance(tx, f"pool/{programme.name}/{period}/{programme.unit}")
    pool = programme.pool.amount
    return {"programme": programme.name, "benefit": programme.benefit, "period": period,
            "given": programme.show(given), "pool": None if pool is None else programme.show(pool),
            "left": None if pool is None else programme.show(pool - given)}
