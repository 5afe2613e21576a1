"""`tenure contract`: rental contracts (租用合同) with their price and their paper, from draft to end."""

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.converting import digest_of
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import CommandError, Json, Why

if TYPE_CHECKING:
    from orchestrator.flows.context import Context
    from orchestrator.lifecycle.paper import Paper
    from orchestrator.store.engine import Tx

app = typer.Typer(help="Contracts (租用合同): drafted with their price, signed at a link, in force, ended.")

_MONEY = {"base", "price", "hourly", "hourly_base"}

Id = Annotated[str, typer.Argument(metavar="CONTRACT", help="The contract's id.")]


@app.command(epilog="Example: tenure contract draft a2k4mzq7xw --class A --until +90d")
def draft(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account that is to be converted.")],
    customer_class: Annotated[str, typer.Option("--class", help="The customer class, A to E.")],
    until: Annotated[str, typer.Option(help="The contract's end: a time, +90d, or `open`: priced by the hour.")],
    prices: Annotated[str | None, typer.Option(help="The price list; the only one if left out.")] = None,
    offer: Annotated[str | None, typer.Option(help="What it gets from then on; its present offer if left out.")] = None,
    id: Annotated[str | None, typer.Option(help="The contract's id; made up if left out.")] = None,
    why: Why = "", json: Json = False,
) -> None:
    """Draft a contract: its price, its document, and the link at which the holder reads and signs it."""
    from orchestrator.flows.money import contract as flow

    with opened() as ctx:
        made = flow.draft(ctx, account, customer_class, None if until == "open" else output.when(until, ctx.clock()),
                          actor=actor(), prices=prices, offer=offer, contract=id, why=why)
        link = flow.signing_url(ctx, made.id)
    terms = made.terms
    output.answer(json, {"contract": made.id, "account": account, "ends_at": made.ends_at, "price": str(made.price),
                         "terms": terms, "document": made.digest, "signing_url": link},
                  f"contract {made.id}: " + (f"{made.price:,f} yuan an hour" if made.open else
                                             f"{made.price:,f} yuan until {output.shown(made.ends_at)}")
                  + (" (held up at 30 % of the base price)" if terms["floored"] else ""), f"signing link: {link}")


@app.command("list", epilog="Example: tenure contract list --open")
def list_(account: Annotated[str | None, typer.Option(help="Of this account only.")] = None,
          open_: Annotated[bool, typer.Option("--open", help="Only wishes and drafts.")] = False,
          json: Json = False) -> None:
    """Contracts, the newest first; wishes of holders among them."""
    from orchestrator.store import papers

    with opened() as ctx, ctx.store.read() as tx:
        found = [_row(tx, paper) for paper in papers.list_(tx, account=account, open_only=open_)]
    output.rows(json, found, ["contract", "account", "stage", "price", "per", "ends_at", "signed_at"], "no contracts")


@app.command(epilog="Example: tenure contract show C-a2k4mzq7xw-1")
def show(id: Id, link: Annotated[bool, typer.Option(
        "--link", help="With the link at which it is read and signed; that you looked is journalled.")] = False,
         why: Why = "", json: Json = False) -> None:
    """One contract with how its price came about, and its cash vouchers."""
    from orchestrator.flows.money import contract as flow
    from orchestrator.lifecycle import price
    from orchestrator.store import papers

    with opened() as ctx:
        with ctx.store.read() as tx:
            paper = _named(tx, id)
            drafted = papers.document(tx, id)
            found = _row(tx, paper) | {"offer": paper.offer, "document": paper.digest,
                                       "drafted_document": hashlib.sha256(drafted).hexdigest() if drafted else None,
                                       "signed_by": paper.signed_by,
                                       **{name: Decimal(said) if name in _MONEY else said
                                          for name, said in paper.terms.items()}}
            if paper.terms and not paper.open:
                payable, taken = price.after_vouchers(paper.price, flow.vouchers_of(tx, paper.account))
                found |= {"vouchers": taken, "payable": payable}
        if link:
            found["signing_url"] = _link(ctx, paper, why)
        output.facts(json, found)


def _link(ctx: "Context", paper: "Paper", why: str) -> str:
    from orchestrator.flows.money import contract as flow
    from orchestrator.store import journal

    if not paper.terms:
        raise CommandError(f"contract {paper.id} has no document yet, so there is nothing to sign: draft it first")
    with ctx.store.write() as tx:
        journal.write(tx, "contract.link_shown", paper.account, actor(), why, contract=paper.id)
    return flow.signing_url(ctx, paper.id)


@app.command(epilog="Example: tenure contract document C-a2k4mzq7xw-1 --out contract.html")
def document(id: Id, out: Annotated[Path, typer.Option(help="Write it into this file.")], json: Json = False) -> None:
    """The document as it is signed: HTML for A4."""
    from orchestrator.store import papers

    with opened() as ctx, ctx.store.read() as tx:
        found = papers.document(tx, _named(tx, id).id)
    if found is None:
        raise CommandError(f"contract {id} has no document yet")
    out.write_bytes(found)
    output.answer(json, {"contract": id, "file": str(out), "sha256": hashlib.sha256(found).hexdigest()}, f"wrote {out}")


@app.command(epilog="Example: tenure contract record C-a2k4mzq7xw-1 --document signed.pdf")
def record(id: Id, document: Annotated[str, typer.Option(help="The signed paper's file, or its SHA-256 in hex.")],
           why: Why = "", json: Json = False) -> None:
    """Record that a draft was signed on paper; the account is then converted."""
    from orchestrator.flows.money import contract as flow

    with opened() as ctx:
        signed = flow.sign(ctx, id, digest_of(document), actor=actor(), why=why)
    _answer(json, signed)


@app.command(epilog="Example: tenure contract withdraw C-a2k4mzq7xw-1 --why 'price list changed'")
def withdraw(id: Id, why: Why = "", json: Json = False) -> None:
    """Take a wish or a draft back: its link no longer signs."""
    from orchestrator.flows.money import contract as flow

    with opened() as ctx:
        gone = flow.withdraw(ctx, id, actor=actor(), why=why)
    _answer(json, gone)


def _answer(json: bool, paper: "Paper") -> None:
    output.answer(json, {"contract": paper.id, "account": paper.account, "state": paper.state,
                         "document": paper.digest}, f"contract {paper.id} of account {paper.account}: {paper.state}")


def _named(tx: "Tx", id: str) -> "Paper":
    from orchestrator.store import papers

    found = papers.get(tx, id)
    if found is None:
        raise CommandError(f"there is no contract {id!r}: `tenure contract list` shows those there are")
    return found


def _row(tx: "Tx", paper: "Paper") -> dict[str, Any]:
    from orchestrator.flows.money import contract as flow

    return {"contract": paper.id, "account": paper.account, "stage": flow.stage_of(tx, paper),
            "price": paper.price if paper.terms else None,
            "per": None if not paper.terms else "hour" if paper.open else "contract",
            "ends_at": paper.ends_at, "made_at": paper.made_at, "signed_at": paper.signed_at}
