"""What holds for every command: help with an example, exit codes, one line for an error, quick to start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from orchestrator.entry.cli.main import app, main
from tests.entry.cli_home import HOLDER, Home, made

HEAVY = ("pulumi", "boto3", "fastapi", "sqlalchemy", "paramiko", "alembic", "grpc", "uvicorn")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, (*path, name))
        else:
            yield (*path, name), one


ALL = dict(commands(get_command(app)))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_ends_with_an_example(words: tuple[str, ...]) -> None:
    """Each command shows how it is used, and by its own name."""
    assert ALL[words].help
    assert f"tenure {' '.join(words)}" in ALL[words].epilog


@pytest.mark.parametrize("words", [words for words in ALL if words not in {("serve",), ("worker",)}], ids=" ".join)
def test_programs_get_json(words: tuple[str, ...]) -> None:
    """Each command that answers something answers programs, too."""
    assert any("--json" in option.opts for option in ALL[words].params)


def test_help_loads_nothing_heavy() -> None:
    """`tenure --help` is quick because it imports no SDK, no database and no web framework."""
    asked = ("import sys; from orchestrator.entry.cli.main import main; main(['--help']); "
             f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)")
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr.strip() == "[]"


def test_redeeming_loads_no_web_framework_and_no_sdk(tmp_path: Path) -> None:
    """What a body may look like is checked without the doors: a loop over many codes starts as many times."""
    home = made(tmp_path)
    words = ["--home", str(home.folder), "redeem", "--sender", "portal", *HOLDER, home.voucher(), "--json"]
    asked = (f"import sys; from orchestrator.entry.cli.main import main; code = main({words!r}); "
             f"print(code, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)")
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr.strip() == "0 ['sqlalchemy']"


@pytest.mark.parametrize("words", [["nonsense"], ["account", "nonsense"], ["account", "show"], ["site", "list", "--x"],
                                   ["voucher", "issue", "--offer", "trial", "--valid-for", "1d", "-n", "0"]])
def test_a_wrong_command_line_is_2(tmp_path: Path, words: list[str]) -> None:
    """Usage errors have their own exit code, say one line and point to the help."""
    said = Home(tmp_path)(*words)
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    assert "--help" in said.err


def test_the_bare_command_is_answered_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    """And with nothing that looks like an error beside it."""
    code, said = main([]), capsys.readouterr()
    assert (code, "Usage: tenure" in said.out, said.err) == (2, True, "")


def test_a_folder_that_is_no_home_is_said_in_one_line(tmp_path: Path) -> None:
    """The message says what to do, and there is no traceback."""
    said = Home(tmp_path / "none")("account", "list")
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "tenure init" in said.err


def test_a_wrong_time_is_a_usage_error(tmp_path: Path) -> None:
    """What cannot be read as a time names what was given."""
    said = made(tmp_path)("account", "list", "--ending-before", "tomorrow")
    assert said.code == 2
    assert "'tomorrow'" in said.err


def test_a_keyring_of_another_home_fails_closed(tmp_path: Path) -> None:
    """A database is not opened with a key that it was not made with."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    home, other = made(tmp_path / "a"), made(tmp_path / "b")
    (home.folder / "keyring.json").write_bytes((other.folder / "keyring.json").read_bytes())
    said = home("sender", "list")
    assert (said.code, said.out) == (1, "")
    assert "key" in said.err


def test_doctor_finds_an_open_home(tmp_path: Path) -> None:
    """A home that others may look into is red, with what to do."""
    home = made(tmp_path)
    home.folder.chmod(0o755)
    said = home("doctor", "--json")
    found = {one["subject"]: one for one in said.json}
    assert said.code == 1
    assert (found["home"]["ok"], found["home"]["remedy"]) == (False, f"chmod 700 {home.folder}")
    assert found["keyring"]["ok"]
    assert found["site rehearsal: clock"]["ok"]
