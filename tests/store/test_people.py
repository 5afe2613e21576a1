"""Senders, holders and tokens: secrets overlap, holders can be forgotten, tokens are kept as hashes."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, errors, holders, journal, senders, tables, tokens
from tests.store.making import HOLDER, HOUR, NOW, World, new, number, seconds


def test_a_sender_is_found_by_id_and_by_name(world: World) -> None:
    """Operators say names, rows say ids."""
    with world.store.read() as tx:
        assert senders.get(tx, world.sender) == senders.get(tx, "nanjing-vouchers")


def test_a_taken_name_conflicts(world: World) -> None:
    """Two senders of one name are refused, and the transaction can go on."""
    with world.store.write() as tx:
        with pytest.raises(errors.Conflict):
            senders.add(tx, "nanjing-vouchers", "payload", None, NOW)
        assert len(senders.list_(tx)) == 1


def test_both_secrets_hold_in_the_overlap(world: World) -> None:
    """After a rotation the new secret comes first, the old one until the overlap ends."""
    with world.store.write() as tx:
        fresh = senders.rotate(tx, world.sender, NOW, HOUR)
        assert senders.secrets(tx, world.sender, NOW + HOUR - seconds(1)) == [fresh, world.secret]
        assert senders.secrets(tx, world.sender, NOW + HOUR) == [fresh]


def test_an_unknown_senders_secrets_are_not_found(world: World) -> None:
    """Nobody has no secrets."""
    with world.store.read() as tx, pytest.raises(errors.NotFound):
        senders.secrets(tx, "nobody", NOW)


def test_a_holder_is_read_back(world: World) -> None:
    """Sealed and opened, a holder is the same."""
    with world.store.read() as tx:
        assert holders.get(tx, world.holder) == HOLDER


def test_an_erased_holder_is_gone(world: World) -> None:
    """Nothing personal is left, and their accounts and the journal still stand."""
    world.add(new(state=State.ACTIVE, ends_at=NOW))
    with world.store.write() as tx:
        journal.write(tx, "redeemed", number(0), world.sender)
        holders.erase(tx, world.sender, HOLDER.id, NOW)
        row = tx.execute(select(tables.holders)).one()
        assert (holders.get(tx, world.holder), row.sealed) == (None, None)
        assert accounts.record(tx, number(0)).holder == world.holder
        assert len(journal.list_(tx)) == 1


FIRM, OTHER = replace(HOLDER, entity="91110108MA01ABCD2H"), replace(HOLDER, entity="91440300MA5DA1234X")


def test_one_id_is_one_entity(world: World) -> None:
    """A code may come to be known; afterwards neither another nor none takes its place, and nothing is kept of it."""
    with world.store.write() as tx:
        holders.put(tx, world.sender, FIRM)
        for changed in (OTHER, HOLDER):
            with pytest.raises(RuleError) as refused:
                holders.put(tx, world.sender, replace(changed, name="somebody else"))
            assert (refused.value.code, str(FIRM.entity) in str(refused.value)) == ("holder_changed", False)
        assert holders.get(tx, world.holder) == FIRM
        assert holders.put(tx, world.sender, replace(FIRM, name="renamed")) == world.holder
        holders.erase(tx, world.sender, HOLDER.id, NOW)
        holders.put(tx, world.sender, OTHER)


def test_an_erased_holder_may_come_again(world: World) -> None:
    """A new redemption by the same person is kept again, under the same reference."""
    with world.store.write() as tx:
        holders.erase(tx, world.sender, HOLDER.id, NOW)
        assert holders.put(tx, world.sender, HOLDER) == world.holder
        assert holders.get(tx, world.holder) == HOLDER


def test_an_unknown_holder_cannot_be_erased(world: World) -> None:
    """A mistyped id is told, not taken for done."""
    with world.store.write() as tx, pytest.raises(errors.NotFound):
        holders.erase(tx, world.sender, "nobody", NOW)


def test_the_same_id_of_two_senders_is_two_holders(world: World) -> None:
    """A sender's ids are its own."""
    with world.store.read() as tx:
        assert holders.ref(tx, "another", HOLDER.id) != world.holder


def test_a_token_opens(world: World) -> None:
    """What was made is known again, with its role."""
    with world.store.write() as tx:
        plain = tokens.make(tx, "sender", "nanjing's", NOW, sender=world.sender)
        found = tokens.check(tx, plain)
    assert found is not None
    assert (found.role, found.sender, found.name) == ("sender", world.sender, "nanjing's")


def test_a_revoked_token_opens_nothing(world: World) -> None:
    """From then on it is as if unknown."""
    with world.store.write() as tx:
        plain = tokens.make(tx, "viewer", "v", NOW)
        tokens.revoke(tx, tokens.list_(tx)[0].id, NOW)
        assert tokens.check(tx, plain) is None


@pytest.mark.parametrize("plain", ["", "x", "tenure", "tenure__", "tenure_a_b", "tenure_é_x", "other_a_b", "t" * 999])
def test_a_wrong_token_opens_nothing(world: World, plain: str) -> None:
    """Unknown and malformed alike."""
    with world.store.read() as tx:
        assert tokens.check(tx, plain) is None


def test_a_changed_token_opens_nothing(world: World) -> None:
    """The last character counts as well."""
    with world.store.write() as tx:
        plain = tokens.make(tx, "admin", "a", NOW)
        assert tokens.check(tx, plain[:-1] + ("A" if plain[-1] != "A" else "B")) is None


def test_a_token_is_kept_as_a_hash(world: World) -> None:
    """No column holds what was told."""
    with world.store.write() as tx:
        plain = tokens.make(tx, "admin", "a", NOW)
        assert plain.split("_", 2)[2] not in str(tx.execute(select(tables.tokens)).all())


@pytest.mark.parametrize(("role", "sender"), [("sender", None), ("admin", "s1")])
def test_only_a_senders_token_has_a_sender(world: World, role: tokens.Role, sender: str | None) -> None:
    """An operator is nobody's, a sender's token is somebody's."""
    with world.store.write() as tx, pytest.raises(ValueError, match="sender"):
        tokens.make(tx, role, "t", NOW, sender=sender)
