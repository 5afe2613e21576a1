"""Messages that were sent or given up long ago are forgotten, those that are still owed never; and who comes first."""

from datetime import timedelta

from orchestrator.store import outbox, senders
from tests.store.making import NOW, World, number

DAY = timedelta(days=1)
LONG_AGO = NOW - 100 * DAY


def test_what_is_over_is_forgotten_and_what_is_owed_is_not(world: World) -> None:
    """Sent and given up before then; kept: waiting since long, to be told later, sent or sent again of late."""
    with world.store.write() as tx:
        sent, given_up, waiting, lately, again = (
            outbox.put(tx, world.sender, "account.fenced", number(nth), {}, LONG_AGO + nth * DAY) for nth in range(5))
        reminder = outbox.put(tx, world.sender, "account.ending", number(5), {}, NOW + DAY)
        new = outbox.put(tx, world.sender, "account.fenced", number(6), {}, NOW)
        outbox.sent(tx, sent, LONG_AGO)
        outbox.sent(tx, lately, NOW - DAY)
        outbox.later(tx, given_up, None, "gone")
        outbox.again(tx, [again], NOW - DAY)
        outbox.later(tx, again, None, "gone")
        outbox.sent(tx, new, NOW)
        before = NOW - 90 * DAY
        assert outbox.forget(tx, before, 1) == 1
        assert outbox.get(tx, sent) is None
        assert outbox.get(tx, given_up) is not None
        assert (outbox.forget(tx, before, 5), outbox.forget(tx, before, 5)) == (1, 0)
        assert {one.id for one in outbox.find(tx, outbox.Filter())} == {waiting, lately, again, reminder, new}


def test_nobody_waits_for_what_waits_for_others(world: World) -> None:
    """Ten senders are away, with a hundred messages each that are long overdue: another's first one goes out at once,
    and a sender whose lane is full takes no place from the others."""
    with world.store.write() as tx:
        away = [senders.add(tx, f"away-{nth}", "codes", None, NOW)[0].id for nth in range(10)]
        for sender in away:
            for nth in range(100):
                outbox.put(tx, sender, "account.fenced", number(nth), {}, NOW - DAY)
        quick = outbox.put(tx, world.sender, "account.fenced", number(0), {}, NOW)
    with world.store.read() as tx:
        ids = outbox.due(tx, NOW, 100, 20)
        others = outbox.due(tx, NOW, 100, 20, [("callback", sender) for sender in away[1:]])
    assert quick in ids
    assert len(ids) == 100
    assert quick in others
    assert len(others) == 21


def test_what_two_saw_is_taken_by_one_and_given_back_by_its_holder_alone(world: World) -> None:
    """The second gets nothing; a claim that was given back is another's then, and its first holder cannot end it."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.fenced", number(0), {}, NOW)
        [first] = outbox.claim(tx, [id], NOW, "w1", DAY)
        assert outbox.claim(tx, [id], NOW, "w2", DAY) == []
        assert first.due_at == NOW + DAY
        outbox.give_back(tx, [first], NOW)
        [again] = outbox.claim(tx, [id], NOW, "w2", 2 * DAY)
        outbox.give_back(tx, [first], NOW)
        assert (again.attempts, outbox.claim(tx, [id], NOW, "w1", DAY)) == (0, [])
