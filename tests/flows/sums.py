"""Everything that moves sums, in any order, beside a model that only adds up: who got what, of which pool, and when.

The model says beforehand whether a redemption fits its pool and its entity's cap; the real one has to agree.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.flows.money import bill, contract
from orchestrator.flows.usage import metering
from orchestrator.flows.vouchers import grants, in_kind, subsidy
from orchestrator.flows.vouchers.subsidy import Payment
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.bill import Bill
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.periods import Period, month, named
from orchestrator.lifecycle.programme import Benefit, Limit, Programme
from orchestrator.lifecycle.times import zone
from orchestrator.store import holders
from tests.flows.money.test_contract import priced
from tests.flows.scheme import FIRM, apply, balance, checked, code, programme
from tests.flows.town import OFFER, START, town

T = TypeVar("T")

NONE = Decimal(0)
ENTITIES = tuple(replace(FIRM, id=f"f-{nth}", entity=entity) for nth, entity in enumerate((
    "91350100M000100Y43", "911101085923662400")))
WHO = st.integers(0, 1)
LENGTHS = st.sampled_from([timedelta(minutes=5), timedelta(hours=2), timedelta(days=1), timedelta(days=9),
                           timedelta(days=33)])
FEN = st.integers(1, 4000)
SCHEMES: dict[str, dict[str, Any]] = {
    "nanjing-trial": {"pool": Limit(Period.WEEK, Decimal(150), 3), "cap": Limit(Period.WEEK, Decimal(96), 1)},
    "guizhou-in-kind": {"use_within": timedelta(days=30),
                        "pool": Limit(Period.EVER, Decimal(150)), "cap": Limit(Period.YEAR, Decimal(80), 2)},
    "wuxi-cash": {"pool": Limit(Period.YEAR, Decimal("100.00")), "cap": Limit(Period.MONTH, Decimal("45.00"))},
    "yangzhou-subsidy": {"pool": Limit(Period.YEAR, Decimal("90.00")), "cap": Limit(Period.YEAR, Decimal("50.00"))},
}
FULL = {"pool_empty", "cap_reached"}


def tried(act: Callable[[], T]) -> T | RuleError:
    """What came of it, a refusal being an answer like any other."""
    try:
        return act()
    except RuleError as refused:
        return refused


@dataclass
class Given:
    """One voucher or subsidy that was given. `back`: its account never became usable."""

    of: Programme
    who: int
    amount: Decimal
    at: datetime
    account: str = ""
    back: bool = False


class Sums(RuleBasedStateMachine):
    """Four programmes, two firms, contracts, bills and subsidies in one town."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.opened = town(Path(self.folder.name) / "home", offer=replace(OFFER, accelerators={"ascend-910b": 4}))
        self.town = self.opened.__enter__()
        self.schemes = {name: programme(name, **limits) for name, limits in SCHEMES.items()}
        self.given: list[Given] = []
        self.events: list[tuple[str, str, int, str]] = []
        self.paid: dict[str, tuple[int, Decimal, Decimal, datetime]] = {}
        self.closed: dict[tuple[str, str], Bill] = {}
        self.contracted: list[str] = []

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)
        self.folder.cleanup()

    @initialize()
    def begins(self) -> None:
        """The programmes are applied, and somebody has a contract."""
        apply(self.town, *self.schemes.values())
        self._sign(priced(self.town, holder=ENTITIES[0]), "E", 60)

    def taken(self, of: Programme, limit: Limit, at: datetime, who: int | None = None) -> list[Decimal]:
        """What the model has of one pool, or of one entity's cap, in the period of this instant."""
        period = named(limit.per, at, zone())
        return [one.amount for one in self.given if one.of is of and not one.back and who in (None, one.who)
                and named(limit.per, one.at, zone()) == period]

    def fits(self, of: Programme, who: int, amount: Decimal, many: int = 1) -> bool:
        now = self.town.clock.at
        for limit, had in ((of.pool, self.taken(of, of.pool, now)), (of.cap, self.taken(of, of.cap, now, who))):
            if limit.amount is not None and sum(had, NONE) + amount * many > limit.amount:
                return False
            if limit.vouchers is not None and len(had) + many > limit.vouchers:
                return False
        return True

    def _redeem(self, of: Programme, who: int, amount: Decimal, account: str | None = None) -> None:
        fits, voucher = self.fits(of, who, amount), code(self.town, of, str(amount))
        event = f"e-{len(self.events)}"
        got = tried(lambda: self.town.redeem(voucher, event=event, holder=ENTITIES[who], account=account))
        if isinstance(got, RuleError):
            assert (fits, got.code in FULL) == (False, True), f"{of.name}: {amount} was refused: {got}"
            return
        assert fits, f"{of.name}: {amount} was given and does not fit"
        self.events.append((voucher, event, who, got.account))
        self.given.append(Given(of, who, amount, self.town.clock.at, got.account))

    @rule(who=WHO, hours=st.integers(24, 96))
    def redeems_a_trial(self, who: int, hours: int) -> None:
        self._redeem(self.schemes["nanjing-trial"], who, Decimal(hours))

    @rule(who=WHO, hours=st.integers(1, 60))
    def redeems_in_kind(self, who: int, hours: int) -> None:
        self._redeem(self.schemes["guizhou-in-kind"], who, Decimal(hours))

    @rule(who=WHO, hours=st.integers(24, 60), name=st.sampled_from(["nanjing-trial", "guizhou-in-kind"]))
    def redeems_what_fails(self, who: int, hours: int, name: str) -> None:
        """Nobody works until it is too late."""
        self._redeem(self.schemes[name], who, Decimal(hours))
        self.time_passes(timedelta(minutes=15))

    @rule(who=WHO, fen=FEN, nth=st.integers(0, 9))
    def redeems_cash(self, who: int, fen: int, nth: int) -> None:
        if there := self._there(who):
            self._redeem(self.schemes["wuxi-cash"], who, Decimal(fen) / 100, there[nth % len(there)])

    @rule(who=WHO, fen=FEN)
    def redeems_cash_six_times_at_once(self, who: int, fen: int) -> None:
        """As many get it as fit, and no more, whoever comes first."""
        of, amount, there = self.schemes["wuxi-cash"], Decimal(fen) / 100, self._there(who)
        if not there:
            return
        fitting = max(many for many in range(7) if self.fits(of, who, amount, many))
        codes = [code(self.town, of, str(amount)) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            got = list(pool.map(lambda one: tried(lambda: self.town.redeem(
                one, holder=ENTITIES[who], account=there[0])), codes))
        refused = [one.code for one in got if isinstance(one, RuleError)]
        assert (len(refused), set(refused) <= FULL) == (6 - fitting, True), f"{fitting} fit, {refused}"
        self.given += [Given(of, who, amount, self.town.clock.at, there[0]) for _ in range(fitting)]

    @rule(nth=st.integers(0, 99))
    def repeats(self, nth: int) -> None:
        """An event that was answered comes again: the same answer, nothing more is given."""
        if self.events:
            voucher, event, who, account = self.events[nth % len(self.events)]
            assert self.town.redeem(voucher, event=event, holder=ENTITIES[who], account=account).account == account

    @rule(who=WHO, fen=st.integers(1, 20_000), again=st.booleans())
    def decides_a_subsidy(self, who: int, fen: int, again: bool) -> None:
        """30 % half-up of what was paid, at most what the cap has left; the same payment again is the same answer."""
        if again and self.paid:
            reference = sorted(self.paid)[0]
            who, paid, amount, _ = self.paid[reference]
            assert self._decide(reference, who, paid) == amount
            return
        of, paid, now = self.schemes["yangzhou-subsidy"], Decimal(fen) / 100, self.town.clock.at
        left = Decimal("50.00") - sum(self.taken(of, of.cap, now, who), NONE)
        share = min(Decimal((fen * 30 + 50) // 100) / 100, left)
        fits = left > 0 and sum(self.taken(of, of.pool, now), NONE) + share <= Decimal("90.00")
        nothing = left > 0 and not share
        refusals = {"nothing_due"} if nothing else FULL
        reference = f"P-{len(self.paid)}-{fen}-{who}-{fits}"
        decided = tried(lambda: self._decide(reference, who, paid))
        if isinstance(decided, RuleError):
            assert (fits and not nothing, decided.code in refusals) == (False, True), decided
            return
        assert (fits and not nothing, decided) == (True, share)
        self.paid[reference] = (who, paid, share, now)
        self.given.append(Given(of, who, share, now))

    @rule(nth=st.integers(0, 9), customer=st.sampled_from("ABCDE"), days=st.integers(1, 60))
    def signs(self, nth: int, customer: str, days: int) -> None:
        """One of the usable accounts goes on as a contract."""
        active = [one.account for one in self.given if one.account and self._state(one.account) is State.ACTIVE]
        if active:
            self._sign(active[nth % len(active)], customer, days)

    @rule(nth=st.integers(0, 9))
    def the_next_month_comes(self, nth: int) -> None:
        """And the last one's bill is closed."""
        self.time_passes(month(named(Period.MONTH, self.town.clock.at, zone()), zone())[1] - self.town.clock.at)
        self.closes(nth, 1)

    @rule(nth=st.integers(0, 9), days=st.sampled_from([0, 1, 32, 63]))
    def closes(self, nth: int, days: int) -> None:
        """A bill is closed, or was: cash pays what it can, once."""
        account = self.contracted[nth % len(self.contracted)]
        self._close(account, named(Period.MONTH, max(START, self.town.clock.at - timedelta(days=days)), zone()))

    def _close(self, account: str, called: str) -> None:
        had, known = self._cash(account), self.closed.get((account, called))
        made = tried(lambda: bill.close(self.town.ctx, account, called, actor="test"))
        if isinstance(made, RuleError):
            first = month(called, zone())[0] == self.town.clock.at
            refused = ("month_ahead",) if first else ("month_open", "earlier_open", "not_in_force")
            assert (known, made.code in refused) == (None, True), made
            return
        assert known is None or made == known
        assert known is not None or made.taken == min(made.price, had)
        self.closed[account, called] = made

    @rule(nth=st.integers(0, 9), chips=st.integers(0, 4), hours=st.integers(1, 9))
    def chips_run(self, nth: int, chips: int, hours: int) -> None:
        """So many chips of one account, metered and, it may be, taken from its voucher in kind."""
        active = [one.account for one in self.given if one.of.benefit is Benefit.IN_KIND
                  and self._state(one.account) in (State.ACTIVE, State.CONTRACTED)]
        if active:
            with self.town.sites["north"].keeper.held() as world:
                world.tenancies[active[nth % len(active)]].chips = {"ascend-910b": chips}
            self.time_passes(timedelta(hours=hours))
        done = metering.read_site(self.town.ctx, "north")
        in_kind.stretch(self.town.ctx, done.read)

    @rule()
    def works(self) -> None:
        self.town.work()

    @rule(length=LENGTHS)
    def time_passes(self, length: timedelta) -> None:
        """Whoever was not made in time has failed; what failed is given back once it is shown gone."""
        self.town.advance(length)
        self.town.work()
        for one in self.given:
            if one.account and one.of.benefit is not Benefit.CASH and not one.back:
                found = self.town.account(one.account)
                one.back = found.state is State.RECLAIMED and found.starts_at is None

    @invariant()
    def every_entry_comes_to_nothing_and_every_balance_to_its_entries(self) -> None:
        assert checked(self.town) == []

    @invariant()
    def pools_and_caps_are_what_was_given(self) -> None:
        """To the fen, in every period that anything was given in; and never beyond the limit."""
        for one in self.given:
            pool, cap = one.of.pool, one.of.cap
            there = self.taken(one.of, pool, one.at)
            where = f"{one.of.name}/{named(pool.per, one.at, zone())}"
            assert balance(self.town, f"pool/{where}/{one.of.unit}") == -sum(there, NONE)
            assert balance(self.town, f"pool/{where}/vouchers") == -len(there)
            assert pool.amount is None or sum(there, NONE) <= pool.amount
            there = self.taken(one.of, cap, one.at, one.who)
            where = f"{one.of.name}/{named(cap.per, one.at, zone())}/{self._entity(one.who)}"
            assert balance(self.town, f"entity/{where}/{one.of.unit}") == sum(there, NONE)
            assert cap.amount is None or sum(there, NONE) <= cap.amount

    @invariant()
    def the_list_of_grants_is_what_was_given(self) -> None:
        """Each once, with what bills took of cash, and what is given back apart."""
        with self.town.store.read() as tx:
            found = grants.given(tx)
        listed = sorted((one.programme, one.amount, one.account, one.given_back_at is not None) for one in found)
        assert listed == sorted((one.of.name, one.amount, one.account, one.back) for one in self.given)
        for account in self.contracted:
            taken = sum((one.taken for (whose, _), one in self.closed.items() if whose == account), NONE)
            told = [one.taken or NONE for one in found if (one.account, one.unit) == (account, "CNY")]
            assert sum(told, NONE) == taken

    @invariant()
    def cash_is_what_came_less_what_bills_took(self) -> None:
        """No fen is lost, made, or used twice; none is below nothing."""
        for account in self.contracted:
            made = [one for (whose, _), one in self.closed.items() if whose == account]
            assert balance(self.town, bill.credit_of(account)) == self._cash(account) >= 0
            assert balance(self.town, f"billed/{account}/CNY") == sum((one.price for one in made), NONE)
            assert balance(self.town, f"due/{account}/CNY") == -sum((one.total for one in made), NONE)

    @invariant()
    def hours_in_kind_are_left_or_used(self) -> None:
        """No more is used than the voucher was worth, and what is given back was never used."""
        for one in self.given:
            if one.of.benefit is Benefit.IN_KIND:
                left, used = (balance(self.town, f"{what}/{one.account}/{one.of.unit}") for what in ("credit", "used"))
                assert left + used == (NONE if one.back else one.amount)
                assert left >= 0

    @invariant()
    def no_second_is_billed_twice(self) -> None:
        for account in self.contracted:
            spans = sorted((part.contract, part.since, part.until) for (whose, _), one in self.closed.items()
                           if whose == account for part in one.parts)
            for before, after in zip(spans, spans[1:], strict=False):
                assert before[0] != after[0] or before[2] <= after[1], spans

    def _cash(self, account: str) -> Decimal:
        cash = [one.amount for one in self.given if one.account == account and one.of.benefit is Benefit.CASH]
        spent = [one.taken for (whose, _), one in self.closed.items() if whose == account]
        return sum(cash, NONE) - sum(spent, NONE)

    def _there(self, who: int) -> list[str]:
        return [one for one in self.contracted if self._state(one) is not State.RECLAIMED and self._whose(one) == who]

    def _whose(self, account: str) -> int:
        return next((one.who for one in self.given if one.account == account), 0)

    def _state(self, account: str) -> State:
        return self.town.account(account).state

    def _entity(self, who: int) -> str:
        with self.town.store.write() as tx:
            return holders.entity_ref(tx, ENTITIES[who].entity or "")

    def _sign(self, account: str, customer: str, days: int) -> None:
        until = self.town.clock.at + timedelta(days=days)
        paper = contract.draft(self.town.ctx, account, customer, until, actor="test")
        contract.sign(self.town.ctx, paper.id, paper.digest or "", actor="holder")
        self.town.work()
        assert self._state(account) is State.CONTRACTED
        self.contracted.append(account)

    def _decide(self, reference: str, who: int, paid: Decimal) -> Decimal:
        receipt = hashlib.sha256(reference.encode()).hexdigest()
        at = self.paid[reference][3] if reference in self.paid else self.town.clock.at
        return subsidy.decide(self.town.ctx, "yangzhou-subsidy", ENTITIES[who], Payment(
            reference, paid, at, "C-1", "00" * 32, receipt, ("unrelated-parties", "not-subsidised-elsewhere")),
            "test").amount
