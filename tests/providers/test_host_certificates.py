"""Holders' keys and the certificates minted for them."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.host import certificates
from providers.protocol import NeedsHuman, Refused
from tests.providers.keys import make_key
from tests.providers.specs import new_id

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CA = certificates.private_key(make_key().private, "ca_key")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa3072"])
def test_usual_keys_are_taken_with_or_without_a_comment(kind: str) -> None:
    """The comment is dropped."""
    line = make_key(kind).public
    assert certificates.public_line(certificates.holder_key(f"{line} me@home\n")) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        'command="sh" ' + make_key().public,
        "cert-authority " + make_key().public,
        make_key().public + "\n" + make_key().public,
        make_key().public + "\0",
        make_key().public.replace("ssh-ed25519", "ssh-rsa"),
        "ssh-ed25519 " + "A" * 100_000,
        make_key().private,
        make_key("rsa2048").public,
        "ssh-dss AAAAB3NzaC1kc3MAAACBAA==",
        "ѕsh-ed25519 " + make_key().public.split()[1],
    ],
    ids=lambda line: line[:12],
)
def test_anything_but_one_plain_public_key_is_refused(line: str) -> None:
    """Options, several lines, short keys, private keys, look-alikes: none gets a certificate."""
    with pytest.raises(Refused, match="public key"):
        certificates.holder_key(line)


def shown(line: str, folder: Path) -> str:
    (folder / "key-cert.pub").write_text(line + "\n")
    argv = ["ssh-keygen", "-L", "-f", str(folder / "key-cert.pub")]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env={"TZ": "UTC"}).stdout


def test_a_certificate_gives_a_terminal_and_nothing_else(tmp_path: Path) -> None:
    """OpenSSH itself reads back the principal, the end and the single permission."""
    end = NOW + timedelta(hours=1, milliseconds=700)
    line = certificates.mint(CA, certificates.holder_key(make_key().public), "aaaaaaaaaa", "who", NOW, end)
    said = " ".join(shown(line, tmp_path).split())
    assert "to 2030-01-01T01:00:00 Principals: who Critical Options: (none) Extensions: permit-pty" in said


def test_the_same_key_gets_the_same_principal() -> None:
    """Asked again, nothing new; another key or account gets another."""
    account = new_id()
    first, second = (certificates.holder_key(make_key().public) for _ in range(2))
    name = certificates.principal(CA, account, first)
    others = {certificates.principal(CA, account, second), certificates.principal(CA, new_id(), first)}
    assert certificates.principal(CA, account, first) == name
    assert name not in others


def test_no_certificate_after_the_end() -> None:
    """A lease that has ended mints nothing."""
    with pytest.raises(Refused, match="its time is over"):
        certificates.mint(CA, certificates.holder_key(make_key().public), "aaaaaaaaaa", "who", NOW, NOW)


def test_a_bad_private_key_is_not_shown() -> None:
    """The error names which key it is and quotes nothing of it."""
    with pytest.raises(NeedsHuman, match="ca_key is not an OpenSSH private key") as raised:
        certificates.private_key("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END", "ca_key")
    assert "c2VjcmV0" not in repr(raised.value)
