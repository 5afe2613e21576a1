"""An accepted event is remembered for ever, and the first of many wins."""

from concurrent.futures import ThreadPoolExecutor

from orchestrator.store import redemptions
from orchestrator.store.redemptions import Redemption
from tests.store.making import NOW, World, number


def event(world: World, nth: int = 0, **fields: str) -> Redemption:
    return Redemption(**{"id": "evt-1", "sender": world.sender, "body_hash": "b", "voucher": "v",
                         "account": number(nth), "at": NOW} | fields)  # type: ignore[arg-type]


def test_a_redemption_is_found_again(world: World) -> None:
    """What was remembered is found as it was, by the sender's event id."""
    with world.store.write() as tx:
        redemptions.remember(tx, event(world))
    with world.store.read() as tx:
        assert redemptions.find(tx, world.sender, "evt-1") == event(world)


def test_another_senders_event_is_another(world: World) -> None:
    """Event ids are a sender's own."""
    with world.store.write() as tx:
        redemptions.remember(tx, event(world))
        assert redemptions.find(tx, "another", "evt-1") is None


def test_a_second_one_is_told_so(world: World) -> None:
    """The id taken, nothing is overwritten."""
    with world.store.write() as tx:
        assert redemptions.remember(tx, event(world))
        assert not redemptions.remember(tx, event(world, 1, body_hash="other"))
        assert redemptions.find(tx, world.sender, "evt-1") == event(world)


def test_of_a_hundred_at_once_one_wins(world: World) -> None:
    """The same event 100 times at once: exactly one is first, all the others then find it."""
    def remember(nth: int) -> tuple[bool, str | None]:
        with world.store.write() as tx:
            first = redemptions.remember(tx, event(world, nth))
            found = redemptions.find(tx, world.sender, "evt-1")
            return first, found.account if found else None

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(remember, range(100)))
    assert sum(first for first, _ in answers) == 1
    assert len({account for _, account in answers}) == 1


def test_a_refused_one_is_not_remembered(world: World) -> None:
    """A transaction that fails leaves no trace of the event."""
    class NoPlace(Exception):
        pass

    try:
        with world.store.write() as tx:
            redemptions.remember(tx, event(world))
            raise NoPlace
    except NoPlace:
        pass
    with world.store.read() as tx:
        assert redemptions.find(tx, world.sender, "evt-1") is None


def test_an_accounts_redemption_is_found(world: World) -> None:
    """An account knows what it was made for."""
    with world.store.write() as tx:
        redemptions.remember(tx, event(world, 4))
        assert redemptions.by_account(tx, number(4)) == event(world, 4)
