"""Browsers' sessions: kept as keyed hashes, over by time, by disuse, and with their token."""

import pytest
from sqlalchemy import select

from orchestrator.store import errors, sessions, tables, tokens
from orchestrator.store.sessions import Session
from tests.store.making import HOUR, NOW, World, seconds


def opened(world: World, token: bool = False) -> tuple[Session, str]:
    """A session of two hours."""
    with world.store.write() as tx:
        found = tokens.check(tx, tokens.make(tx, "viewer", "desk", NOW)) if token else None
        return sessions.open_(tx, "token:x", "viewer", NOW, NOW + 2 * HOUR, found)


def test_a_session_is_whose_it_is(world: World) -> None:
    """What the cookie holds opens it, and is nowhere in the database."""
    made, plain = opened(world)
    with world.store.read() as tx:
        assert sessions.check(tx, plain, NOW, HOUR) == made
        assert plain.split(".")[1] not in str(tx.execute(select(tables.sessions)).all())


@pytest.mark.parametrize("wrong", ["", ".", "x", "{id}", "{id}.", "{id}.wrong", "{id}.é", "other.{secret}", "." * 300])
def test_another_cookie_opens_nothing(world: World, wrong: str) -> None:
    """Neither the id alone nor anything else."""
    made, plain = opened(world)
    text = wrong.format(id=made.id, secret=plain.split(".")[1])
    with world.store.read() as tx:
        assert sessions.check(tx, text, NOW, HOUR) is None


def test_a_session_ends_in_time_and_unused(world: World) -> None:
    """To the second, whichever comes first; using it puts off the one and not the other."""
    made, plain = opened(world)
    with world.store.write() as tx:
        assert sessions.check(tx, plain, NOW + HOUR - seconds(1), HOUR) is not None
        assert sessions.check(tx, plain, NOW + HOUR, HOUR) is None
        sessions.seen(tx, made.id, NOW + 1.5 * HOUR)
        assert sessions.check(tx, plain, NOW + 2 * HOUR - seconds(1), HOUR) is not None
        assert sessions.check(tx, plain, NOW + 2 * HOUR, HOUR) is None


def test_a_session_ends_with_its_token(world: World) -> None:
    """At once."""
    made, plain = opened(world, token=True)
    assert made.token is not None
    with world.store.write() as tx:
        tokens.revoke(tx, made.token, NOW)
        assert sessions.check(tx, plain, NOW, HOUR) is None


def test_a_closed_session_is_gone(world: World) -> None:
    """And cannot be closed twice."""
    made, plain = opened(world)
    with world.store.write() as tx:
        assert sessions.close(tx, made.id).id == made.id
        assert sessions.check(tx, plain, NOW, HOUR) is None
        with pytest.raises(errors.NotFound):
            sessions.close(tx, made.id)


def test_sessions_that_are_over_are_forgotten(world: World) -> None:
    """Those that ended, were not used, or whose token is gone; the others stay."""
    good, _ = opened(world)
    lost, _ = opened(world, token=True)
    assert lost.token is not None
    with world.store.write() as tx:
        tokens.revoke(tx, lost.token, NOW)
        assert sessions.expire(tx, NOW, HOUR) == 1
        assert [one.id for one in sessions.list_(tx)] == [good.id]
        assert sessions.expire(tx, NOW + HOUR, HOUR) == 1


def test_a_senders_token_opens_no_session(world: World) -> None:
    """It reads the API and nothing else."""
    with world.store.write() as tx, pytest.raises(ValueError, match="opens no session"):
        sessions.open_(tx, "token:x", "sender", NOW, NOW + HOUR)
