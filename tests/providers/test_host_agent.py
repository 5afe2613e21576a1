"""The client of the on-site program, against a hand-written peer that misbehaves."""

import threading
from typing import Any

import pytest

from providers.host import agent
from providers.host.agent import Agent
from providers.protocol import NeedsHuman, Refused, SiteError, Stale, TryLater
from tests.providers.peer import Peers, error, ok, to_line

LONG = 20.0


def test_a_channel_is_kept_for_the_next_request() -> None:
    """Two requests, one start."""
    peers = Peers(lambda request: ok(request["op"]))
    one = Agent(peers, "site x")
    assert [one.call("a", timeout=LONG), one.call("b", timeout=LONG)] == ["a", "b"]
    assert len(peers.started) == 1


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("later", TryLater), ("human", NeedsHuman), ("refused", Refused), ("stale", Stale), ("odd", TryLater)],
)
def test_the_site_s_word_decides_who_acts_next(kind: str, wanted: type[SiteError]) -> None:
    """Each kind of error is its own class, and the channel stays in use."""
    peers = Peers(lambda request: error(kind))
    one = Agent(peers, "site x")
    for _ in range(2):
        with pytest.raises(wanted):
            one.call("ensure", timeout=LONG)
    assert len(peers.started) == 1


def test_an_error_that_needs_a_human_carries_the_remedy() -> None:
    """The site knows best what to do there."""
    one = Agent(Peers(lambda request: error("human", remedy="mount the pool")), "site x")
    with pytest.raises(NeedsHuman) as raised:
        one.call("ensure", timeout=LONG)
    assert raised.value.remedy == "mount the pool"


@pytest.mark.parametrize(
    "said",
    [
        b"Last login: yesterday\n",
        b"[1, 2]\n",
        b"{}\n",
        to_line({"id": 99, "ok": 1}),
        to_line({"id": 1}),
        to_line({"id": 1, "ok": 1, "error": {}}),
        b'{"id": 1, "ok": ' + b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_an_answer_that_is_none_closes_the_channel(said: bytes) -> None:
    """Whatever it was, we do not know what the site did: TryLater, and nothing more is read from there."""
    peers = Peers(lambda request: said)
    one = Agent(peers, "site x")
    with pytest.raises(TryLater):
        one.call("ensure", timeout=LONG)
    assert peers.started[0].closed


def test_an_endless_line_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded."""
    monkeypatch.setattr(agent, "LONGEST_LINE", 1000)
    with pytest.raises(TryLater, match="too long"):
        Agent(Peers(lambda request: b"x" * 200_000), "site x").call("ensure", timeout=LONG)


def test_a_time_out_after_success_is_seen_by_looking_again() -> None:
    """The site did it and the answer was lost: TryLater, and the next look, on another channel, finds it done."""
    done: list[str] = []

    def play(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["op"] == "observe":
            return ok(list(done))
        done.append(request["op"])
        return None

    peers = Peers(play)
    one = Agent(peers, "site x")
    with pytest.raises(TryLater):
        one.call("ensure", timeout=0.1)
    assert one.call("observe", timeout=LONG) == ["ensure"]
    assert [peer.closed for peer in peers.started] == [True, False]


def test_after_a_time_out_no_idle_channel_is_trusted() -> None:
    """They may hang on the same dead connection; the next request begins anew."""
    peers = Peers(lambda request: ok(1) if request["op"] == "now" else None)
    one = Agent(peers, "site x")
    one.call("now", timeout=LONG, urgent=True)
    with pytest.raises(TryLater):
        one.call("ensure", timeout=0.1)
    one.call("now", timeout=LONG, urgent=True)
    assert [peer.closed for peer in peers.started] == [True, True, False]


def test_a_peer_that_died_while_idle_is_not_used() -> None:
    """A kept channel that is gone is replaced before anything is sent."""
    peers = Peers(lambda request: ok(1))
    one = Agent(peers, "site x")
    one.call("now", timeout=LONG)
    peers.started[0].close()
    assert one.call("now", timeout=LONG) == 1


def test_a_program_that_does_not_start_needs_a_human() -> None:
    """What it said on stderr is in the message."""
    peers = Peers(lambda request: None, first=b"sudo: a password is required\n")
    peers.complaint, peers.code = "sudo: a password is required", 1
    with pytest.raises(NeedsHuman, match="a password is required"):
        Agent(peers, "site x").call("now", timeout=LONG)
    assert peers.started[0].closed


def test_ends_never_wait_behind_work() -> None:
    """With every work channel busy, an urgent request is answered."""
    busy, go = threading.Semaphore(0), threading.Event()

    def play(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "ensure":
            busy.release()
            go.wait(LONG)
        return ok(request["op"])

    one = Agent(Peers(play), "site x")
    workers = [threading.Thread(target=one.call, args=("ensure",), kwargs={"timeout": LONG}) for _ in range(8)]
    for worker in workers:
        worker.start()
    for _ in range(agent.WORK_CHANNELS):
        assert busy.acquire(timeout=LONG)
    assert one.call("fence", timeout=LONG, urgent=True) == "fence"
    go.set()
    for worker in workers:
        worker.join(LONG)


def test_each_thread_gets_its_own_answer() -> None:
    """Many at once never mix."""
    one = Agent(Peers(lambda request: ok(request["n"])), "site x")
    answers: dict[int, object] = {}

    def ask(n: int) -> None:
        answers[n] = one.call("now", timeout=LONG, n=n)

    workers = [threading.Thread(target=ask, args=(n,)) for n in range(50)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(LONG)
    assert answers == {n: n for n in range(50)}


def test_a_request_that_is_too_long_is_refused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would only be cut there."""
    monkeypatch.setattr(agent, "LONGEST_LINE", 100)
    with pytest.raises(Refused, match="too long"):
        Agent(Peers(lambda request: ok(1)), "site x").call("notice", timeout=LONG, text="x" * 200)
