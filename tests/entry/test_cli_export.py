"""`tenure account export`: a whole file or none, and a row in the journal that says who took it and why."""

import tarfile
from pathlib import Path

import pytest

from tests.entry.cli_home import Home, made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return made(tmp_path)


@pytest.fixture
def fenced(home: Home) -> str:
    """An account under an operator's fence."""
    account = home.active()
    assert home("account", "fence", account).code == 0
    return account


def actions(home: Home, account: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = home("account", "show", account, "--history", "--json").json["history"]
    return [row for row in found if str(row["action"]).startswith("account.export")]


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz"])
def test_a_tar_is_written(home: Home, fenced: str, tmp_path: Path, name: str) -> None:
    """Compressed when its name says so; readable by nobody else."""
    said = home("account", "export", fenced, "--to", str(tmp_path / name), "--why", "the key was lost", "--json")
    assert said.code == 0, said.err
    with tarfile.open(tmp_path / name) as tar:
        assert tar.getnames() == [f"{fenced}/home/data"]
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    begun, done = actions(home, fenced)
    assert (begun["action"], done["action"]) == ("account.export_begun", "account.exported")
    assert begun["why"] == done["why"] == "the key was lost"
    assert done["facts"] == {"bytes": said.json["bytes"], "sha256": said.json["sha256"]}


def test_a_file_that_is_there_is_kept(home: Home, fenced: str, tmp_path: Path) -> None:
    """Nothing is overwritten, and nothing is taken."""
    (tmp_path / "x.tar").write_text("mine")
    said = home("account", "export", fenced, "--to", str(tmp_path / "x.tar"))
    assert said.code == 1
    assert (tmp_path / "x.tar").read_text() == "mine"
    assert actions(home, fenced) == []


def test_half_a_file_is_none(home: Home, fenced: str, tmp_path: Path) -> None:
    """What breaks off leaves no file, and stands in the journal as begun."""
    said = home("account", "export", fenced, "--to", str(tmp_path / "x.tar"), "--include", "nothing")
    assert said.code == 1
    assert "has no 'nothing'" in said.err
    assert sorted(one.name for one in tmp_path.glob("x.tar*")) == []
    assert [row["action"] for row in actions(home, fenced)] == ["account.export_begun"]


def test_an_account_in_use_is_refused(home: Home, tmp_path: Path) -> None:
    """Its holder has logins; an operator fences first."""
    account = home.active()
    said = home("account", "export", account, "--to", str(tmp_path / "x.tar"))
    assert (said.code, "in use" in said.err) == (1, True)
    assert actions(home, account) == []


def test_stdout_is_for_the_tar_alone(home: Home, fenced: str) -> None:
    """No JSON beside it."""
    assert home("account", "export", fenced, "--to", "-", "--json").code == 2
