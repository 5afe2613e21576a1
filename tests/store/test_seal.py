"""What is sealed is nowhere in the clear, opens with its own key at its own place."""

import json
from pathlib import Path

import pytest

from orchestrator.store import keys, senders, sites, tokens, vouchers
from orchestrator.store.engine import Store
from orchestrator.store.errors import WrongKey
from orchestrator.store.seal import Keyring
from tests.store.making import HOLDER, HOUR, NOW, OFFER, World, furnish

HASHING = b"h" * 32


def everything_in(url: str, tmp_path: Path) -> bytes:
    """Every byte of an SQLite database, its write-ahead log included."""
    return b"".join(path.read_bytes() for path in tmp_path.glob("tenure.db*"))


@pytest.fixture
def sqlite_store(sqlite_url: str, keyring: Keyring) -> Store:
    return Store(sqlite_url, keyring)


def test_no_secret_is_in_the_database(sqlite_store: Store, sqlite_url: str, tmp_path: Path) -> None:
    """Codes, senders' secrets, site keys, tokens, private keys and holders: none of their bytes is in the files."""
    world = furnish(sqlite_store)
    with sqlite_store.write() as tx:
        code, = vouchers.issue(tx, world.sender, OFFER.name, 1, NOW, NOW + HOUR)
        sites.put_secrets(tx, "nanjing", {"ssh": "OPENSSH PRIVATE KEY of the site"})
        token = tokens.make(tx, "admin", "ops", NOW)
        keys.put_new(tx, "certificates", b"thirty-two bytes that sign exits")
        rotated = senders.rotate(tx, world.sender, NOW, HOUR)
    found = everything_in(sqlite_url, tmp_path)
    assert b"nanjing-vouchers" in found
    for secret in (code, world.secret, rotated, token.split("_", 2)[2], "OPENSSH PRIVATE", "bytes that sign",
                   HOLDER.name, HOLDER.email, HOLDER.id, code.replace("-", "")):
        assert secret.encode() not in found
        assert secret.removeprefix("whsec_").encode() not in found
    sqlite_store.close()


def test_a_wrong_key_fails_closed(url: str) -> None:
    """A database opened with another key file answers nothing at all."""
    store = Store(url, Keyring.new())
    with pytest.raises(WrongKey), store.read():
        pass
    store.close()


def test_a_wrong_hashing_key_fails_closed(url: str, keyring: Keyring) -> None:
    """The right sealing key with another hashing key would not know a single voucher: refused."""
    mixed = Keyring(b"x" * 32, keyring._keys)
    store = Store(url, mixed)
    with pytest.raises(WrongKey), store.write():
        pass
    store.close()


def test_a_sealed_value_opens_only_in_its_place() -> None:
    """A row's sealed value moved to another row is refused."""
    keyring = Keyring.new()
    with pytest.raises(WrongKey):
        keyring.unseal(keyring.seal(b"x", "senders/a"), "senders/b")


@pytest.mark.parametrize("at", [0, 8, 20, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    """Wherever a sealed value is changed, it no longer opens."""
    keyring = Keyring.new()
    sealed = bytearray(keyring.seal(b"secret", "p"))
    sealed[at] ^= 1
    with pytest.raises(WrongKey):
        keyring.unseal(bytes(sealed), "p")


def test_the_first_key_seals_and_each_opens() -> None:
    """With a new key before an old one, old values still open and new ones use the new key."""
    old = Keyring(HASHING, [b"o" * 32])
    new = Keyring(HASHING, [b"n" * 32, b"o" * 32])
    assert new.unseal(old.seal(b"x", "p"), "p") == b"x"
    with pytest.raises(WrongKey):
        old.unseal(new.seal(b"x", "p"), "p")


def test_hashes_do_not_depend_on_sealing_keys() -> None:
    """Voucher digests and claim links stay the same for ever."""
    one, other = Keyring(HASHING, [b"n" * 32]), Keyring(HASHING, [b"o" * 32])
    assert one.mac("voucher", "CODE") == other.mac("voucher", "CODE")


def test_purposes_do_not_share_hashes() -> None:
    """The hash of a code tells nothing about the hash of a token."""
    keyring = Keyring.new()
    assert keyring.mac("voucher", "x") != keyring.mac("token", "x")


def test_a_key_file_is_read_back(tmp_path: Path) -> None:
    """Made and opened again, a keyring still opens what it sealed."""
    keyring = Keyring.create(tmp_path / "keys")
    assert Keyring.open(tmp_path / "keys").unseal(keyring.seal(b"x", "p"), "p") == b"x"


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    """Making a keyring where there is one fails."""
    Keyring.create(tmp_path / "keys")
    with pytest.raises(FileExistsError):
        Keyring.create(tmp_path / "keys")


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """Mode 0644 is not how a key file is kept."""
    Keyring.create(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o644)
    with pytest.raises(WrongKey, match="chmod 600"):
        Keyring.open(tmp_path / "keys")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"hashing": "AAAA", "sealing": []}', '{"hashing": 1, "sealing": 2}',
                                  json.dumps({"hashing": "A" * 43 + "=", "sealing": ["AA=="]})])
def test_a_spoilt_key_file_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever is wrong with it, the answer is WrongKey."""
    (tmp_path / "keys").write_text(text)
    (tmp_path / "keys").chmod(0o600)
    with pytest.raises(WrongKey):
        Keyring.open(tmp_path / "keys")


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    """Without its keys nothing starts."""
    with pytest.raises(WrongKey):
        Keyring.open(tmp_path / "keys")


def test_a_keyring_shows_no_key() -> None:
    """Its printed form names no key material."""
    assert repr(Keyring.new()) == "Keyring(1 sealing keys)"


def test_the_first_private_key_by_a_name_holds(world: World) -> None:
    """Two processes making the same key get the same one."""
    with world.store.write() as tx:
        assert [keys.put_new(tx, "k", b"1"), keys.put_new(tx, "k", b"2")] == [b"1", b"1"]
