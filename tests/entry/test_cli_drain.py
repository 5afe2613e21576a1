"""`tenure site drain` and `tenure account notify`: shown first, bounded, and each account for itself."""

from pathlib import Path

import pytest

from tests.entry.cli_home import Home, made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three usable accounts at one site."""
    home = made(tmp_path_factory.mktemp("drain"))
    for _ in range(3):
        home.active()
    return home


def ends(home: Home) -> list[str]:
    return [one["ends_at"] for one in home("account", "list", "--json").json]


def test_a_plan_shows_each_account_and_changes_nothing(home: Home) -> None:
    """With what becomes of it and when the last of it is gone."""
    before = ends(home)
    said = home("site", "drain", "rehearsal", "--until", "+30m", "--plan", "--json").json
    assert [(one["becomes"], one["ends_at"] < one["empty_at"]) for one in said["plan"]] == [("outlives it", True)] * 3
    assert (said["drained"], said["results"], ends(home)) == (False, [], before)
    assert not home("site", "list", "--json").json[0]["drained"]
    plain = home("site", "drain", "rehearsal", "--until", "+2h", "--plan")
    assert "ends by itself: 3" in plain.out
    assert "nothing was changed" in plain.err
    assert "empty at" in plain.err
    assert "is past" in home("site", "drain", "rehearsal", "--until", "2026-01-01", "--plan").err


def test_draining_alone_touches_no_account(home: Home) -> None:
    """It asks nothing, since it does nothing to anybody; undrain takes it back."""
    before = ends(home)
    assert home("site", "drain", "rehearsal").code == 0
    assert (home("site", "list", "--json").json[0]["drained"], ends(home)) == (True, before)
    assert home("site", "undrain", "rehearsal").code == 0
    assert not home("site", "list", "--json").json[0]["drained"]


def test_ending_and_telling_is_asked_and_bounded(home: Home) -> None:
    """Without a yes, or with more than allowed, not even the site is drained."""
    before = ends(home)
    assert home("site", "drain", "rehearsal", "--end-by", "+30m").code == 2
    assert home("site", "drain", "rehearsal", "--end-by", "+30m", "--yes", "--max", "2").code == 2
    assert home("site", "drain", "rehearsal", "--text-zh", "x").code == 2
    assert home("site", "drain", "rehearsal", "--end-by", "2026-01-01", "--yes").code != 0
    assert (home("site", "list", "--json").json[0]["drained"], ends(home)) == (False, before)


def test_ends_are_moved_and_holders_told(home: Home) -> None:
    """In that order, so that each is told the end that holds."""
    said = home("site", "drain", "rehearsal", "--end-by", "+30m", "--notify", "--why", "a new floor", "--yes",
                "--json").json
    assert [(one["act"], one["ok"]) for one in said["results"]] == [("end", True)] * 3 + [("notify", True)] * 3
    assert len(set(ends(home))) == 1
    rows = home("journal", "list", "--json").json
    assert [row["action"] for row in reversed(rows)][-7:] == ["site.drained"] + ["account.extended"] * 3 + [
        "account.noticed"] * 3
    assert {row["why"] for row in rows[:7]} == {"a new floor"}
    assert all("taken out of service" in row["facts"]["text_en"] for row in rows[:3])
    home("site", "undrain", "rehearsal")


def test_a_notice_goes_to_all_that_fit(home: Home, tmp_path: Path) -> None:
    """Shown first and asked; one that is named is told at once; both languages or none."""
    words = ("--text-zh", "今晚维护", "--text-en", "Maintenance tonight")
    assert home("account", "notify", *words).code == 2
    assert home("account", "notify", "--site", "rehearsal", *words).code == 2
    assert home("account", "notify", "--site", "rehearsal", *words, "--max", "2", "--yes").code == 2
    assert home("account", "notify", "--site", "rehearsal", "--text-en", "only", "--yes").code == 2
    rehearsed = home("account", "notify", "--site", "rehearsal", *words, "--dry-run", "--json").json
    assert [one["would"] for one in rehearsed] == ["notify"] * 3
    done = home("account", "notify", "--site", "rehearsal", *words, "--yes", "--json").json
    assert [one["ok"] for one in done] == [True] * 3
    told = home("outbox", "list", "--type", "account.notice", "--json").json
    assert len([one for one in told if one["channel"] == "callback"]) == 6
