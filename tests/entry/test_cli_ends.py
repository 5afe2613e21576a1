"""`tenure reap`, `sweep`, `journal`, `certificate`: ends without a server, and the proof of them."""

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lifecycle.due import Owed
from stacks import cli
from tests.drive import until
from tests.entry.cli_home import Home, made

needs_pulumi = pytest.mark.skipif(cli.find() is None, reason=f"no Pulumi {cli.VERSION}: python -m stacks.install")


def reaped(home: Home, what: str) -> list[str]:
    """Reap until something of this kind was done."""
    def reap() -> list[str] | None:
        said = home("reap", "--json")
        assert said.code == 0, said.err
        return list(said.json[what]) or None

    return until(what, reap, within=60)


def test_a_rehearsal_tells_what_a_time_would_bring(tmp_path: Path) -> None:
    """Fenced at its end, deleted after grace, with what is stored; and nothing changes."""
    home = made(tmp_path)
    account = home.active()
    said = home("reap", "--dry-run", "--at", "+1d", "--json").json
    assert [(one["what"], one["account"]) for one in said["accounts"]] == [("fence", account), ("delete", account)]
    assert said["accounts"][1]["quota"] == 48 << 20
    assert home("account", "show", account, "--json").json["state"] == "ACTIVE"


def test_a_rehearsal_of_now_keeps_what_runs(tmp_path: Path) -> None:
    """The account's end is hours away."""
    home = made(tmp_path)
    home.active()
    assert [one["what"] for one in home("reap", "--dry-run", "--json").json["accounts"]] == ["keep"]


def test_another_time_is_only_ever_rehearsed(tmp_path: Path) -> None:
    """`--at` alone ends nothing before its time."""
    home = made(tmp_path)
    account = home.active()
    said = home("reap", "--at", "+30d", "--json")
    assert (said.code, [one["what"] for one in said.json["accounts"]]) == (0, ["fence", "delete"])
    assert home("account", "show", account, "--json").json["state"] == "ACTIVE"


def test_reaping_with_nothing_due_does_nothing(tmp_path: Path) -> None:
    """And says so to programs."""
    said = made(tmp_path)("reap", "--json")
    assert (said.code, said.json) == (0, {"warned": [], "fenced": [], "deleted": [], "stuck": [], "left": []})


def test_a_lease_of_a_second_is_fenced_without_a_worker(tmp_path: Path) -> None:
    """The scheduled job alone ends it."""
    home = made(tmp_path, duration="1s", grace="1h")
    account = home.active()
    assert reaped(home, "fenced") == [account]
    assert home("account", "show", account, "--json").json["state"] == "FENCED"


@needs_pulumi
def test_what_is_past_grace_is_reclaimed_with_a_certificate(tmp_path: Path) -> None:
    """Fenced and deleted by the scheduled job, and the signature is right."""
    home = made(tmp_path, duration="1s", grace="0s")
    account = home.active()
    assert reaped(home, "deleted") == [account]
    assert home("certificate", "verify", account, "--json").json["ok"]


def test_there_is_no_certificate_before_the_end(tmp_path: Path) -> None:
    """The message says what state the account is in."""
    home = made(tmp_path)
    said = home("certificate", "show", home.active())
    assert (said.code, "ACTIVE" in said.err) == (1, True)


def test_a_certificate_goes_to_files_exactly_as_it_was_signed(tmp_path: Path) -> None:
    """Document, signature and key, for openssl."""
    home = made(tmp_path)
    account = home.active()
    home("account", "reclaim", account, "--yes")
    home.work(Owed.FENCE)
    home.work(Owed.RECLAIM)
    said = home("certificate", "show", account, "--out", str(tmp_path / "proof"), "--json").json
    files = {file.name: file.read_bytes() for file in (tmp_path / "proof").iterdir()}
    assert files["certificate.json"].decode() == said["document"]
    assert json.loads(files["certificate.json"])["account"] == account
    assert (len(files["certificate.sig"]), b"PUBLIC KEY" in files["key.pem"]) == (64, True)


def stray(world: Path, account: str) -> None:
    """Something at the site that nobody here knows."""
    state = Path(f"{world}.state")
    held: dict[str, Any] = json.loads(state.read_text())
    held["tenancies"][account] = {**next(iter(held["tenancies"].values())), "generation": 1}
    state.write_text(json.dumps(held))


def test_what_no_account_owns_is_found_and_removed_on_demand(tmp_path: Path) -> None:
    """First it is only listed, with exit code 1; removing it takes a yes."""
    home = made(tmp_path)
    own = home.active()
    stray(tmp_path / "world", "azzzzzzzzz")
    said = home("sweep", "rehearsal", "--json")
    assert (said.code, [one["account"] for one in said.json["found"]]) == (1, ["azzzzzzzzz"])
    assert home("sweep", "rehearsal", "--remove").code == 2
    assert home("sweep", "rehearsal", "--remove", "--yes").code == 0
    assert home("sweep", "rehearsal", "--json").json["found"] == []
    assert home("account", "show", own, "--json").json["state"] == "ACTIVE"


def test_an_untouched_journal_verifies(tmp_path: Path) -> None:
    """Sealed, then held against the checkpoint."""
    home = made(tmp_path)
    assert home("journal", "seal").code == 0
    assert home("journal", "verify", "--json").json["ok"]


def test_an_edited_journal_does_not_verify(tmp_path: Path) -> None:
    """The row is named, and the exit code is 1."""
    home = made(tmp_path)
    home("journal", "seal")
    with sqlite3.connect(home.folder / "tenure.db") as db:
        db.execute("UPDATE journal SET actor = 'cli:99' WHERE position = 1")
    db.close()
    said = home("journal", "verify", "--json")
    assert (said.code, said.json["ok"]) == (1, False)
    assert "row 1 " in said.json["problems"][0]


def test_a_journal_without_its_checkpoint_is_not_called_tampered_with(tmp_path: Path) -> None:
    """Still exit code 1: nothing outside vouches for it; and an edited row is one all the same."""
    home = made(tmp_path)
    home("journal", "seal")
    (home.folder / "journal.checkpoint").unlink()
    said = home("journal", "verify")
    assert (said.code, "cannot be compared: the checkpoint FILE is missing" in said.out) == (1, True)
    assert "NOT as they were" not in said.out
    with sqlite3.connect(home.folder / "tenure.db") as db:
        db.execute("UPDATE journal SET actor = 'cli:99' WHERE position = 1")
    db.close()
    assert "NOT as they were sealed" in home("journal", "verify").out


def test_the_journal_says_who_did_it_by_number(tmp_path: Path) -> None:
    """Names are personal data; the Unix user's number is not."""
    said = made(tmp_path)("journal", "list", "--json").json
    assert {one["actor"].partition(":")[0] for one in said} == {"cli"}
    assert datetime.fromisoformat(said[0]["at"]).utcoffset() is not None


def test_a_rehearsal_of_the_past_is_refused(tmp_path: Path) -> None:
    """What was due then is due now, and said by --dry-run."""
    said = made(tmp_path)("reap", "--at", "2026-01-01")
    assert (said.code, "is past" in said.err) == (2, True)
