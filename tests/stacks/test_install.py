"""How Pulumi's CLI is found, and what is said where it is not."""

from datetime import timedelta
from pathlib import Path

import pytest

from stacks import cli, install
from stacks.errors import CliMissing


def script(path: Path, says: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH and nothing in the cache."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_exactly_our_version_is_taken_from_path(empty: Path) -> None:
    """What PATH has is used as it is."""
    there = script(empty / "path" / "pulumi", f"v{cli.VERSION}")
    assert cli.find() == there


def test_another_version_on_path_is_passed_over(empty: Path) -> None:
    """A CLI of another release does not speak our SDK's protocol; the cache's is taken."""
    script(empty / "path" / "pulumi", "v3.260.0")
    cached = script(empty / "cache" / "tenure" / "pulumi" / "bin" / "pulumi", f"v{cli.VERSION}")
    assert cli.find() == cached


def test_a_cli_that_does_not_run_is_passed_over(empty: Path) -> None:
    """It may say the right thing; it must also end well."""
    script(empty / "path" / "pulumi", f"v{cli.VERSION}", code=1)
    assert cli.find() is None


def test_no_cli_says_how_to_get_one(empty: Path) -> None:
    """The error holds the command that brings it."""
    with pytest.raises(CliMissing, match="python -m stacks.install"):
        cli.required()


def test_the_sdk_is_of_the_same_version() -> None:
    """One release of Pulumi is named in three places; they agree."""
    assert f'"pulumi=={cli.VERSION}"' in (install.PINNED.parent.parent / "pyproject.toml").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{cli.VERSION}" in (install.PINNED / "go.mod").read_text()


@pytest.mark.parametrize(
    ("seen", "enough"), [("1.26.8", True), ("1.26", True), ("2.0", True), ("1.25.9", False), ("", False)]
)
def test_go_must_be_new_enough(seen: str, enough: bool) -> None:
    """The least is what go.mod names."""
    assert install.at_least(seen, "1.26") is enough


def test_a_step_that_fails_ends_with_its_last_words(empty: Path) -> None:
    """Enough to see why, and where the rest is."""
    cli.cache().mkdir(parents=True)
    with pytest.raises(install.Failed, match=r"failed \(.*exit 3\): no space left"):
        install.run([str(script(empty / "step", "no space left", code=3))], "building", timedelta(minutes=1))
