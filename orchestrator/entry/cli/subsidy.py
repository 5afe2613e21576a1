"""`tenure subsidy`: shares of what was actually paid, decided on evidence, and exported with it."""

import re
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.converting import digest_of
from orchestrator.entry.cli.draw import checked_holder
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why
from orchestrator.entry.cli.redeem import Attested, Categories, City

app = typer.Typer(help="Subsidies on what was actually paid, with their evidence.")

_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")


@app.command(epilog="Example: tenure subsidy decide INV-2027-17 --programme yangzhou-subsidy --paid 100000.00 "
                    "--paid-at 2027-03-01 --entity 91350100M000100Y43 --contract C-17 --contract-document contract.pdf "
                    "--receipt receipt.pdf --attest unrelated-parties --attest not-subsidised-elsewhere")
def decide(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's own reference.")],
    programme: Annotated[str, typer.Option(help="The programme that pays.")],
    paid: Annotated[str, typer.Option(help="What was actually paid, in yuan.")],
    paid_at: Annotated[str, typer.Option(help="When it was paid.")],
    entity: Annotated[str, typer.Option(help="Unified social credit code (统一社会信用代码) of who paid.")],
    contract: Annotated[str, typer.Option(help="The contract's number.")],
    contract_document: Annotated[str, typer.Option(help="The signed contract's file, or its SHA-256 in hex.")],
    receipt: Annotated[str, typer.Option(help="The payment receipt's file, or its SHA-256 in hex.")],
    kind: Annotated[str, typer.Option(help="firm, university or institute.")] = "firm",
    category: Categories = None, city: City = None, attest: Attested = None, why: Why = "",
    json: Json = False,
) -> None:
    """Decide on one payment. The same payment again is the same answer; nothing is subsidised twice."""
    from orchestrator.flows.vouchers import subsidy as flow
    from orchestrator.lifecycle.money import yuan

    for what, given in (("PAYMENT", payment), ("--contract", contract)):
        if not _REFERENCE.fullmatch(given):
            raise CommandError(f"{what} {given!r} is not a reference: letters, digits and . _ / -", USAGE)
    # Nothing is kept of the holder but the entity's code: a person's name and address are not asked for.
    holder = checked_holder({"id": entity, "name": entity, "kind": kind, "email": "nobody@example.invalid",
                             "entity": entity, "categories": category or [], "city": city,
                             "attestations": attest or []})
    with opened() as ctx:
        made = flow.decide(ctx, programme, holder, flow.Payment(
            payment, yuan(paid), output.when(paid_at, ctx.clock()), contract, digest_of(contract_document),
            digest_of(receipt), tuple(attest or ())), actor(), why)
    output.answer(json, {"payment": made.payment, "programme": programme, "paid": f"{made.paid:.2f}",
                         "subsidy": f"{made.amount:.2f}", "capped": made.evidence["capped"]} | {
                             "evidence": made.evidence},
                  f"payment {payment}: {made.amount:,.2f} yuan of {made.paid:,.2f} paid"
                  + (" (the entity's cap)" if made.evidence["capped"] else ""))


@app.command(epilog="Example: tenure subsidy export --programme yangzhou-subsidy --out subsidies.csv")
def export(programme: Annotated[str | None, typer.Option(help="Of this programme only.")] = None,
           out: Annotated[Path | None, typer.Option(help="Write it into this file; else stdout.")] = None,
           json: Json = False) -> None:
    """What was decided as CSV (UTF-8), each line with its evidence."""
    from orchestrator.flows.vouchers import subsidy as flow

    with opened() as ctx:
        found = flow.export(ctx, programme)
    output.sheet(json, found, out)
