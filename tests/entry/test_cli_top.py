"""`tenure top`, once and as JSON: what needs a person comes first, with what to type."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from orchestrator.app import App
from orchestrator.lifecycle import times
from orchestrator.store import capacity, sites
from orchestrator.store.sites import Places
from tests.entry import evening
from tests.entry.cli_home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A computing centre's Friday evening."""
    home = Home(tmp_path_factory.mktemp("top") / "home")
    assert home("init").code == 0
    with App.open(home.folder) as app:
        evening.furnish(app.ctx.store, datetime.now(UTC))
    return home


def test_an_empty_home_is_calm(tmp_path: Path) -> None:
    """Nothing is stuck, so the exit code is 0."""
    home = Home(tmp_path / "home")
    home("init")
    said = home("top", "--once")
    assert (said.code, "all is well" in said.out) == (0, True)
    assert home("top", "--json").json["level"] == "calm"


def test_what_is_past_its_end_stands_first(home: Home) -> None:
    """Before anything else there is the site and the command to type; the exit code says that something is stuck."""
    said = home("top", "--once")
    first = [line.strip() for line in said.out.splitlines() if line.strip()][1:4]
    assert first[0].startswith("!! PAST END, not known to be fenced: 3 at wuxi-hpc")
    assert first[1:] == [evening.DOWN, "$ tenure site check wuxi-hpc"]
    assert said.code == 3


def test_a_remedy_stands_beside_what_waits_for_a_person(home: Home) -> None:
    """What the site said, what to do there, and where to read more."""
    said = home("top", "--once").out
    assert evening.NO_PARENT in said
    assert "do: sacctmgr add account tenure" in said


def test_off_a_terminal_there_are_no_colours(home: Home) -> None:
    """Nor anything else that a file should not hold."""
    assert "\x1b" not in home("top").out


def test_json_holds_every_figure(home: Home) -> None:
    """The same model that the page shows."""
    said = home("top", "--json")
    assert (said.code, said.json["level"]) == (3, "needs_you")
    assert (said.json["stuck"], said.json["unfenced"], said.json["unsent"]) == (10, 3, 5)
    assert sum(piece["count"] for piece in said.json["days"]) == 491


def test_places_are_those_of_the_calendar(home: Home) -> None:
    """Cell by cell; also a booking of two hours at night, between the noons of two days."""
    today = datetime.now(times.zone()).replace(hour=0, minute=0, second=0, microsecond=0)
    night = today + timedelta(days=3, hours=2)
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        assert capacity.hold(tx, "at-night", "wuxi-hpc", "trial", night, night + timedelta(hours=2), datetime.now(UTC))
    shown = [day for site in home("top", "--json").json["sites"] for one in site["places"] for day in one["days"]]
    counted = home("booking", "calendar", "--from", shown[0]["day"], "--json").json
    for day in (*shown, *counted):
        day.pop("at")
    assert shown == counted
    assert [day["booked"] for day in shown if (day["site"], day["offer"]) == ("wuxi-hpc", "trial")] == [
        0, 0, 0, 1, *[0] * 10]


def test_what_a_site_says_cannot_move_the_cursor(tmp_path: Path) -> None:
    """An error's escape sequences and line ends are shown as dots."""
    home = Home(tmp_path / "home")
    home("init")
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        it = evening.Evening(tx, datetime.now(UTC))
        sites.put_offer(tx, evening.SMALL)
        it.site("nanjing", "memory", "city", Places("nanjing", "trial", 5))
        it.stuck(it.account("nanjing", evening.DAY), "warn", "\x1b[2J[red]\nall is well", "tenure", 1, evening.HOUR)
    assert "·[2J[red]·all is well" in home("top", "--once").out


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_it_is_live_until_interrupted(home: Home, variables: dict[str, str], coloured: bool) -> None:
    """Drawn on the other screen, ended in good order, the first screen put back; colours only when wanted."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "70", "LINES": "40"} | variables
    process = subprocess.Popen([sys.executable, "-m", "orchestrator.entry.cli.main", "--home", str(home.folder), "top"],
                               stdin=follower, stdout=follower, stderr=follower, env=environment,
                               preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL))
    os.close(follower)
    try:
        seen = read_until(leader, b"PAST END")
        process.send_signal(signal.SIGINT)
        seen += read_until(leader, b"\x1b[?1049l")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert (b"\x1b[1;31m" in seen) is coloured


def read_until(terminal: int, text: bytes, seconds: float = 60) -> bytes:
    """What a terminal shows up to `text` and shortly after."""
    seen, deadline = b"", time.monotonic() + seconds
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"not shown within {seconds:g} s: {text!r}"
        seen += os.read(terminal, 65536)
    return seen
