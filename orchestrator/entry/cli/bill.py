"""`tenure bill`: what an account's contracts cost in a month, line by line, and closing it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import Json, Why

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.bill import Bill

app = typer.Typer(help="Bills (账单): usage × price − discounts − cash vouchers, by civil month.")

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account whose contracts are billed.")]
Month = Annotated[str, typer.Option(help="The civil month: 2026-11.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write it into this file as CSV, for a spreadsheet.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write it into this file as HTML, for A4.")]


@app.command(epilog="Example: tenure bill preview a2k4mzq7xw --month 2026-11 --html bill.html --csv bill.csv")
def preview(account: Account, month: Month, csv: Csv = None, html: Html = None, json: Json = False) -> None:
    """The month's bill as it stands: each line with the rule and the rows it is from. Changes nothing."""
    from orchestrator.flows.money import bill as flow

    with opened() as ctx:
        _tell(ctx, flow.preview(ctx, account, month), csv, html, json)


@app.command(epilog="Example: tenure bill close a2k4mzq7xw --month 2026-11 --html bill.html")
def close(account: Account, month: Month, csv: Csv = None, html: Html = None, why: Why = "",
          json: Json = False) -> None:
    """Fix the bill of a month that is over; cash vouchers pay what they can. Again: the same bill."""
    from orchestrator.flows.money import bill as flow

    with opened() as ctx:
        _tell(ctx, flow.close(ctx, account, month, actor=actor(), why=why), csv, html, json)


@app.command("list", epilog="Example: tenure bill list --account a2k4mzq7xw")
def list_(account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
          json: Json = False) -> None:
    """Closed bills by month."""
    from orchestrator.lifecycle.money import to_fen
    from orchestrator.store import bills

    with opened() as ctx, ctx.store.read() as tx:
        found = bills.list_(tx, account)
    output.rows(json, [{"account": one.account, "month": one.month, "price": to_fen(one.price),
                        "vouchers": to_fen(one.taken), "payable": to_fen(one.total), "closed_at": one.closed_at}
                       for one in found], ["account", "month", "price", "vouchers", "payable", "closed_at"],
                "no bill is closed yet")


def _tell(ctx: "Context", bill: "Bill", csv: Path | None, html: Path | None, json: bool) -> None:
    from orchestrator.flows.money import bill_paper
    from orchestrator.lifecycle import times
    from orchestrator.store import accounts, holders

    if csv is not None:
        # With a byte order mark: without one, spreadsheets take UTF-8 for something else.
        csv.write_text(bill_paper.csv_of(bill), encoding="utf-8-sig")
    if html is not None:
        with ctx.store.read() as tx:
            holder = holders.get(tx, accounts.record(tx, bill.account).holder)
        html.write_bytes(bill_paper.html_of(bill, holder, times.zone(ctx.settings.timezone)))
    if json:
        output.document(bill_paper.document_of(bill))
        return
    output.table([[line.contract, line.rule.value, line.what, line.figure, output.cell(line.quantity),
                   f"{line.amount:,.2f}", ", ".join(line.rows)] for line in bill.lines],
                 ["contract", "rule", "what", "figure", "unit-hours", "amount", "rows"])
    for part in bill.parts:
        for resource, spans in sorted(part.gaps.items()):
            output.note(f"gap in the meter of {resource}: {', '.join(spans)}")
    for contract in bill.unpriced:
        output.note(f"contract {contract} was signed without a price list: nothing is asked for it")
    state = "closed" if bill.closed_at is not None else "not closed" if bill.whole else "up to now"
    output.say(f"{bill.month} ({state}): price {bill.price:,.2f}, cash vouchers {bill.taken:,.2f}, to pay "
               f"{bill.total:,.2f} yuan")
