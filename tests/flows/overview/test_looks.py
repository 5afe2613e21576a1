"""Sites are looked at now and then, and what was seen is shown: who is silent, since when, and whose clock is off."""

import sys
from datetime import timedelta
from pathlib import Path

from orchestrator.flows.accounts import operate
from orchestrator.flows.overview.model import Level, Overview, overview
from orchestrator.flows.work.rounds import Rounds
from orchestrator.store import sites
from orchestrator.store.looks import Look, list_
from providers.host import settings
from providers.linux.site import LinuxSite
from tests.flows.town import START, Town
from tests.providers.keys import make_key
from tests.providers.sshd import Sshd

LATER = timedelta(seconds=31)


def look(town: Town) -> Look:
    """A worker's look at the site, and what was written down."""
    rounds = Rounds(town.ctx)
    rounds.tick()
    assert rounds.idle(30)
    with town.store.read() as tx:
        return list_(tx)["north"]


def silence(town: Town, on: bool = True) -> None:
    with town.sites["north"].keeper.held() as world:
        world.faults.dead = on


def seen(town: Town) -> Overview:
    return overview(town.ctx)


def test_a_site_that_answers_is_seen(town: Town) -> None:
    """When, and that its clock is right."""
    found = look(town)
    assert (found.answered_at, found.silent_since, found.offset) == (START, None, timedelta())
    assert seen(town).level is Level.CALM


def test_a_silent_site_keeps_its_last_answer(town: Town) -> None:
    """And since when it is silent, however often it is asked; why is what the site's side said."""
    look(town)
    silence(town)
    for _ in range(3):
        town.advance(LATER)
        found = look(town)
    assert (found.answered_at, found.silent_since, found.asked_at) == (START, START + LATER, START + 3 * LATER)
    assert found.error


def test_a_site_is_called_silent_when_it_stays_so(town: Town) -> None:
    """One look that failed may be a hiccup."""
    look(town)
    silence(town)
    said = []
    for _ in range(3):
        town.advance(LATER)
        look(town)
        said.append([one.kind for one in seen(town).alarms])
    assert said == [[], [], ["silent"]]
    alarm = seen(town).alarms[0]
    assert (alarm.site, alarm.since, alarm.command) == ("north", START, "tenure site check north")


def test_a_site_that_answers_again_is_silent_no_more(town: Town) -> None:
    """Its silence is forgotten with its error."""
    silence(town)
    look(town)
    silence(town, on=False)
    town.advance(LATER)
    found = look(town)
    assert (found.silent_since, found.error, found.answered_at) == (None, "", START + LATER)


def test_a_clock_that_is_off_is_told(town: Town) -> None:
    """As is what follows from it; two seconds are let pass, as when an account is placed."""
    with town.sites["north"].keeper.held() as world:
        world.offset = 3.0
    assert look(town).offset == timedelta(seconds=3)
    assert [one.kind for one in seen(town).alarms] == ["clock"]


def test_a_site_whose_reaper_stands_still_is_told_though_it_answers(town: Town) -> None:
    """Tenure alone would end its accounts then; once the reaper works again nothing is said."""
    said = []
    for off in (True, False):
        with town.sites["north"].keeper.held() as world:
            world.faults.no_reaper = off
        assert look(town).silent_since is None
        said.append([(one.kind, one.site, one.command, one.error, bool(one.remedy)) for one in seen(town).alarms])
        town.advance(LATER)
    assert said == [[("reaper", "north", "tenure site check north", "off", True)], []]


def test_without_a_worker_nobody_looks_and_that_is_told(town: Town) -> None:
    """Though nothing may be due: whoever watches must not take silence for peace."""
    look(town)
    town.advance(timedelta(minutes=4))
    alarm = seen(town).alarms[0]
    assert (alarm.kind, alarm.since, alarm.command) == ("idle", START, "tenure worker")


def test_a_site_that_was_given_up_may_be_silent(town: Town) -> None:
    """Drained and empty, it is asked still, and its silence is nobody's business."""
    look(town)
    silence(town)
    with town.store.write() as tx:
        sites.drain(tx, "north", True)
    for _ in range(3):
        town.advance(LATER)
        look(town)
    assert seen(town).alarms == []


def test_a_fresh_installation_is_calm(town: Town) -> None:
    """Nobody has looked yet, and nothing is known to be wrong."""
    found = seen(town)
    assert (found.level, [site.look for site in found.sites]) == (Level.CALM, [None])


def test_what_a_site_says_is_kept_in_bounds(town: Town) -> None:
    """Whatever it says, and however long it goes on about it."""
    class Babbling:
        def now(self) -> None:
            raise LookupError("x\x00" * 5000)

        def close(self) -> None:
            pass

    town.instead("north", Babbling())
    found = look(town)
    assert len(found.error) <= 500
    assert "\x00" not in found.error


SERVE = """\
import json, sys, time
print(json.dumps({"hello": {"version": "v", "boot_id": "b", "cgroup": "v1"}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    answers = {"now": {"now": time.time()}, "reaper": {"subject": "reaper", "ok": True}}
    said = answers.get(asked["op"]) or [{"account": one, "at": 1.0} for one, _ in asked["batch"]]
    print(json.dumps({"id": asked["id"], "ok": said}), flush=True)
"""


def test_a_host_that_lets_nobody_new_in_is_silent_though_tenure_is_inside(town: Town, tmp_path: Path) -> None:
    """sshd's listener ends and our connection lives: holders cannot log in, so that is told; fences go on over what we
    have. Once it listens again, the site answers."""
    program = tmp_path / "serve.py"
    program.write_text(SERVE)
    server = Sshd(tmp_path / "sshd", extra=f"ForceCommand {sys.executable} {program}\n")
    host = settings.parse("north", {"address": "127.0.0.1", "port": server.port, "host_key": server.known_hosts,
                                    "user": server.user})
    site = LinuxSite(host, {"operator_key": server.login.private, "ca_key": make_key().private})
    town.instead("north", site)
    try:
        assert look(town).error == ""
        server.deafen()
        town.clock.at += LATER
        found = look(town)
        assert (found.silent_since, found.answered_at) == (START + LATER, START)
        assert f"127.0.0.1:{server.port}: takes no new logins: " in found.error
        [fenced] = site.fence([("a222222222", 1)], "end")
        assert fenced.at is not None
        server.listen()
        town.clock.at += LATER
        assert (look(town).silent_since, server.said().count("Accepted publickey")) == (None, 1)
    finally:
        site.close()
        server.stop()


def test_what_holds_keep_past_grace_is_noted(town: Town) -> None:
    """All works, so nothing is red: how many and by which hold is said, and not before grace is over."""
    ids = [town.active() for _ in range(2)]
    operate.hold(town.ctx, True, actor="test")
    operate.hold(town.ctx, True, account=ids[0], actor="test")
    ends_at = town.account(ids[0]).ends_at
    assert ends_at is not None
    town.advance_to(ends_at)
    town.work()
    assert seen(town).alarms == []
    town.advance(town.offer.grace)
    found = seen(town)
    assert (found.level, [(one.kind, one.count, one.who, one.command) for one in found.alarms]) == (
        Level.HELD, [("kept_all", 2, "hold", "tenure hold all --off")])
    operate.hold(town.ctx, False, actor="test")
    assert [(one.kind, one.count) for one in seen(town).alarms if one.who == "hold"] == [("kept_own", 1)]
