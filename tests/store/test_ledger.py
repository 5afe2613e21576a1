"""Sums: entries that come to nothing, balances that are never overdrawn, and a replay that agrees."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import update

from orchestrator.store import ledger, tables
from orchestrator.store.engine import Store
from orchestrator.store.ledger import Line, Overdrawn
from tests.store.making import NOW

POOL = Decimal("100.00")


def take(store: Store, entry: str, amount: Decimal, entity: str = "e-1", cap: Decimal | None = None) -> bool:
    """So much from the pool to an entity; False when pool or cap do not let it."""
    lines = [Line("pool/p/2027/CNY", "CNY", -amount, least=-POOL), Line(f"entity/p/2027/{entity}/CNY", "CNY", amount,
                                                                       most=cap)]
    try:
        with store.write() as tx:
            return ledger.post(tx, entry, lines, NOW, "test")
    except Overdrawn:
        return False


def balance(store: Store, account: str) -> Decimal:
    with store.read() as tx:
        return ledger.balance(tx, account)


def replayed(store: Store) -> list[str]:
    with store.read() as tx:
        return ledger.check(tx)


def test_the_last_fen_is_given_and_one_more_is_not(store: Store) -> None:
    """99.99, 0.01, and then nothing."""
    assert [take(store, str(nth), Decimal(amount)) for nth, amount in enumerate(("99.99", "0.01", "0.01"))] == [
        True, True, False]
    assert (balance(store, "pool/p/2027/CNY"), replayed(store)) == (-POOL, [])


def test_an_entry_is_written_once(store: Store) -> None:
    """The second says so and moves nothing."""
    assert [take(store, "one", Decimal(7)) for _ in range(2)] == [True, False]
    assert balance(store, "entity/p/2027/e-1/CNY") == 7


def test_what_was_taken_of_a_credit_leaves_out_what_was_given_back(store: Store) -> None:
    """Two vouchers on one account, one of them given back, and a bill; lines are listed by the kind of their entry."""
    with store.write() as tx:
        for entry, amount in (("redeem/a", 50), ("redeem/b", 20), ("bill/x", -30), ("other/c", 0)):
            ledger.post(tx, entry, [Line("credit/x/CNY", "CNY", Decimal(amount)),
                                    Line("given/p", "CNY", Decimal(-amount))], NOW, "test")
        ledger.reverse(tx, "redeem/b", NOW, "test")
        assert ledger.taken_of_credits(tx) == {"credit/x/CNY": Decimal(30)}
        assert [(line.entry, line.account, int(line.amount)) for line in ledger.posted(tx, "redeem", "bill")] == [
            ("bill/x", "credit/x/CNY", -30), ("bill/x", "given/p", 30), ("redeem/a", "credit/x/CNY", 50),
            ("redeem/a", "given/p", -50), ("redeem/b", "credit/x/CNY", 20), ("redeem/b", "given/p", -20),
            ("redeem/b/back", "credit/x/CNY", -20), ("redeem/b/back", "given/p", 20)]


def test_an_entry_that_does_not_come_to_nothing_is_refused(store: Store) -> None:
    """Money neither appears nor vanishes."""
    with store.write() as tx, pytest.raises(ValueError, match="do not come to nothing"):
        ledger.post(tx, "x", [Line("a", "CNY", Decimal(1)), Line("b", "hours", Decimal(-1))], NOW, "test")


def test_a_reversed_entry_leaves_nothing_and_is_reversed_once(store: Store) -> None:
    """Its opposite is written beside it; both stay."""
    take(store, "one", Decimal(7))
    with store.write() as tx:
        assert [ledger.reverse(tx, "one", NOW, "back") for _ in range(2)] == [True, False]
        assert len(ledger.lines_of(tx, "pool/p/2027/CNY")) == 2
    assert (balance(store, "pool/p/2027/CNY"), replayed(store)) == (Decimal(0), [])


def test_a_replay_finds_a_balance_that_was_changed(store: Store) -> None:
    """Somebody wrote into the table by hand."""
    take(store, "one", Decimal(7))
    with store.write() as tx:
        tx.execute(update(tables.balances).where(tables.balances.c.account == "pool/p/2027/CNY").values(amount=0))
    assert replayed(store) == ["account pool/p/2027/CNY: balance 0, lines -7"]


def test_a_thousand_at_once_never_overdraw(store: Store) -> None:
    """1,000 of 0.25 for a pool of 100.00: exactly 400 get it."""
    patient = Store(store.url.render_as_string(hide_password=False), store.keyring, busy=timedelta(seconds=120))
    with ThreadPoolExecutor(24) as pool:
        got = sum(pool.map(lambda nth: take(patient, f"e{nth}", Decimal("0.25"), f"e-{nth % 7}"), range(1000)))
    patient.close()
    assert (got, balance(store, "pool/p/2027/CNY"), replayed(store)) == (400, -POOL, [])


class Sums(RuleBasedStateMachine):
    """Takings, repetitions and givings back in any order, beside a model that only adds up."""

    entries = Bundle("entries")
    store: Store
    run = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).run += 1
        self.taken: dict[str, tuple[str, Decimal]] = {}
        self.back: set[str] = set()

    @rule(target=entries, entity=st.sampled_from("abc"), fen=st.integers(1, 6000))
    def takes(self, entity: str, fen: int) -> str:
        entry, amount = f"{self.run}/{len(self.taken)}/{fen}", Decimal(fen) / 100
        entity = f"{self.run}{entity}"
        fits = self.given() + amount <= POOL and self.has(entity) + amount <= 50
        lines = [Line(f"pool/{self.run}", "CNY", -amount, least=-POOL), Line(f"has/{entity}", "CNY", amount,
                                                                            most=Decimal(50))]
        try:
            with self.store.write() as tx:
                assert ledger.post(tx, entry, lines, NOW, "test") == (entry not in self.taken)
            assert fits or entry in self.taken
            self.taken.setdefault(entry, (entity, amount))
        except Overdrawn:
            assert not fits
        return entry

    @rule(entry=entries)
    def gives_back(self, entry: str) -> None:
        with self.store.write() as tx:
            assert ledger.reverse(tx, entry, NOW, "test") == (entry in self.taken and entry not in self.back)
        if entry in self.taken:
            self.back.add(entry)

    def given(self) -> Decimal:
        return sum((amount for entry, (_, amount) in self.taken.items() if entry not in self.back), Decimal(0))

    def has(self, entity: str) -> Decimal:
        return sum((amount for entry, (whose, amount) in self.taken.items()
                    if whose == entity and entry not in self.back), Decimal(0))

    @invariant()
    def the_replay_agrees(self) -> None:
        assert replayed(self.store) == []
        assert balance(self.store, f"pool/{self.run}") == -self.given()
        assert 0 <= self.given() <= POOL


def test_any_order_of_takings_and_givings_back_adds_up(sqlite_url: str, keyring: object) -> None:
    """Hypothesis plays; after each step all rows are replayed."""
    Sums.store = Store(sqlite_url, keyring)  # type: ignore[arg-type]
    run_state_machine_as_test(Sums, settings=settings(
        max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)))
    Sums.store.close()
