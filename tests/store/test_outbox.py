"""Messages that were sent or given up long ago are forgotten, those that are still owed never."""

from datetime import timedelta

from orchestrator.store import outbox
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
