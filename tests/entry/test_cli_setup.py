"""`tenure init`, `apply`, `site`: a home, and what its files say."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.entry.cli_home import HOLDER, OFFER, Home, made

LINUX = "sites:\n  - name: edge-1\n    kind: linux\n    address: edge-1.example.net:2222\n    tier: hub\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILWZCyMCiqxI5qZSKcXMHy9jtGZSHHVL9MFI4vXrDSg"
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_init_makes_a_home_that_is_closed_to_others(tmp_path: Path) -> None:
    """Folder, settings and keyring belong to one user alone."""
    home = Home(tmp_path / "deep" / "home")
    assert home("init").code == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in
             (home.folder, home.folder / "tenure.yaml", home.folder / "keyring.json")}
    assert modes == {"home": 0o700, "tenure.yaml": 0o600, "keyring.json": 0o600}


def test_init_closes_a_folder_that_was_made_for_it(tmp_path: Path) -> None:
    """As an administrator makes one, before handing it over."""
    home = Home(tmp_path / "home")
    home.folder.mkdir(mode=0o755)
    assert home("init").code == 0
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_init_leaves_a_folder_with_other_things_as_it_is(tmp_path: Path) -> None:
    """And says what to do."""
    home = Home(tmp_path / "home")
    home.folder.mkdir(mode=0o755)
    home.write("home/other", "")
    said = home("init")
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o755
    assert f"chmod 700 {home.folder}" in said.err


def test_init_again_changes_nothing(tmp_path: Path) -> None:
    """A keyring that is there is never made anew."""
    home = made(tmp_path)
    before = (home.folder / "keyring.json").read_bytes()
    said = home("init", "--json")
    assert (said.code, said.json["new"]) == (0, False)
    assert (home.folder / "keyring.json").read_bytes() == before


@pytest.mark.parametrize("site", ["site-aws.yaml", "site-linux.yaml", "site-memory.yaml"])
def test_the_examples_apply(tmp_path: Path, site: str) -> None:
    """What the repository shows works as it stands."""
    home = Home(tmp_path / "home")
    home("init")
    said = home("apply", "-f", str(EXAMPLES / "offers.yaml"), "-f", str(EXAMPLES / site))
    assert (said.code, said.err) == (0, "")


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what would be new, and the next one says the same."""
    home = made(tmp_path)
    file = home.write("more.yaml", OFFER.format(name="more", duration="1h", grace="1h"))
    first, second = (home("apply", "-f", file, "--dry-run", "--json").json for _ in range(2))
    assert [(one["name"], one["action"]) for one in first] == [("more", "add")]
    assert first == second


def test_applying_again_changes_nothing(tmp_path: Path) -> None:
    """Everything is as it was, keys included."""
    home = made(tmp_path)
    said = home("apply", "-f", str(tmp_path / "offers.yaml"), "-f", str(tmp_path / "site.yaml"), "--json")
    assert {one["action"] for one in said.json} == {"same"}


def test_a_change_shows_before_and_after(tmp_path: Path) -> None:
    """Only the field that changed is told."""
    home = made(tmp_path)
    file = home.write("offers.yaml", OFFER.format(name="trial", duration="2h", grace="1h"))
    said = home("apply", "-f", file, "--json").json
    assert [(one["field"], one["before"], one["after"]) for one in said[0]["fields"]] == [("duration", 3600, 7200)]


def test_the_keys_of_a_new_host_are_made_and_sealed(tmp_path: Path) -> None:
    """Their public parts are shown; the private ones are not in the database in the clear."""
    home = made(tmp_path)
    said = home("apply", "-f", home.write("linux.yaml", LINUX))
    assert said.out.count("ssh-ed25519 ") == 2
    with sqlite3.connect(home.folder / "tenure.db") as db:
        sealed = db.execute("SELECT secrets FROM sites WHERE name = 'edge-1'").fetchone()[0]
    db.close()
    assert b"PRIVATE KEY" not in sealed


def test_a_pinned_host_key_survives_a_file_without_one(tmp_path: Path) -> None:
    """Applying the file again must not unpin what an operator confirmed."""
    home = made(tmp_path)
    home("apply", "-f", home.write("linux.yaml", f"{LINUX}    host_key: {KEY}\n"))
    said = home("apply", "-f", home.write("linux.yaml", LINUX), "--json").json
    assert {one["action"] for one in said} == {"same"}


def test_another_address_drops_the_pinned_key(tmp_path: Path) -> None:
    """The key was the other host's."""
    home = made(tmp_path)
    home("apply", "-f", home.write("linux.yaml", f"{LINUX}    host_key: {KEY}\n"))
    said = home("apply", "-f", home.write("linux.yaml", LINUX.replace("2222", "2223")), "--json").json
    assert {one["field"] for one in said[0]["fields"]} == {"settings.host_key", "settings.port"}


@pytest.mark.parametrize(("text", "line"), [
    (LINUX + "    places: [{offer: nix, count: 1}]\n",
     "linux.yaml:6: sites[0].places[0].offer: there is no offer 'nix': apply it before, or in the same files"),
    (LINUX + "    settings: {pool: relative}\n",
     "linux.yaml:2: sites[0].settings: site edge-1: pool: must be an absolute"),
    (LINUX + "    settings: {colour: red}\n", "linux.yaml:2: sites[0].settings: site edge-1: colour: is not a setting"),
    (LINUX.replace("edge-1\n", "rehearsal\n", 1),
     "linux.yaml:2: sites[0].kind: the site is of kind memory and stays so"),
])
def test_what_does_not_fit_names_file_line_and_field(tmp_path: Path, text: str, line: str) -> None:
    """What only the database or the site's kind knows is told with its place, too; and nothing is applied."""
    home = made(tmp_path)
    said = home("apply", "-f", home.write("linux.yaml", text))
    assert (said.code, said.out) == (1, "")
    assert line in said.err
    assert "edge-1" not in home("site", "list").out


def test_yaml_comes_from_stdin_too(tmp_path: Path) -> None:
    """`-f -` reads what a program writes, and messages say so."""
    said = made(tmp_path)("apply", "-f", "-", stdin="offers: 3\n")
    assert said.err.startswith("stdin:1: offers: expected a list")


def test_a_drained_site_gets_no_account(tmp_path: Path) -> None:
    """A redemption is refused for lack of a place, and the voucher stays good."""
    home = made(tmp_path)
    home("site", "drain", "rehearsal")
    code = home.voucher()
    words = ("redeem", "--sender", "portal", *HOLDER, code)
    assert home(*words).code == 1
    home("site", "undrain", "rehearsal")
    assert home(*words).code == 0


def test_a_host_whose_key_is_not_pinned_gets_no_account(tmp_path: Path) -> None:
    """It cannot be reached: the redemption is refused, and the voucher stays good for a site that can."""
    home = made(tmp_path)
    home("apply", "-f", home.write("linux.yaml", LINUX + "    places: [{offer: trial, count: 1}]\n"))
    home("site", "drain", "rehearsal")
    assert home("redeem", "--sender", "portal", *HOLDER, home.voucher()).code == 1


def test_a_site_in_memory_is_prepared_and_checked(tmp_path: Path) -> None:
    """Both commands answer for it as for a host."""
    home = made(tmp_path)
    assert home("site", "prepare", "rehearsal").code == 0
    assert all(one["ok"] for one in home("site", "check", "--json").json)


def test_no_host_key_is_pinned_without_a_person(tmp_path: Path) -> None:
    """--yes cannot vouch for a key that nobody compared."""
    home = made(tmp_path)
    home("apply", "-f", home.write("linux.yaml", LINUX))
    said = home("site", "prepare", "edge-1", "--yes")
    assert said.code == 1
    assert "--yes cannot vouch" in said.err


@pytest.mark.parametrize("url", ["nonsense", "mysql://db/x", "sqlite:////no/such/folder/x.db", "postgresql://127.0.0.1:1/x"])
def test_init_with_a_database_that_cannot_be_opened_leaves_no_settings(tmp_path: Path, url: str) -> None:
    """One line says why, and `init` with another database works afterwards."""
    home = Home(tmp_path / "home")
    said = home("init", "--database", url)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert home("init").code == 0


def test_a_database_password_is_not_repeated(tmp_path: Path) -> None:
    """Not in the message of a URL that cannot be used, nor in the answer of one that can."""
    home = Home(tmp_path / "home")
    home("init")
    (home.folder / "tenure.yaml").write_text("database: postgresql://tenure:hunter2@127.0.0.1:1/x\n")
    said = home("site", "list")
    assert said.code == 1
    assert "hunter2" not in said.err


def test_every_command_refuses_a_home_whose_database_is_gone(tmp_path: Path) -> None:
    """A failed mount is never "no accounts" and "all is well"; nothing is made in passing."""
    home = made(tmp_path)
    assert home("journal", "seal").code == 0
    for file in home.folder.glob("tenure.db*"):
        file.unlink()
    for words in (["account", "list"], ["top", "--once"], ["journal", "verify"], ["init"]):
        said = home(*words)
        assert (said.code, said.out) == (1, "")
        assert "tenure.db is missing or empty" in said.err
        assert "put it back from its backup" in said.err
    found = {one["subject"]: one for one in home("doctor", "--json").json}
    assert not found["database"]["ok"]
    assert "put it back from its backup" in found["database"]["remedy"]
    assert "keyring" not in found
    assert not list(home.folder.glob("tenure.db*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """Which and why, and doctor's first line too."""
    home = made(tmp_path)
    mounted = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'

    def read_only(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orchestrator.entry.cli.main", "--home", str(home.folder), *words]
        return subprocess.run(["unshare", "--mount", "sh", "-ec", mounted, "sh", str(home.folder), *command],
                              capture_output=True, text=True, timeout=60, check=False)

    said = read_only("account", "list")
    assert said.returncode == 1
    assert f"{home.folder} cannot be written: its file system is mounted read-only" in said.stderr
    found = {one["subject"]: one for one in json.loads(read_only("doctor", "--json").stdout)}
    assert not found["home"]["ok"]
    assert "cannot be written" in found["home"]["seen"]
