"""The kept connection, against a real sshd on loopback."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.host import ssh
from providers.host.shell import Remote, quoted
from providers.protocol import NeedsHuman, TryLater
from tests.providers.keys import make_key
from tests.providers.sshd import Sshd, free_port

OPENED: list[ssh.Connection] = []


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "sshd")
    yield server
    for opened in OPENED:
        opened.close()
    OPENED.clear()
    server.stop()


def connection(server: Sshd, pinned: str | None = None) -> ssh.Connection:
    key = ssh.host_key(pinned or server.known_hosts)
    address = ssh.Address("lab", "127.0.0.1", server.port, server.user, key)
    OPENED.append(ssh.Connection(address, lambda: [ssh.login_key(server.login.private, "operator_key")]))
    return OPENED[-1]


def soon() -> float:
    return time.monotonic() + 20


def test_a_command_runs_and_its_end_is_known(sshd: Sshd) -> None:
    """Output, stderr and exit status of a remote command arrive, and its input got there."""
    ran = Remote(connection(sshd)).run(["sh", "-c", "cat; echo oops >&2; exit 3"], given=b"through")
    assert (ran.code, ran.out, ran.err) == (3, b"through", "oops")


def test_words_reach_the_host_as_they_are(sshd: Sshd) -> None:
    """A word with quotes, newlines and a dollar sign stays one word."""
    word = "a'b\"c $HOME\n;id `id`"
    assert Remote(connection(sshd)).run(["printf", "%s", word]).out == word.encode()


def test_much_goes_both_ways_at_once(sshd: Sshd) -> None:
    """Four megabytes through `cat` do not block each other."""
    given = os.urandom(4 << 20)
    assert Remote(connection(sshd)).run(["cat"], given=given).out == given


def test_a_changed_host_key_is_refused_before_any_login(sshd: Sshd) -> None:
    """Another key than the pinned one: NeedsHuman, and sshd has seen no attempt to log in."""
    with pytest.raises(NeedsHuman, match="another host key"):
        connection(sshd, pinned=make_key().public).open("true")
    assert "userauth" not in sshd.said()
    assert "Accepted" not in sshd.said()
    assert "publickey" not in sshd.said()


def test_a_host_without_a_key_of_the_pinned_type_is_refused(sshd: Sshd) -> None:
    """The pinned type is the only one we agree to."""
    with pytest.raises(NeedsHuman, match="has no key of type ecdsa-sha2-nistp256"):
        connection(sshd, pinned=make_key("ecdsa").public).open("true")


def test_a_key_that_the_host_does_not_take_needs_a_human(sshd: Sshd) -> None:
    """Trying again would not help."""
    stranger = ssh.login_key(make_key().private, "operator_key")
    address = ssh.Address("lab", "127.0.0.1", sshd.port, sshd.user, ssh.host_key(sshd.known_hosts))
    with pytest.raises(NeedsHuman, match="accepts none of 1 keys"):
        ssh.Connection(address, lambda: [stranger]).open("true")


def test_a_session_lost_in_mid_command_is_not_taken_for_its_end(sshd: Sshd) -> None:
    """The session's sshd is killed in mid-command: no status is made up, the next one runs over a new session."""
    kept = connection(sshd)
    stream = kept.open(quoted(["sh", "-c", "echo $PPID; exec sleep 60"]))
    session = int(stream.receive(soon()))
    os.kill(session, signal.SIGKILL)
    assert stream.receive(soon()) == b""
    assert stream.status(soon()) is None
    assert Remote(kept).run(["echo", "again"]).out == b"again\n"


def test_what_is_lost_already_can_be_closed(sshd: Sshd) -> None:
    """Its socket went away under it, and nothing has noticed yet."""
    for _ in range(10):
        kept = connection(sshd)
        stream = kept.open("cat")
        transport = stream._channel.get_transport()
        assert transport is not None
        transport.sock.close()
        stream.close()


def test_an_answer_that_does_not_come_is_to_be_tried_later(sshd: Sshd) -> None:
    """A deadline that passes is TryLater; the connection itself stays."""
    kept = connection(sshd)
    with pytest.raises(TryLater, match="no answer in time"):
        kept.open(quoted(["sleep", "60"])).receive(time.monotonic() + 0.05)
    assert Remote(kept).run(["true"]).code == 0


def test_many_channels_share_one_connection(sshd: Sshd) -> None:
    """Three commands, one login."""
    kept = Remote(connection(sshd))
    assert [kept.run(["echo", str(n)]).out for n in range(3)] == [b"0\n", b"1\n", b"2\n"]
    assert sshd.said().count("Accepted publickey") == 1


def test_a_dead_host_is_not_asked_again_at_once() -> None:
    """After a failed connect callers are told so at once, instead of queueing behind time-outs."""
    address = ssh.Address("lab", "127.0.0.1", free_port(), "root", ssh.host_key(make_key().public))
    kept = ssh.Connection(address, lambda: [])
    with pytest.raises(TryLater, match="cannot connect"):
        kept.open("true")
    with pytest.raises(TryLater, match="did not answer just now"):
        kept.open("true")


@pytest.mark.parametrize(
    "line",
    ["", "host", "host ssh-ed25519", "host ssh-ed25519 AAAA", "host ssh-dss AAAA", "@cert-authority h ssh-rsa AA"],
)
def test_a_host_key_line_that_is_none_is_an_error(line: str) -> None:
    """It is pinned or there is no connection."""
    with pytest.raises(ValueError, match="known_hosts"):
        ssh.host_key(line)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa3072"])
def test_login_keys_of_every_kind_are_read(kind: str) -> None:
    """ed25519, ecdsa and rsa, as ssh-keygen writes them."""
    pair = make_key(kind)
    assert ssh.login_key(pair.private, "operator_key").get_base64() == pair.public.split()[1]
