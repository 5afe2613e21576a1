"""SIGKILL around a booking: prepared once, opened at its time and not before, cancelled or moved as a whole or not."""

import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.flows.effects import NAMES
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.voucher import VoucherState
from orchestrator.store import capacity, journal, outbox, vouchers
from tests.faults.stage import LEASE_LAPSES, PLACES, Stage, check_everything_ended

ACTS = ("booking.cancel", "booking.move")
MOMENTS = pytest.mark.parametrize("moment", ["before", "after"])
HOUR = timedelta(hours=1)


def book(stage: Stage) -> tuple[str, datetime]:
    begins_at = stage.now() + HOUR
    return stage.redeem(begins_at=begins_at), begins_at


def act(stage: Stage, what: str, failpoint: str = "") -> int:
    return stage.processes.run(stage.order("idle", failpoint, act=what))


def test_every_side_effect_of_a_booking_is_killed_at() -> None:
    """A new one has to be added here; `provision.prepared` is among the flows' scenes."""
    assert set(ACTS) == {name for name in NAMES if name.startswith("booking.")}


@MOMENTS
@pytest.mark.parametrize("name", ["provision.begin", "provision.arm", "provision.up", "provision.prepared"])
def test_killed_while_preparing_it_still_begins_on_time(stage: Stage, name: str, moment: str) -> None:
    """Another worker goes on; nobody can log in before; once usable, the whole time is ahead."""
    id, begins_at = book(stage)
    stage.pass_time(51 * 60)
    assert stage.run("idle", f"{name}.{moment}") == -signal.SIGKILL
    stage.pass_time(LEASE_LAPSES)
    stage.must()
    with stage.site() as world:
        assert not world.tenancies[id].open
    assert stage.records()[0].account.prepared_at is not None
    stage.pass_time((begins_at - stage.now()).total_seconds())
    stage.must("ACTIVE")
    account = stage.records()[0].account
    assert account.starts_at is not None
    assert begins_at <= account.starts_at < begins_at + timedelta(seconds=LEASE_LAPSES)
    stage.to_the_end()
    check_everything_ended(stage)


@MOMENTS
@pytest.mark.parametrize("name", ["provision.open", "provision.active"])
def test_killed_while_opening_it_is_opened_once(stage: Stage, name: str, moment: str) -> None:
    """The site's first answer stays."""
    id, begins_at = book(stage)
    stage.pass_time(51 * 60)
    stage.must()
    stage.pass_time((begins_at - stage.now()).total_seconds())
    assert stage.run("ACTIVE", f"{name}.{moment}") == -signal.SIGKILL
    with stage.site() as world:
        first = world.tenancies[id].starts_at
    stage.pass_time(LEASE_LAPSES)
    stage.must("ACTIVE")
    account = stage.records()[0].account
    assert account.starts_at is not None
    assert first is None or account.starts_at == datetime.fromtimestamp(first, UTC)
    with stage.site() as world:
        assert datetime.fromtimestamp(world.tenancies[id].end, UTC) == account.ends_at
    stage.to_the_end()
    check_everything_ended(stage)


@MOMENTS
def test_a_cancellation_is_whole_or_not_at_all(stage: Stage, moment: str) -> None:
    """Voucher, place, journal and callback agree; asked again, it is done once."""
    id, begins_at = book(stage)
    assert act(stage, f"cancel {id}", f"booking.cancel.{moment}") == -signal.SIGKILL
    assert seen(stage, id, begins_at) == (("REQUESTED", 0, False, PLACES - 1) if moment == "before"
                                          else ("RECLAIMED", 1, True, PLACES))
    assert act(stage, f"cancel {id}") == 0
    assert seen(stage, id, begins_at) == ("RECLAIMED", 1, True, PLACES)


@MOMENTS
def test_a_move_is_whole_or_not_at_all(stage: Stage, moment: str) -> None:
    """Either at its old time or at its new one, with the place to match; asked again, it is moved once."""
    id, begins_at = book(stage)
    later = begins_at + 10 * HOUR
    what = f"move {id} {later.isoformat()}"
    assert act(stage, what, f"booking.move.{moment}") == -signal.SIGKILL
    at = begins_at if moment == "before" else later
    assert (stage.records()[0].account.begins_at, free(stage, at)) == (at, PLACES - 1)
    assert act(stage, what) == 0
    assert (stage.records()[0].account.begins_at, free(stage, begins_at), free(stage, later)) == (
        later, PLACES, PLACES - 1)
    assert told(stage, id)["booking.moved"] == 1


def free(stage: Stage, at: datetime) -> int:
    with stage.ctx.store.read() as tx:
        return capacity.free(tx, "north", stage.offer.name, at)


def told(stage: Stage, id: str) -> Counter[str]:
    with stage.ctx.store.read() as tx:
        return Counter(message.type for message in outbox.find(tx, outbox.Filter(account=id)))


def seen(stage: Stage, id: str, at: datetime) -> tuple[str, int, bool, int]:
    """The account's state, how often its cancellation is written down and told, whether its voucher is good, and how
    many places are free."""
    with stage.ctx.store.read() as tx:
        written = Counter(entry.action for entry in journal.list_(tx, subject=id))["booking.cancelled"]
        good = len(vouchers.list_(tx, state=VoucherState.ISSUED)) == PLACES
    assert written == told(stage, id)["booking.cancelled"]
    return State(stage.records()[0].account.state).value, written, good, free(stage, at)
