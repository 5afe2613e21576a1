"""Contracts: their price, their paper, their signature, and what becomes of the account."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from orchestrator.flows.money import contract
from orchestrator.lifecycle import money, price
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.holder import Holder
from orchestrator.lifecycle.paper import Paper, PaperState
from orchestrator.lifecycle.price import Prices
from orchestrator.store import holders, outbox, papers, price_lists
from tests.flows.scheme import FIRM, apply, example, programme, redeem
from tests.flows.town import START, Town
from tests.flows.town import town as a_town

DAY = timedelta(days=1)
PRICES = replace(example("nanjing-prices.yaml").prices[0], cpu=Decimal("10.00"), memory=Decimal("0.00"),
                 storage=Decimal("0.00"))


def priced(town: Town, prices: Prices = PRICES, holder: Holder = FIRM) -> str:
    """A usable account where prices are applied."""
    with town.store.write() as tx:
        price_lists.put(tx, prices)
    return town.active(holder=holder)


def drafted(town: Town, account: str, days: int = 90, customer: str = "B") -> Paper:
    return contract.draft(town.ctx, account, customer, town.clock.at + days * DAY, actor="test")


def document(town: Town, paper: Paper) -> bytes:
    with town.store.read() as tx:
        found = papers.document(tx, paper.id)
    assert found is not None
    return found


def stage(town: Town, paper: Paper) -> str:
    with town.store.read() as tx:
        known = papers.get(tx, paper.id)
        assert known is not None
        return contract.stage_of(tx, known)


@contextmanager
def refusing(code: str) -> Iterator[None]:
    with pytest.raises(RuleError) as caught:
        yield
    assert caught.value.code == code


def test_the_price_is_base_less_class_less_term(town: Town) -> None:
    """Half a core at 10.00 for 2,160 h is 10,800.00; 45 % and 5 % off are 5,643.00."""
    paper = drafted(town, priced(town))
    assert (paper.terms["base"], paper.price, paper.terms["floored"]) == ("10800.00", Decimal("5643.00"), False)


def test_ninety_days_are_ninety_days_though_said_moments_ago(town: Town) -> None:
    """The discount of 90 days and the price of 2,160 hours; two minutes less are less."""
    account, wanted = priced(town), town.clock.at + 90 * DAY
    town.advance(timedelta(seconds=1.3))
    paper = contract.draft(town.ctx, account, "B", wanted, actor="test")
    assert (paper.terms["base"], paper.price, paper.ends_at) == ("10800.00", Decimal("5643.00"), wanted)
    town.advance(timedelta(minutes=2))
    assert contract.draft(town.ctx, account, "B", wanted, actor="test").price > Decimal("5900.00")


def test_class_and_term_together_stop_at_30_percent(town: Town) -> None:
    """65 % and 15 % off would be 29.75 %."""
    paper = drafted(town, priced(town), days=365, customer="D")
    assert (paper.terms["base"], paper.price, paper.terms["floored"]) == ("43800.00", Decimal("13140.00"), True)


def test_the_document_says_price_and_parties_in_both_languages(town: Town) -> None:
    """And is what its hash says."""
    paper = drafted(town, priced(town))
    said = document(town, paper)
    assert hashlib.sha256(said).hexdigest() == paper.digest
    for words in ("算力租用合同", "Computing power rental contract", "5,643.00", FIRM.name, paper.id, "size: A4"):
        assert words in said.decode()


def test_each_line_of_the_document_can_be_worked_out_again(town: Town) -> None:
    """48 MiB for 2,160 h at 0.01: 1.01, of 0.046875 GiB and not of 0.05; half a core, with no zero too many."""
    said = document(town, drafted(town, priced(town, replace(PRICES, storage=Decimal("0.01"))))).decode()
    for cells in (("0.5", "10.00", "2,160.00", "10,800.00"), ("0.046875", "0.01", "2,160.00", "1.01")):
        assert "".join(f'<td class="n">{cell}</td>' for cell in cells) in said


def test_each_discount_stands_beside_what_it_takes_off(town: Town) -> None:
    """45 % of 10,800.00, then 5 % of the 5,940.00 that are left."""
    said = document(town, drafted(town, priced(town))).decode()
    for name, amount in (("客户类别优惠 45 %", "-4,860.00"), ("长期合同优惠 5 %", "-297.00")):
        assert re.search(f'{name} .*<td class="n">{amount}</td>', said)
    assert "Never below" not in said


def test_the_floor_says_what_it_decides(town: Town) -> None:
    """29.75 % of 43,800.00 would be 13,030.50."""
    said = document(town, drafted(town, priced(town), days=365, customer="D")).decode()
    assert re.search(r'Never below 30 % of the base price: 13,140.00.*<td class="n">109.50</td>', said)
    assert "不低于基准价的 30 %：13,140.00" in said


@given(st.integers(0, 10**9), st.integers(0, 100), st.integers(0, 100))
def test_what_stands_beside_the_discounts_comes_to_the_price(fen: int, of_class: int, of_term: int) -> None:
    """To the fen, whatever the discounts are; of an hour's price, to its six places."""
    base, shares = Decimal(fen) / 100, (Decimal(of_class) / 100, Decimal(of_term) / 100)
    due = price.discounted(base, *shares)[0]
    assert base + sum(price.steps(base, due, *shares)) == due
    hourly, exact = base / 7, max(base / 7 * (1 - shares[0]), base / 7 * price.FLOOR)
    steps = price.steps(hourly, exact, shares[0], Decimal(0), money.short)
    assert money.short(hourly) + sum(steps) == money.short(exact)


def test_the_price_of_an_hour_is_the_same_wherever_it_is_told(town: Town) -> None:
    """On the paper, in the message that mail and callback are made of, and to who drafts it: with six places."""
    account = priced(town, replace(PRICES, cpu=Decimal("10.01"), storage=Decimal("0.03")))
    paper = contract.draft(town.ctx, account, "B", None, actor="test")
    with town.store.read() as tx:
        [told] = outbox.find(tx, outbox.Filter(type="contract.drafted"))
    assert paper.terms["hourly"] == "2.7535234375"
    assert (str(paper.price), told.data["price"]) == ("2.753523", "2.753523")
    assert '<td class="n">2.753523</td>' in document(town, paper).decode()


def test_a_name_cannot_write_into_the_document(town: Town) -> None:
    """It is escaped, whatever it holds."""
    account = priced(town)
    with town.store.write() as tx:
        holders.put(tx, town.sender.id, replace(FIRM, name="<script>alert(1)</script>"))
    assert b"<script" not in document(town, drafted(town, account))


def test_draft_signed_active_ended(town: Town) -> None:
    """The signature converts the account in place; after its end the contract has ended."""
    account = priced(town)
    paper = drafted(town, account)
    seen = [stage(town, paper)]
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    seen.append(stage(town, paper))
    town.work()
    seen.append(stage(town, paper))
    assert town.account(account).ends_at == START + 90 * DAY
    town.advance(90 * DAY)
    town.work()
    assert [*seen, stage(town, paper)] == ["draft", "signed", "active", "ended"]


def test_signing_twice_is_once(town: Town) -> None:
    """The second gets the first's answer."""
    account = priced(town)
    paper = drafted(town, account)
    first = contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    town.advance(DAY / 2)
    assert contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder") == first
    town.work()
    assert town.journalled(account).count("contract.signed") == 1


def test_a_holder_signs_only_what_they_were_shown(town: Town) -> None:
    """Another document's hash is refused, and so is a draft that was replaced."""
    account = priced(town)
    old = drafted(town, account, days=30)
    new = drafted(town, account)
    with refusing("not_to_sign"):
        contract.sign(town.ctx, old.id, old.digest or "", actor="holder")
    with refusing("document_differs"):
        contract.sign(town.ctx, new.id, old.digest or "", actor="holder")
    assert stage(town, new) == "draft"


def test_an_operator_records_the_signed_papers_own_hash(town: Town) -> None:
    """A scan has another one than the draft; the conversion carries it."""
    account = priced(town)
    paper = drafted(town, account)
    contract.sign(town.ctx, paper.id, "ab" * 32, actor="cli:0")
    town.work()
    assert (town.account(account).state, town.contract(account, paper.id)) == (State.CONTRACTED, "active")


def test_a_wish_is_made_before_the_end_only(town: Town) -> None:
    """In the last second yes, at the end no."""
    account = priced(town)
    end = town.account(account).ends_at
    assert end is not None
    town.clock.at = end - timedelta(seconds=1)
    wished = contract.wish(town.ctx, account, 90 * DAY)
    assert (wished.state, contract.wish(town.ctx, account, 30 * DAY)) == (PaperState.WISHED, wished)
    contract.withdraw(town.ctx, wished.id, actor="test")
    town.clock.at = end
    with refusing("too_late"):
        contract.wish(town.ctx, account, 90 * DAY)


def test_without_prices_nobody_is_asked(town: Town) -> None:
    """An installation without contracts offers none."""
    with refusing("no_contracts"):
        contract.wish(town.ctx, town.active(), DAY)


def test_a_draft_answers_the_wish(town: Town) -> None:
    """What was wished for makes way."""
    account = priced(town)
    wished = contract.wish(town.ctx, account, 90 * DAY)
    drafted(town, account)
    assert stage(town, wished) == "withdrawn"


def test_a_signature_after_grace_converts_nothing(town: Town) -> None:
    """Nothing is left; the draft stays a draft."""
    account = priced(town)
    paper = drafted(town, account)
    town.advance(5 * DAY)
    town.work()
    town.advance(5 * DAY)
    town.work()
    assert town.account(account).state is State.RECLAIMED
    with refusing("too_late"):
        contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    with refusing("too_late"):
        drafted(town, account)
    assert stage(town, paper) == "draft"


def test_a_cash_voucher_comes_off_a_signed_contract(town: Town) -> None:
    """5,643.00 less 643.00."""
    account = priced(town)
    of = programme("wuxi-cash")
    apply(town, of)
    paper = drafted(town, account)
    contract.sign(town.ctx, paper.id, paper.digest or "", actor="holder")
    redeem(town, of, "643.00", account=account)
    with town.store.read() as tx:
        assert paper.price - contract.vouchers_of(tx, account) == Decimal("5000.00")


def test_a_signing_link_is_one_papers_alone(town: Town) -> None:
    """One letter changed is no link."""
    paper = drafted(town, priced(town))
    link = contract.token(town.ctx.keyring, paper.id)
    assert contract.paper_of(town.ctx.keyring, link) == paper.id
    for other in (link[:-1] + ("A" if link[-1] != "A" else "B"), paper.id, "", "." + link, "C-x-1." + link[-32:]):
        assert contract.paper_of(town.ctx.keyring, other) is None


class Papers(RuleBasedStateMachine):
    """Wishes, drafts, signatures, time and work in any order."""

    town: Town

    def __init__(self) -> None:
        super().__init__()
        self.account = priced(self.town)
        self.latest: Paper | None = None
        self.signed: set[str] = set()

    @rule()
    def wishes(self) -> None:
        self._maybe(lambda: contract.wish(self.town.ctx, self.account, 30 * DAY))

    @rule(customer=st.sampled_from("ABCDE"), days=st.integers(1, 400))
    def drafts(self, customer: str, days: int) -> None:
        self.latest = self._maybe(lambda: drafted(self.town, self.account, days, customer)) or self.latest

    @precondition(lambda self: self.latest is not None)
    @rule()
    def signs(self) -> None:
        assert self.latest is not None
        paper = self.latest
        if self._maybe(lambda: contract.sign(self.town.ctx, paper.id, paper.digest or "", actor="holder")):
            self.signed.add(paper.id)

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.town.advance(timedelta(hours=hours))

    @rule()
    def works(self) -> None:
        self.town.work()

    def _maybe(self, act: Callable[[], Paper]) -> Paper | None:
        try:
            return act()
        except RuleError:
            return None

    @invariant()
    def papers_are_in_order(self) -> None:
        with self.town.store.read() as tx:
            all_ = papers.list_(tx, account=self.account)
            stages = [contract.stage_of(tx, paper) for paper in all_]
        assert sum(paper.state in (PaperState.WISHED, PaperState.DRAFT) for paper in all_) <= 1
        assert stages.count("active") == (self.town.account(self.account).state is State.CONTRACTED)
        assert {paper.id for paper in all_ if paper.state is PaperState.SIGNED} == self.signed
        assert all(paper.price >= Decimal("0.30") * Decimal(paper.terms["base"]) for paper in all_ if paper.terms)


def test_any_order_of_wishes_drafts_and_signatures_holds(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One open paper at most, one contract in force at most, and nothing signed but what was signed."""
    with a_town(tmp_path_factory.mktemp("papers") / "home") as made:
        Papers.town = made
        run_state_machine_as_test(Papers, settings=settings(
            max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)))
