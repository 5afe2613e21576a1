"""Bookings at the command line: made, listed, on the calendar, moved, cancelled, and one that becomes an account."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.lifecycle import times
from orchestrator.lifecycle.due import Owed
from tests.entry.cli_home import HOLDER, Home, made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One installation."""
    return made(tmp_path_factory.mktemp("booking"))


def book(home: Home, begins_at: str) -> str:
    said = home("redeem", "--sender", "portal", *HOLDER, "--begins-at", begins_at, home.voucher(), "--json")
    return str(said.json["account"])


def test_a_booking_is_made_listed_moved_and_cancelled(home: Home) -> None:
    """Each with its answer; the journal has who and why."""
    id = book(home, "+7d")
    [listed] = home("booking", "list", "--json").json
    assert (listed["account"], listed["state"], listed["offer"]) == (id, "REQUESTED", "trial")
    assert f"{id}\tREQUESTED" in home("account", "list").out
    assert "\tbegins in " in home("account", "list").out
    moved = home("booking", "move", id, "--begins-at", "+9d", "--why", "a fair", "--json").json
    assert datetime.fromisoformat(moved["begins_at"]) > datetime.fromisoformat(listed["begins_at"])
    said = home("booking", "cancel", id, "--why", "not coming")
    assert (said.code, said.out) == (0, f"account {id}: cancelled, the voucher is good again\n")
    assert home("booking", "list", "--json").json == []
    history = home("account", "show", id, "--history", "--json").json["history"]
    assert [(one["action"], one["why"]) for one in history][-2:] == [
        ("booking.moved", "a fair"), ("booking.cancelled", "not coming")]


def test_redeeming_again_at_the_same_time_is_the_same_booking(home: Home) -> None:
    """An absolute time; at another time it is told what to do."""
    voucher, at = home.voucher(), (datetime.now(UTC) + timedelta(days=3)).isoformat(timespec="seconds")
    words = ("redeem", "--sender", "portal", *HOLDER, "--begins-at", at, voucher, "--json")
    first = home(*words).json
    assert home(*words).json["account"] == first["account"]
    other = home("redeem", "--sender", "portal", *HOLDER, "--begins-at", "+5d", voucher)
    assert (other.code, "another holder, key or beginning" in other.err) == (1, True)
    home("booking", "cancel", first["account"])


def test_the_calendar_shows_places_by_day(home: Home) -> None:
    """Booked ahead is apart from taken; from ten in the morning, so that it lies in one day."""
    id = book(home, (datetime.now(times.zone()) + timedelta(days=2)).replace(hour=10).isoformat())
    days = home("booking", "calendar", "--from", "+1d", "--days", "3", "--json").json
    assert [day["booked"] for day in days] == [0, 1, 0]
    assert {(day["site"], day["offer"], day["places"], day["taken"], day["coming"]) for day in days} == {
        ("rehearsal", "trial", 100, 0, 0)}
    assert home("booking", "calendar", "--days", "1").out.splitlines()[0].split("\t") == [
        "site", "offer", "day", "places", "taken", "booked", "free", "coming"]
    home("booking", "cancel", id)


@pytest.mark.parametrize(("words", "code", "message"), [
    (("redeem", "--begins-at", "2020-01-01"), 1, "has passed"), (("redeem", "--begins-at", "soon"), 2, "is not one"),
    (("booking", "calendar", "--from", "2999-06-01"), 2, "between 1971 and 2998"),
    (("booking", "cancel", "aaaaaaaaaa"), 1, "there is no account"),
    (("booking", "list", "--site", "nowhere"), 1, "there is no site"),
])
def test_a_mistake_is_one_line(home: Home, words: tuple[str, ...], code: int, message: str) -> None:
    """What happened, and what to do."""
    more = ("--sender", "portal", *HOLDER, home.voucher()) if words[0] == "redeem" else ()
    said = home(*words, *more)
    assert (said.code, message in said.err, said.err.count("\n")) == (code, True, 1), said.err


def test_a_booking_some_seconds_ahead_opens_at_its_time(tmp_path: Path) -> None:
    """Real time on a site in memory: prepared at once, no login before its beginning, a login after."""
    home = made(tmp_path)
    begins_at = datetime.now(UTC) + timedelta(seconds=4)
    id = book(home, begins_at.isoformat())
    home.work(Owed.PROVISION)
    before = home("account", "show", id, "--json").json
    if datetime.now(UTC) < begins_at:
        assert (before["state"], before["starts_at"]) == ("PROVISIONING", None)
    while home("account", "show", id, "--json").json["state"] != "ACTIVE":
        assert datetime.now(UTC) < begins_at + timedelta(minutes=5)
        home.work(Owed.PROVISION)
    assert datetime.fromisoformat(home("account", "show", id, "--json").json["starts_at"]) >= begins_at


def test_a_filter_for_what_can_be_used_leaves_bookings_out(home: Home) -> None:
    """No failure, as they have no end to move; one that is named is refused."""
    id = book(home, "+2d")
    said = home("account", "extend", "--site", "rehearsal", "--by", "1h", "--yes")
    assert (said.code, said.out) == (0, "nothing to do: 1 account that cannot be used now\n")
    assert home("account", "extend", id, "--by", "1h").code == 1
    home("booking", "cancel", id)
