"""Contracts (租用合同): wished for by the holder, drafted with their price, signed; then the account is converted."""

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from orchestrator.flows.accounts import placement
from orchestrator.flows.accounts.convert import Ask, ask
from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit
from orchestrator.flows.messages.callbacks import facts, text
from orchestrator.flows.messages.tell import tell
from orchestrator.flows.money import contract_paper
from orchestrator.flows.named import account_named
from orchestrator.lifecycle import money, price, times
from orchestrator.lifecycle.account import Account, FencedBy, State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.paper import Paper, PaperState, open_terms, stage, terms_of
from orchestrator.lifecycle.price import Prices
from orchestrator.lifecycle.programme import YUAN
from orchestrator.store import accounts, contracts, holders, journal, ledger, papers, price_lists
from orchestrator.store.engine import Tx
from orchestrator.store.seal import Keyring

LONGEST = timedelta(days=3660)


def token(keyring: Keyring, paper: str) -> str:
    """The secret part of a signing link: a keyed hash, so nothing is stored and it can be told again."""
    mac = keyring.mac("contract", paper)
    return f"{paper}.{base64.urlsafe_b64encode(mac[:24]).decode().rstrip('=')}"


def paper_of(keyring: Keyring, given: str) -> str | None:
    """The paper of a signing link, or None when it is not one of ours."""
    paper = given.rpartition(".")[0]
    return paper if hmac.compare_digest(token(keyring, paper).encode(), given.encode()) else None


def signing_url(ctx: Context, paper: str) -> str:
    """The link that a holder signs at."""
    return f"{ctx.settings.base_url}/contract/{token(ctx.keyring, paper)}"


def wish(ctx: Context, account_id: str, length: timedelta) -> Paper:
    """The holder asks for a contract of so long, before the end. Asked already, or offered one: the same answer.

    RuleError: not_found, no_contracts (no prices are applied), too_late, already_contracted, bad_end.
    """
    return commit("contract.wish", ctx.store, lambda tx: _wish(ctx, tx, account_id, length))


def _wish(ctx: Context, tx: Tx, account_id: str, length: timedelta) -> Paper:
    account, now = account_named(tx, account_id), ctx.clock()
    if not price_lists.list_(tx):
        raise RuleError("no_contracts", "no contracts are offered here")
    may_wish(account, now)
    if not timedelta() < length <= LONGEST:
        raise RuleError("bad_end", "a contract lasts between a day and ten years")
    known = papers.list_(tx, account=account_id, open_only=True)
    if known:
        return known[0]
    made = Paper(_new_id(tx, account_id), account_id, account.offer.name, now + length, PaperState.WISHED, now)
    papers.add(tx, made)
    journal.write(tx, "contract.wished", account_id, "holder", contract=made.id, ends_at=made.ends_at)
    return made


def may_wish(account: Account, now: datetime) -> None:
    """RuleError when it is too late to ask for a contract, or too early."""
    if account.state is State.CONTRACTED or account.convert_asked:
        raise RuleError("already_contracted", f"account {account.id} has contract {account.contract!r}")
    if account.state is not State.ACTIVE or account.ends_at is None or now >= account.ends_at:
        raise RuleError("too_late", f"account {account.id} is {account.state}: a contract is asked for before the end")


def draft(ctx: Context, account_id: str, customer_class: str, ends_at: datetime | None, *, actor: str,
          prices: str | None = None, offer: str | None = None, contract: str | None = None, why: str = "") -> Paper:
    """A contract with its price and its document, to be signed at its link. `ends_at` None: open, with what an hour
    costs. A wish of the holder's, and an earlier draft, make way for it.

    RuleError: not_found, too_late, prices_unknown, class_unknown, price_missing, offer_unknown, bad_end,
    contract_known, holder_erased.
    """
    return commit("contract.draft", ctx.store, lambda tx: _draft(
        ctx, tx, account_id, customer_class, ends_at or OPEN_END, actor, prices, offer, contract, why))


def _draft(ctx: Context, tx: Tx, account_id: str, customer_class: str, ends_at: datetime, actor: str,
           prices: str | None, offer_name: str | None, contract: str | None, why: str) -> Paper:
    account, now = account_named(tx, account_id), ctx.clock()
    in_grace = account.state is State.FENCED and account.fenced_by is FencedBy.END
    if account.state is not State.ACTIVE and not in_grace:
        raise RuleError("too_late", f"account {account_id} is {account.state}: there is nothing to convert")
    offer = placement.offer_named(tx, offer_name or account.offer.name)
    listed = _prices(tx, prices)
    terms = _terms(listed, offer, customer_class, ends_at, now)
    holder = holders.get(tx, accounts.record(tx, account_id).holder)
    if holder is None:
        raise RuleError("holder_erased", f"account {account_id}: its holder was erased; nobody is there to sign")
    made = Paper(contract or _new_id(tx, account_id), account_id, offer.name, ends_at, PaperState.DRAFT, now, terms)
    document = contract_paper.render(made, holder, offer, account.site, times.zone(ctx.settings.timezone))
    made = replace(made, digest=hashlib.sha256(document).hexdigest())
    for earlier in papers.list_(tx, account=account_id, open_only=True):
        papers.save(tx, earlier.move(PaperState.WITHDRAWN))
    if not papers.add(tx, made, document):
        raise RuleError("contract_known", f"there is a contract {made.id!r} already")
    journal.write(tx, "contract.drafted", account_id, actor, why, contract=made.id, document=made.digest,
                  price=str(made.price), customer_class=customer_class, ends_at=ends_at)
    tell(ctx, tx, accounts.record(tx, account_id).sender, "contract.drafted", account_id,
         {**facts(account), "contract": made.id, "price": str(made.price), "contract_ends_at": text(ends_at),
          "document": made.digest})
    return made


def _terms(listed: Prices, offer: Offer, customer_class: str, ends_at: datetime, now: datetime) -> dict[str, Any]:
    if ends_at >= OPEN_END:
        return open_terms(listed.name, price.hourly(listed, offer, customer_class), now)
    return terms_of(listed.name, price.quote(listed, offer, customer_class, _length(ends_at - now)), now)


def _length(given: timedelta) -> timedelta:
    """"In 90 days" was said some moments ago: what is within a minute of whole hours is whole hours, so that a draft
    for 90 days gets the discount and the price of 90 days."""
    hours = round(given / timedelta(hours=1)) * timedelta(hours=1)
    return hours if hours and abs(given - hours) < timedelta(minutes=1) else given


def sign(ctx: Context, paper_id: str, digest: str, *, actor: str, why: str = "") -> Paper:
    """Signed: by the holder, who names the hash of the document they were shown, or recorded by an operator with the
    hash of the signed paper. The conversion is asked for first, so that no signature stands without one.

    RuleError: contract_unknown, not_to_sign, document_differs, and those of `convert.ask`.
    """
    with ctx.store.read() as tx:
        paper = _paper(tx, paper_id)
    if paper.state is PaperState.SIGNED and paper.digest == digest:
        return paper
    if paper.state is not PaperState.DRAFT:
        raise RuleError("not_to_sign", f"contract {paper_id} is {paper.state}: it cannot be signed")
    if actor == "holder" and digest != paper.digest:
        raise RuleError("document_differs", f"contract {paper_id}: this is not the document that is to be signed; open "
                                            "the link again")
    ask(ctx, Ask(paper.id, paper.account, paper.offer, paper.ends_at, digest), actor=actor, why=why)
    return commit("contract.sign", ctx.store, lambda tx: _signed(ctx, tx, paper_id, digest, actor, why))


def _signed(ctx: Context, tx: Tx, paper_id: str, digest: str, actor: str, why: str) -> Paper:
    paper = _paper(tx, paper_id, lock=True)
    if paper.state is PaperState.SIGNED:
        return paper
    signed = replace(paper.move(PaperState.SIGNED), digest=digest, signed_at=ctx.clock(), signed_by=actor)
    papers.save(tx, signed)
    journal.write(tx, "contract.signed", paper.account, actor, why, contract=paper.id, document=digest)
    return signed


def withdraw(ctx: Context, paper_id: str, *, actor: str, why: str = "") -> Paper:
    """Take a wish or a draft back: its link no longer signs. RuleError: contract_unknown, illegal_move."""

    def save(tx: Tx) -> Paper:
        gone = _paper(tx, paper_id, lock=True).move(PaperState.WITHDRAWN)
        papers.save(tx, gone)
        journal.write(tx, "contract.withdrawn", gone.account, actor, why, contract=gone.id)
        return gone

    return commit("contract.withdraw", ctx.store, save)


def stage_of(tx: Tx, paper: Paper) -> str:
    """draft → signed → active → ended."""
    account, conversion = accounts.get(tx, paper.account), contracts.get(tx, paper.account, paper.id)
    assert account is not None
    return stage(paper, conversion.state if conversion else None, account.state)


def vouchers_of(tx: Tx, account: str) -> Decimal:
    """What cash vouchers are still to come off the account's bills, in yuan."""
    return ledger.balance(tx, f"credit/{account}/{YUAN}").quantize(money.FEN)


def _prices(tx: Tx, name: str | None) -> Prices:
    known = price_lists.list_(tx)
    found = [prices for prices in known if name in (None, prices.name)]
    if len(found) != 1:
        if not known:
            raise RuleError("prices_unknown", "there is no price list yet: `tenure apply -f` one first")
        raise RuleError("prices_unknown", f"say which price list: {', '.join(one.name for one in known)}")
    return found[0]


def _paper(tx: Tx, paper_id: str, *, lock: bool = False) -> Paper:
    found = papers.get(tx, paper_id, lock=lock)
    if found is None:
        raise RuleError("contract_unknown", f"there is no contract {paper_id!r}")
    return found


def _new_id(tx: Tx, account_id: str) -> str:
    return f"C-{account_id}-{len(papers.list_(tx, account=account_id)) + 1}"
