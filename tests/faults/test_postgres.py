"""The same on PostgreSQL, where writers do not queue behind one lock."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.flows.accounts import operate
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.periods import Period
from orchestrator.lifecycle.programme import Limit
from orchestrator.store import vouchers
from tests.faults.stage import LEASE_LAPSES, Processes, Stage, check_everything_ended
from tests.faults.test_races import at_once
from tests.flows import scheme
from tests.flows.town import Town, town
from tests.store import postgres


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of this module's own; `{}` stands where a database's name goes."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> str:
    """An empty database."""
    name = "t" + str(abs(hash(request.node.nodeid)))
    postgres.run(server.format("postgres"), f"CREATE DATABASE {name}")
    return server.format(name)


@pytest.fixture
def crowded(tmp_path: Path, database: str) -> Iterator[Town]:
    """A Tenure with 20 places."""
    with town(tmp_path / "home", places=20, url=database) as made:
        yield made


def test_two_hundred_at_once_for_twenty_places(crowded: Town) -> None:
    """20 accounts, 180 clear refusals with their vouchers intact."""
    def one(code: str) -> str:
        try:
            return crowded.redeem(code).account
        except RuleError as refused:
            return refused.code

    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(one, crowded.codes(200)))
    with crowded.store.read() as tx:
        states = [row.voucher.state.value for row in vouchers.list_(tx, limit=1000)]
    assert answers.count("no_capacity") == 180
    assert (states.count("issued"), states.count("redeemed")) == (180, 20)


@pytest.mark.parametrize(("limits", "refused"), [
    ({"pool": Limit(Period.WEEK, vouchers=40), "cap": Limit(Period.EVER)}, "pool_empty"),
    ({"cap": Limit(Period.WEEK, Decimal(960))}, "cap_reached"),
])
def test_a_thousand_redemptions_at_once_overdraw_neither_pool_nor_cap(
    tmp_path: Path, database: str, limits: dict[str, object], refused: str
) -> None:
    """40 of 24 h are given, 960 refused by the rule's name; the sums replay."""
    with town(tmp_path / "home", url=database) as made:
        of = scheme.programme("nanjing-trial", **limits)
        scheme.apply(made, of)
        came = scheme.at_once(made, of, "24", 1000)
        assert (came, len(made.all()), scheme.checked(made)) == ({"given": 40, refused: 960}, 40, [])


def test_the_same_event_a_hundred_times_at_once_is_one_account(crowded: Town) -> None:
    """Nobody is told that the voucher was used."""
    code = crowded.codes()[0]
    with ThreadPoolExecutor(16) as crowd:
        answers = set(crowd.map(lambda _: crowded.redeem(code, event="e-1"), range(100)))
    assert len(answers) == 1
    assert len(crowded.all()) == 1


def test_one_voucher_in_a_hundred_events_at_once_is_one_account(crowded: Town) -> None:
    """The other 99 are refused."""
    code = crowded.codes()[0]

    def one(event: int) -> str:
        try:
            return crowded.redeem(code, event=f"e-{event}").account
        except RuleError as refused:
            return refused.code

    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(one, range(100)))
    assert answers.count("voucher_used") == 99
    assert len(crowded.all()) == 1


def test_two_worker_processes_do_each_thing_once(tmp_path: Path, database: str, processes: Processes) -> None:
    """From the redemption to the end, killed once on the way."""
    stage = Stage(tmp_path / "home", processes, database=database)
    for number in range(6):
        stage.redeem(f"e-{number + 1}", number)
    assert stage.run("ACTIVE", "provision.up.after") == -9
    stage.pass_time(LEASE_LAPSES)
    other = Processes()
    for goal, seconds in (("ACTIVE", 0.0), ("FENCED", 3600.0), ("RECLAIMED", 3600.0)):
        stage.pass_time(seconds)
        processes.start(stage.order(goal))
        other.start(stage.order(goal))
        assert (processes.finish(), other.finish()) == (0, 0)
    other.close()
    check_everything_ended(stage, events=6)
    stage.close()


def test_taking_back_and_a_contract_at_once_exclude_each_other(crowded: Town) -> None:
    """One is refused, though both looked at the account at the same time."""
    ids = [crowded.redeem().account for _ in range(10)]
    crowded.work()
    for number, id in enumerate(ids):
        refused = at_once(lambda id=id: operate.reclaim(crowded.ctx, id, actor="test"),  # type: ignore[misc]
                          lambda id=id, number=number: crowded.ask(id, f"C-{number}"))  # type: ignore[misc]
        assert refused.count("") == 1


def test_two_contracts_at_once_exclude_each_other(crowded: Town) -> None:
    """One is refused as pending, and no other than the first is converted to."""
    ids = [crowded.redeem().account for _ in range(10)]
    crowded.work()
    for id in ids:
        refused = at_once(lambda id=id: crowded.ask(id, "C-1"), lambda id=id: crowded.ask(id, "C-2"))  # type: ignore[misc]
        assert refused.count("") == 1
