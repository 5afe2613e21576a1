"""`tenure account` and `hold`: looking at accounts and acting on one or many."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer

from orchestrator.app import App
from orchestrator.entry.cli import acting
from orchestrator.entry.cli.acting import How
from orchestrator.entry.cli.chosen import Choice
from orchestrator.entry.cli.shown import STUCK_COLUMNS
from orchestrator.flows.context import Context
from orchestrator.lifecycle.account import Account
from orchestrator.lifecycle.due import Owed
from orchestrator.store import accounts
from orchestrator.store.accounts import Stuck
from providers.memory.world import Keeper
from providers.protocol import TryLater
from tests.entry.cli_home import Home, made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One home for all tests of this module; each makes accounts of its own."""
    return made(tmp_path_factory.mktemp("tenure"))


def shown(home: Home, account: str) -> dict[str, object]:
    found: dict[str, object] = home("account", "show", account, "--json").json
    return found


def civil(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S+08:00}"


def mark_stuck(home: Home, account: str) -> None:
    """As a worker does that cannot go on."""
    with App.open(home.folder) as app, app.ctx.store.write() as tx:
        now = app.ctx.clock()
        claimed = accounts.claim_one(tx, account, now, "w-test", timedelta(seconds=5))
        stuck = Stuck("fence", "site rehearsal: does not answer", now, 3, "operator", "look at the host")
        accounts.release(tx, claimed, retry_at=now + timedelta(hours=1), stuck=stuck)


def test_a_usable_account_is_listed_with_its_end(home: Home) -> None:
    """Times are civil, with their offset."""
    account = home.active()
    found = {one["id"]: one for one in home("account", "list", "--json").json}[account]
    assert found["state"] == "ACTIVE"
    assert found["ends_at"].endswith("+08:00")


def test_accounts_are_found_by_their_end(home: Home) -> None:
    """An hour's account ends before tomorrow and not before the next minute."""
    account = home.active()
    ids = [one["id"] for one in home("account", "list", "--ending-before", "+1d", "--json").json]
    assert account in ids
    assert home("account", "list", "--ending-before", "+1m", "--json").json == []


def test_a_list_that_is_cut_says_so(home: Home) -> None:
    """On stderr, and how many there are; the JSON is as ever."""
    for _ in range(3):
        home.active()
    there = len(home("account", "list", "--json").json)
    said = home("account", "list", "--limit", "2", "--json")
    assert (len(said.json), f"more: {there} accounts fit" in said.err) == (2, True)
    assert home("account", "list", "--limit", str(there)).err == ""


def test_an_account_that_is_not_there_is_said_so(home: Home) -> None:
    """One line, exit code 1."""
    said = home("account", "show", "azzzzzzzzz")
    assert (said.code, len(said.err.splitlines())) == (1, 1)


def test_one_named_account_is_extended_without_asking(home: Home) -> None:
    """Its end moves by exactly as much."""
    account = home.active()
    before = datetime.fromisoformat(str(shown(home, account)["ends_at"]))
    assert home("account", "extend", account, "--by", "12h").code == 0
    assert datetime.fromisoformat(str(shown(home, account)["ends_at"])) - before == timedelta(hours=12)


def test_many_accounts_are_shown_and_asked_about(home: Home) -> None:
    """Without a yes none of them changes."""
    account = home.active()
    before = shown(home, account)["ends_at"]
    said = home("account", "extend", "--site", "rehearsal", "--by", "1h")
    assert (said.code, account in said.err) == (2, True)
    assert shown(home, account)["ends_at"] == before


def test_no_more_than_max_are_touched(home: Home) -> None:
    """Too wide a filter is refused as a whole."""
    home.active()
    home.active()
    said = home("account", "extend", "--site", "rehearsal", "--by", "1h", "--max", "1", "--yes")
    assert (said.code, "--max" in said.err) == (2, True)


def test_everything_is_never_meant_by_omission(home: Home) -> None:
    """A command without names and filter touches nothing."""
    assert home("account", "fence", "--yes").code == 2


def test_a_dry_run_touches_nothing(home: Home) -> None:
    """It says who would be touched."""
    account = home.active()
    said = home("account", "fence", account, "--dry-run", "--json")
    assert said.json == [{"account": account, "would": "fence"}]
    assert shown(home, account)["state"] == "ACTIVE"


def test_a_rehearsed_extension_shows_both_ends(home: Home) -> None:
    """The list is the result, so it is on stdout."""
    account = home.active()
    before = datetime.fromisoformat(str(shown(home, account)["ends_at"]))
    [one] = home("account", "extend", account, "--by", "12h", "--dry-run", "--json").json
    assert (one["would"], one["new_ends_at"]) == ("extend", (before + timedelta(hours=12)).isoformat())
    assert one["ends_at"] == before.isoformat()
    said = home("account", "extend", account, "--by", "12h", "--dry-run")
    ends = [civil(before), civil(before + timedelta(hours=12))]
    assert f"{ends[0]} -> {ends[1]}" in said.out
    assert account not in said.err


def test_a_reclaim_shows_what_is_lost(home: Home) -> None:
    """As much as the site says, and by what it is held; also before the question."""
    account = home.active()
    with Keeper(home.folder.parent / "world").held() as world:
        world.tenancies[account].stored = 3 << 20
    home("hold", account)
    [one] = home("account", "reclaim", account, "--dry-run", "--json").json
    assert one == {"account": account, "would": "reclaim", "stored": 3 << 20, "held_by": [account]}
    assert "everything in it is deleted: 3.0MiB stored" in home("account", "reclaim", account).err
    home("hold", account, "--off")


def test_fencing_again_by_filter_says_that_all_are_fenced(home: Home) -> None:
    """Not that nothing fits."""
    home.active()
    home("account", "fence", "--site", "rehearsal", "--yes")
    said = home("account", "fence", "--site", "rehearsal", "--yes")
    assert (said.code, "nothing to do" in said.out, "fenced already" in said.out) == (0, True, True)


def test_an_operators_fence_can_be_lifted(home: Home) -> None:
    """ACTIVE, FENCED and ACTIVE again, with the same end."""
    account = home.active()
    end = shown(home, account)["ends_at"]
    assert home("account", "fence", account, "--why", "reported").code == 0
    assert shown(home, account)["fenced_by"] == "operator"
    assert home("account", "unfence", account).code == 0
    assert (shown(home, account)["state"], shown(home, account)["ends_at"]) == ("ACTIVE", end)


def test_one_that_cannot_be_done_fails_alone(home: Home) -> None:
    """The others are done, and the exit code is 1."""
    good, bad = home.active(), home.redeemed()
    said = home("account", "fence", good, bad, "--yes", "--json")
    assert said.code == 1
    assert {one["account"]: one["ok"] for one in said.json} == {good: True, bad: False}
    home.work(Owed.PROVISION)


def test_taking_back_asks_even_for_one(home: Home) -> None:
    """It deletes; a named account is no reason not to ask."""
    account = home.active()
    assert home("account", "reclaim", account).code == 2
    assert home("account", "reclaim", account, "--yes").code == 0
    home.work(Owed.FENCE)
    home.work(Owed.RECLAIM)
    assert shown(home, account)["state"] == "RECLAIMED"


def test_a_held_account_is_not_taken_back(home: Home) -> None:
    """And goes when it is let go."""
    account = home.active()
    home("hold", account)
    home("account", "reclaim", account, "--yes")
    home.work(Owed.FENCE)
    home.work(Owed.RECLAIM)
    assert shown(home, account)["state"] == "FENCED"
    home("hold", account, "--off")
    home.work(Owed.RECLAIM)
    assert shown(home, account)["state"] == "RECLAIMED"


def test_letting_an_account_go_at_a_held_site_says_that_it_is_held_all_the_same(home: Home) -> None:
    """Of two holds one is left."""
    account = home.active()
    home("hold", "rehearsal")
    home("hold", account)
    try:
        said = home("hold", account, "--off")
        assert said.code == 0
        assert f"held all the same: {account}; held by rehearsal; to let go: tenure hold rehearsal --off" in said.err
    finally:
        assert home("hold", "rehearsal", "--off", "--yes").err == ""


def test_letting_everything_go_leaves_a_sites_own_hold(home: Home) -> None:
    """A colleague's hold of a site is not lifted in passing, and what was not held is not said to go on."""
    account = home.active()
    home("hold", "rehearsal", "--why", "data is being copied")
    home("hold", "all")
    try:
        assert "to let go: tenure hold rehearsal --off" in home("hold", "all", "--off", "--yes").err
        home("account", "reclaim", account, "--yes")
        home.work(Owed.FENCE)
        home.work(Owed.RECLAIM)
        assert shown(home, account)["state"] == "FENCED"
        again = home("hold", "all", "--off", "--yes")
        assert "was not held by this hold" in again.out
        assert not home("hold", "all", "--off", "--yes", "--json").json["before"]
    finally:
        home("hold", "rehearsal", "--off", "--yes")


def test_a_reclaim_says_which_hold_it_waits_for(home: Home) -> None:
    """Not merely that there may be one."""
    account = home.active()
    home("hold", account)
    try:
        said = home("account", "reclaim", account, "--yes")
        assert f"tenure hold {account} --off" in said.err
    finally:
        home("hold", account, "--off")


def test_an_error_has_civil_time(home: Home) -> None:
    """As everything that people read."""
    said = home("account", "extend", home.active(), "--to", "2026-01-31 18:00")
    assert (said.code, "2026-01-31 18:00:00+08:00 is not an end" in said.err) == (1, True)


def test_history_has_civil_time(home: Home) -> None:
    """In the facts, too."""
    said = home("account", "show", home.active(), "--history").out
    assert "ends_at=" in said
    assert "+00:00" not in said


@pytest.mark.parametrize("command", [("usage", "show"), ("bill", "preview"), ("contract", "draft")])
def test_an_account_that_is_not_there_is_told_with_the_list(home: Home, command: tuple[str, ...]) -> None:
    """Whatever was asked about it."""
    more = {"bill": ("--month", "2026-11"), "contract": ("--class", "A", "--until", "+90d")}.get(command[0], ())
    assert "`tenure account list --all` shows those there are" in home(*command, "a222222222", *more).err


def test_each_failure_of_many_names_its_account(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the site's own words do not."""
    def unreachable(ctx: Context, id: str) -> Account:
        raise TryLater("ssh tenure@edge-1:22: cannot connect")

    ids = [home.active(), home.active()]
    with App.open(home.folder) as app, pytest.raises(typer.Exit):
        acting.run(app.ctx, "fence", Choice(ids), How(most=9, yes=True, dry_run=False, json=False), unreachable)
    said = capsys.readouterr().err
    assert [f"fence {id}: ssh tenure@edge-1:22: cannot connect" in said for id in ids] == [True, True]


def test_a_contract_without_prices_says_to_apply_them(home: Home) -> None:
    """There is none to choose from."""
    said = home("contract", "draft", home.active(), "--class", "A", "--until", "+90d")
    assert "`tenure apply -f` one first" in said.err


def test_a_hold_wants_something_that_exists(home: Home) -> None:
    """Neither an account nor a site: nothing is held."""
    assert home("hold", "nobody").code == 1


def test_what_is_stuck_is_exit_code_3(home: Home) -> None:
    """In the list of stuck accounts and at the account itself, with what to do."""
    account = home.active()
    mark_stuck(home, account)
    listed = home("account", "list", "--stuck", "--json")
    said = home("account", "show", account)
    assert (listed.code, [one["id"] for one in listed.json]) == (3, [account])
    assert (said.code, "look at the host" in said.out) == (3, True)
    home("account", "fence", account)


def test_the_list_of_what_is_stuck_says_what_to_do(home: Home) -> None:
    """Whoever is woken reads what failed, how often, since when, who is next and what to do."""
    account = home.active()
    mark_stuck(home, account)
    heads, told = home("account", "list", "--stuck").out.splitlines()
    assert heads.split("\t") == STUCK_COLUMNS
    assert told.startswith(f"{account}\tACTIVE\trehearsal\t")
    assert told.endswith("\toperator\tlook at the host")
    home("account", "fence", account)


def test_accounts_of_a_site_that_is_not_there_are_no_empty_list(home: Home) -> None:
    """A mistyped name must not look like a quiet night."""
    assert home("account", "list", "--site", "rehersal").code == 1


def test_nothing_stuck_is_exit_code_0(tmp_path: Path) -> None:
    """And an empty list for programs."""
    said = made(tmp_path)("account", "list", "--stuck", "--json")
    assert (said.code, said.json) == (0, [])


def test_the_claim_link_is_always_the_same(home: Home) -> None:
    """It is a keyed hash; asking again tells nothing new, and both are journalled."""
    account = home.active()
    assert home("account", "claim-link", account).out == home("account", "claim-link", account).out
    said = home("account", "show", account, "--history", "--json").json
    assert [one["action"] for one in said["history"]].count("claim.link_shown") == 2


def test_holders_are_shown_only_when_asked_and_can_be_erased(home: Home) -> None:
    """Personal data is in no list; after the erasure it is nowhere."""
    account = home.active()
    assert "某某大学" not in home("account", "show", account).out
    assert home("account", "show", account, "--holder", "--json").json["held_by"]["name"] == "某某大学"
    assert home("holder", "erase", "portal", "lab-7", "--yes").code == 0
    assert home("account", "show", account, "--holder", "--json").json["held_by"] is None
