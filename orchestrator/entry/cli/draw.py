"""`tenure draw`: a week's vouchers won by lot, in a way that anyone can check."""

import json as jsonlib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why
from orchestrator.entry.cli.redeem import Attested, Categories, City

if TYPE_CHECKING:
    from orchestrator.lifecycle.holder import Holder

app = typer.Typer(help="Draws (抽取) of a programme's vouchers.")

Name = Annotated[str, typer.Argument(metavar="DRAW", help="The draw's name.")]
MOST = 100_000
WON = ["entrant", "holder", "email", "prize", "code"]


@app.command("open", epilog="Example: tenure draw open 2027-w10 --programme nanjing-trial --closes '2027-03-12 18:00' "
                            "--vouchers 60x24 --vouchers 10x96")
def open_(
    name: Name,
    programme: Annotated[str, typer.Option(help="Whose vouchers are drawn.")],
    closes: Annotated[str, typer.Option(help="Entries are taken until then.")],
    vouchers: Annotated[list[str], typer.Option(help="How many of what worth, such as 60x24; may be given again.")],
    sender: Annotated[str | None, typer.Option(help="Whose platform redeems them; the only one if left out.")] = None,
    why: Why = "", json: Json = False,
) -> None:
    """Open a week's draw. Less than the programme promises for a week is refused."""
    from orchestrator.entry.cli.voucher import owner_of
    from orchestrator.flows.vouchers import draw as flow
    from orchestrator.flows.vouchers.entitlement import named
    from orchestrator.store.draws import DrawRow

    prizes = tuple(prize for some in vouchers for prize in _prizes(some))
    if len(prizes) > MOST:
        raise CommandError(f"{len(prizes)} vouchers are more than {MOST}", USAGE)
    with opened() as ctx:
        with ctx.store.read() as tx:
            owner, scheme = owner_of(tx, sender), named(tx, programme)
        asked = DrawRow(name, programme, owner.id, output.when(closes, ctx.clock()), prizes)
        made = flow.open_(ctx, asked, actor(), why)
    count, offered = output.count(len(prizes), "voucher"), scheme.show(sum(prizes, Decimal(0)))
    output.answer(json, {"draw": name, "programme": programme, "closes_at": made.closes_at, "vouchers": len(prizes),
                         "offered": str(sum(prizes))},
                  f"draw {name}: {count}, {offered} in all, open until {output.shown(made.closes_at)}")


def _prizes(written: str) -> list[Decimal]:
    from orchestrator.lifecycle.money import yuan

    count, cross, worth = written.partition("x")
    many = int(count) if count.isdecimal() and len(count) <= len(str(MOST)) else 0
    if not cross or not 0 < many <= MOST:
        raise CommandError(f"--vouchers {written}: write COUNTxWORTH, such as 60x24, of at most {MOST}", USAGE)
    return [yuan(worth)] * many


@app.command(epilog="Example: tenure draw enter 2027-w10 --holder-id lab-7 --holder-name 某大学 --kind university "
                    "--email lab@example.edu.cn --entity 91350100M000100Y43")
def enter(
    name: Name,
    holder_id: Annotated[str, typer.Option(help="The sender's own id of the holder.")],
    holder_name: Annotated[str, typer.Option(help="The holder's name.")],
    email: Annotated[str, typer.Option(help="The holder's mail address.")],
    kind: Annotated[str, typer.Option(help="firm, university, institute or individual.")] = "individual",
    entity: Annotated[str | None, typer.Option(help="Unified social credit code (统一社会信用代码).")] = None,
    category: Categories = None, city: City = None, attest: Attested = None, why: Why = "",
    json: Json = False,
) -> None:
    """Enter a holder. Late, double and ineligible entries are refused, each with its rule."""
    from orchestrator.flows.vouchers import draw as flow

    holder = checked_holder({"id": holder_id, "name": holder_name, "kind": kind, "email": email, "entity": entity,
                             "categories": category or [], "city": city, "attestations": attest or []})
    with opened() as ctx:
        entrant = flow.enter(ctx, name, holder, actor(), why)
    output.answer(json, {"draw": name, "entrant": entrant}, f"draw {name}: entered as {entrant}")


def checked_holder(fields: dict[str, Any]) -> "Holder":
    """A holder, with the rules of the web door."""
    from pydantic import ValidationError

    from orchestrator.entry.http.payloads import HolderIn

    try:
        return HolderIn.model_validate(fields).holder()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise CommandError(f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}", USAGE) from None


@app.command(epilog="Example: tenure draw run 2027-w10 --out list.json; then, with a value made public later: "
                    "tenure draw run 2027-w10 --value 'SSE 2027-03-12 3412.07' --out result.json")
def run(
    name: Name,
    value: Annotated[str | None, typer.Option(help="A public value that nobody could know when the list was "
                                                   "published. Left out: fix the list and answer it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write what is to be published into this file.")] = None,
    why: Why = "", json: Json = False,
) -> None:
    """First without a value: the list of entrants is fixed and committed to by its hash. Then with one: it is drawn."""
    from orchestrator.flows.vouchers import draw as flow

    with opened() as ctx:
        published = (flow.close(ctx, name, actor(), why) if value is None else
                     flow.run(ctx, name, value, actor(), why))
    if out is not None:
        out.write_text(jsonlib.dumps(published, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    told = [f"draw {name}: {len(published['entrants'])} entrants, commitment {published['commitment']}"]
    if "winners" in published:
        told.append(f"{len(published['winners'])} won, {len(published['waiting'])} wait; anyone can check: "
                    "tenure draw verify FILE")
    output.answer(json, published, *told)


@app.command(epilog="Example: tenure draw verify result.json --commitment 5f1c…")
def verify(
    file: Annotated[Path, typer.Argument(help="The published result.")],
    commitment: Annotated[str | None, typer.Option(help="The commitment as it was published beforehand.")] = None,
    json: Json = False,
) -> None:
    """Compute a published result again. It needs nothing but the file. Exit code 1 when it does not hold."""
    from orchestrator.lifecycle import draw as lots

    try:
        published = jsonlib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CommandError(f"{file}: cannot be read as JSON: {error}") from error
    problems = lots.verify(published, commitment)
    output.answer(json, {"ok": not problems, "problems": problems}, *(problems or [f"{file}: as computed again"]))
    if problems:
        raise typer.Exit(output.FAILED)


@app.command(epilog="Example: tenure draw winners 2027-w10 --json > winners.json")
def winners(name: Name, why: Why = "", json: Json = False) -> None:
    """Who has won what, with the codes, secrets of their winners, and whom to send them to: personal data. Who looked
    stands in the journal."""
    from orchestrator.flows.vouchers import draw as flow

    with opened() as ctx:
        found = flow.winners(ctx, name, actor(), why)
    output.rows(json, [output.plain_fields(one) for one in found], WON, f"draw {name}: nobody has won yet")


@app.command("next", epilog="Example: tenure draw next 2027-w10")
def next_(name: Name, why: Why = "", json: Json = False) -> None:
    """Pass on what its winners did not redeem in time, to those who wait. A worker does so by itself."""
    from orchestrator.flows.vouchers import draw as flow

    with opened() as ctx:
        found = flow.pass_on(ctx, name, actor(), why)
    output.rows(json, [output.plain_fields(one) for one in found], WON, f"draw {name}: nothing to pass on")


@app.command("list", epilog="Example: tenure draw list")
def list_(json: Json = False) -> None:
    """All draws. Of one that is drawn, winners may redeem until `claim_by`; then what is left is passed on. One that is
    over has nothing to pass on any more."""
    from orchestrator.store import draws

    with opened() as ctx, ctx.store.read() as tx:
        found = [{"draw": one.name, "programme": one.programme, "state": one.state, "closes_at": one.closes_at,
                  "vouchers": len(one.prizes), "entrants": len(draws.entries(tx, one.name)), "claim_by": one.claim_by}
                 for one in draws.list_(tx)]
    output.rows(json, found, ["draw", "programme", "state", "closes_at", "vouchers", "entrants", "claim_by"],
                "no draws")
