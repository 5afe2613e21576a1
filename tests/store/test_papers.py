"""Contracts, claims, certificates and the outbox."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrator.lifecycle.contract import OPEN_END, Contract, ContractState
from orchestrator.store import certificates, claims, contracts, errors, outbox, senders
from orchestrator.store.certificates import Certificate
from orchestrator.store.claims import Claim
from orchestrator.store.engine import Tx
from orchestrator.store.outbox import Message
from tests.store.making import HOUR, LEASE, NOW, World, active, number, seconds

CONTRACT = Contract("c-1", number(0), "large", OPEN_END, "ab" * 32)
CLAIM = Claim(number(0), "SHA256:abc", "ssh-ed25519 AAAA", {"login": "tn-x@host", "port": 22}, NOW)


def taken(tx: Tx, at: datetime, worker: str, limit: int = 10, per_lane: int = 10) -> list[Message]:
    """What this worker takes of what is due."""
    return outbox.claim(tx, outbox.due(tx, at, limit, per_lane), at, worker, LEASE)


@pytest.fixture(autouse=True)
def account(world: World) -> None:
    world.add(active())


def test_a_contract_is_read_back(world: World) -> None:
    """An open end included."""
    with world.store.write() as tx:
        contracts.add(tx, CONTRACT)
        assert contracts.get(tx, number(0), "c-1") == CONTRACT


def test_the_same_contract_twice_is_once(world: World) -> None:
    """Adding it again is success, another paper under its id is not."""
    with world.store.write() as tx:
        contracts.add(tx, CONTRACT)
        contracts.add(tx, CONTRACT)
        with pytest.raises(errors.Conflict):
            contracts.add(tx, replace(CONTRACT, document="cd" * 32))
        assert contracts.for_account(tx, number(0)) == [CONTRACT]


def test_a_contracts_state_is_saved(world: World) -> None:
    """Refused stays refused."""
    with world.store.write() as tx:
        contracts.add(tx, CONTRACT)
        contracts.save(tx, replace(CONTRACT, state=ContractState.REFUSED))
        assert contracts.for_account(tx, number(0))[0].state is ContractState.REFUSED


def test_an_unknown_contract_cannot_be_saved(world: World) -> None:
    """Saving adds nothing."""
    with world.store.write() as tx, pytest.raises(errors.NotFound):
        contracts.save(tx, CONTRACT)


def test_the_first_key_claims(world: World) -> None:
    """Another key is refused and changes nothing."""
    with world.store.write() as tx:
        claims.put(tx, CLAIM)
        with pytest.raises(errors.KeyTaken):
            claims.put(tx, replace(CLAIM, fingerprint="SHA256:other"))
        assert claims.get(tx, number(0)) == CLAIM


def test_the_same_key_renews(world: World) -> None:
    """A credential with a later end takes the place of the one before."""
    later = replace(CLAIM, credential={"login": "tn-x@host", "port": 22, "expires": 1}, at=NOW + HOUR)
    with world.store.write() as tx:
        claims.put(tx, CLAIM)
        claims.put(tx, later)
        assert claims.get(tx, number(0)) == later


def test_a_certificate_keeps_its_bytes(world: World) -> None:
    """Exactly the bytes that were signed, for ever."""
    signed = Certificate(number(0), b'{"a": 1}\n\x00\xff', bytes(range(64)), NOW)
    with world.store.write() as tx:
        assert certificates.put(tx, signed)
        assert not certificates.put(tx, replace(signed, document=b"other"))
        assert certificates.get(tx, number(0)) == signed


def test_a_message_is_claimed_once(world: World) -> None:
    """While one worker delivers it, another gets nothing; when its lease ends, it is due again."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.usable", number(0), {"end": "x"}, at=NOW)
        assert [message.id for message in taken(tx, NOW, "w1")] == [id]
        assert taken(tx, NOW, "w2") == []
        assert [message.id for message in taken(tx, NOW + LEASE, "w2")] == [id]


def test_a_sent_message_is_done(world: World) -> None:
    """It is not due again, and shown as sent."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.usable", number(0), {}, at=NOW)
        taken(tx, NOW, "w")
        outbox.sent(tx, id, at=NOW)
        assert taken(tx, NOW + timedelta(days=9), "w") == []
        assert outbox.find(tx, outbox.Filter(unsent=True)) == []
        assert outbox.find(tx, outbox.Filter())[0].sent_at == NOW


def test_a_message_that_failed_waits(world: World) -> None:
    """Due again when said, with its tries counted."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.usable", number(0), {}, at=NOW)
        taken(tx, NOW, "w")
        outbox.later(tx, id, NOW + HOUR, "503")
        assert outbox.next_wake(tx) == NOW + HOUR
        again, = taken(tx, NOW + HOUR, "w")
    assert (again.attempts, again.error) == (1, "503")


def test_a_message_given_up_is_not_due(world: World) -> None:
    """It stays listed as unsent, with its error."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.usable", number(0), {}, at=NOW)
        outbox.later(tx, id, None, "no such host")
        assert taken(tx, NOW + timedelta(days=9), "w") == []
        assert [message.error for message in outbox.find(tx, outbox.Filter(unsent=True))] == ["no such host"]


def test_a_message_sent_meanwhile_is_not_put_off(world: World) -> None:
    """The late answer of a slow worker does not send it again."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.usable", number(0), {}, at=NOW)
        outbox.sent(tx, id, at=NOW)
        with pytest.raises(errors.Conflict):
            outbox.later(tx, id, NOW, "late")


def test_one_sender_does_not_take_all_deliveries(world: World) -> None:
    """A flood of one sender's messages leaves room for another's."""
    with world.store.write() as tx:
        other, _ = senders.add(tx, "other", "codes", None, NOW)
        for nth in range(9):
            outbox.put(tx, world.sender, "t", number(0), {}, at=NOW + seconds(nth))
        outbox.put(tx, other.id, "t", number(0), {}, at=NOW + HOUR)
        got = taken(tx, NOW + HOUR, "w", 5, 3)
    assert [message.sender for message in got] == [world.sender] * 3 + [other.id]


def test_mail_and_callbacks_have_turns_of_their_own(world: World) -> None:
    """Of one sender, too: a mail server that is away takes no callback's turn."""
    with world.store.write() as tx:
        for nth in range(9):
            outbox.put(tx, world.sender, "t", number(0), {}, NOW + seconds(nth), outbox.MAIL)
        outbox.put(tx, world.sender, "t", number(0), {}, NOW + HOUR)
        got = taken(tx, NOW + HOUR, "w", 5, 3)
    assert [message.channel for message in got] == ["mail"] * 3 + ["callback"]


def test_a_message_is_sent_again_under_its_own_id(world: World) -> None:
    """Due at once, tried for as long as a new one; what it was before is answered."""
    with world.store.write() as tx:
        id = outbox.put(tx, world.sender, "account.usable", number(0), {}, NOW)
        outbox.later(tx, id, None, "gone")
        [before] = outbox.again(tx, [id, "msg_unknown"], NOW + HOUR)
        [due] = taken(tx, NOW + HOUR, "w")
    assert (before.state, before.error) == ("given up", "gone")
    assert (due.id, due.state, due.since, due.error) == (id, "waiting", NOW + HOUR, None)


def test_messages_of_one_instant_are_listed_in_their_order(world: World) -> None:
    """The newest first."""
    with world.store.write() as tx:
        ids = [outbox.put(tx, world.sender, "t", number(0), {}, NOW) for _ in range(20)]
        assert [message.id for message in outbox.find(tx, outbox.Filter())] == ids[::-1]


def test_messages_are_found_by_what_they_are(world: World) -> None:
    """Channel, type, account, sender, state, id."""
    with world.store.write() as tx:
        first = outbox.put(tx, world.sender, "account.usable", number(0), {}, NOW, outbox.MAIL)
        second = outbox.put(tx, world.sender, "account.fenced", number(1), {}, NOW)
        third = outbox.put(tx, world.sender, "account.usable", number(1), {}, NOW)
        outbox.sent(tx, second, NOW)
        outbox.later(tx, third, None, "gone")

        def found(**which: Any) -> list[str]:
            return [message.id for message in outbox.find(tx, outbox.Filter(**which))][::-1]

        assert found(channel="mail") == [first]
        assert found(type="account.usable") == [first, third]
        assert found(account=number(1)) == [second, third]
        assert found(unsent=True) == [first, third]
        assert found(given_up=True) == [third]
        assert found(ids=[second], sender=world.sender) == [second]
        assert found(sender="another") == []
