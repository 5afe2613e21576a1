"""An operator's copy of an ended account's files, from a real site: whole, harmless, and in nobody's way."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from providers.protocol import Refused, Site
from providers.registry import connect
from tests.lab.accounts import Tenant, clean
from tests.lab.client import Client
from tests.lab.independent import listing
from tests.lab.lab import Lab
from tests.lab.program import described
from tests.lab.shell import until
from tests.providers.keys import make_key
from tests.providers.rescues import Session, ended, sftp


@pytest.fixture(scope="module")
def site(lab: Lab) -> Iterator[Site]:
    """The lab as Tenure reaches it, with the operator's key that the lab itself has put there."""
    secrets = {"operator_key": lab.place.path("keys/operator").read_text(), "ca_key": make_key().private}
    with closing(connect("linux", lab.place.name, described(lab.place), secrets)) as made:
        yield made


@pytest.fixture(scope="module")
def over(lab: Lab, lab_client: Client) -> Iterator[Tenant]:
    with ended(lab, lab_client) as tenant:
        # more than the connection holds on its way, so that an export lasts until it is read
        (tenant.folder / "home/more").write_bytes(b"x" * (16 << 20))
        yield tenant


def exported(site: Site, tenant: Tenant, *include: str) -> bytes:
    pieces: list[bytes] = []
    assert site.export(tenant.id, include, pieces.append) == sum(map(len, pieces))
    return b"".join(pieces)


def members(packed: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {one.name: one for one in tar}


def test_everything_is_in_it(site: Site, over: Tenant) -> None:
    """Home and temporary folders, private files, links as links, a pipe as a pipe; nobody owns it."""
    packed = exported(site, over)
    found = members(packed)
    home = f"{over.id}/home"
    assert found[f"{home}/outside"].issym()
    assert found[f"{home}/pipe"].isfifo()
    assert f"{over.id}/tmp/temporary" in found
    assert {found[f"{home}/hard"].islnk(), found[f"{home}/results/data"].islnk()} == {True, False}
    assert {(one.uid, one.gid, one.uname, one.gname) for one in found.values()} == {(0, 0, "", "")}
    assert not [one for one in found.values() if one.mode & 0o6000]
    assert not [name for name in found if name.startswith("/") or ".." in name.split("/")]
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert [read(tar, f"{home}/{name}") for name in ("results/deep/secret", "large")] == [
            b"mine\n", (over.folder / "home/large").read_bytes()]


def test_a_second_one_is_the_same(site: Site, over: Tenant) -> None:
    """Begun again after an interruption, it has the SHA-256 that stands in the journal of the first."""
    assert hashlib.sha256(exported(site, over)).digest() == hashlib.sha256(exported(site, over)).digest()


def read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_a_part_of_it_is_exported(site: Site, over: Tenant) -> None:
    """Only what was named, and what is below."""
    assert sorted(members(exported(site, over, "results", "large"))) == sorted(
        f"{over.id}/home/{name}" for name in ("large", "results", "results/data", "results/deep",
                                              "results/deep/secret"))


@pytest.mark.parametrize("path", ["/etc/shadow", "../../etc", "results/../../..", "", "x\0y", "nothing"])
def test_a_path_that_leads_elsewhere_is_refused(site: Site, over: Tenant, path: str) -> None:
    """And so is one that is not there."""
    with pytest.raises(Refused):
        exported(site, over, path)


@pytest.mark.parametrize("path", ["top/etc/shadow", "top/root", "top/proc/1/environ", "--checkpoint-action=exec=sh"])
def test_a_link_leads_nowhere(site: Site, over: Tenant, path: str) -> None:
    """tar runs where the host's files are not; what looks like an option is a name."""
    with pytest.raises(Refused):
        exported(site, over, path)


def test_holes_stay_holes(site: Site, lab: Lab, lab_client: Client) -> None:
    """A file that claims to be huge makes no huge tar."""
    with ended(lab, lab_client, fetch_for=0) as one:
        with open(one.folder / "home/huge", "wb") as file:
            file.truncate(1 << 40)
        packed = exported(site, one)
        assert len(packed) < 1 << 23
        assert members(packed)[f"{one.id}/home/huge"].size == 1 << 40


def test_it_goes_on_beside_who_fetches_and_a_fence(site: Site, over: Tenant, tmp_path: Path) -> None:
    """An export, a session and the same fence again leave each other alone."""
    seen: list[int] = []

    def put(piece: bytes) -> None:
        if not seen:
            over.generation += 1
            (row,) = over.client.call("fence", batch=[[over.id, over.generation]], by="end")
            assert "error" not in row
            assert sftp(over, f"get results/data {tmp_path}/data").returncode == 0
        seen.append(len(piece))

    with Session(over) as session:
        assert site.export(over.id, [], put) == sum(seen)
        assert session.alive()


def test_one_at_a_time(site: Site, over: Tenant) -> None:
    """A second export of the same account is refused while the first runs."""
    tries = iter(range(1))

    def put(piece: bytes) -> None:
        for _ in tries:
            with pytest.raises(Refused, match="already"):
                site.export(over.id, [], lambda more: None)

    assert site.export(over.id, [], put) > 0


def test_a_reclaim_goes_first(site: Site, lab: Lab, lab_client: Client) -> None:
    """The export ends with an error, so that nobody takes a part for the whole, and nothing is left."""
    with ended(lab, lab_client, fetch_for=0) as one:
        begun: list[Any] = []

        def put(piece: bytes) -> None:
            if not begun:
                begun.append(piece)
                one.generation += 1
                clean(one.client, (one.id, one.generation))

        (one.folder / "home/more").write_bytes(b"x" * (16 << 20))
        with pytest.raises(Refused, match="not whole"):
            site.export(one.id, [], put)
        assert [line for line in listing(one.place, one.id, one.uid) if str(one.place.path("keys")) not in line] == []


def test_who_hangs_up_leaves_nothing_running(site: Site, lab: Lab, lab_client: Client) -> None:
    """The operator's command is killed: tar ends, and an export begins anew."""
    with ended(lab, lab_client, fetch_for=0) as one:
        (one.folder / "home/more").write_bytes(b"x" * (16 << 20))

        def put(piece: bytes) -> None:
            raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            site.export(one.id, [], put)
        until(lambda: not running(one), "tar to end")
        assert exported(site, one, "results")


def running(tenant: Tenant) -> list[str]:
    rows = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [row for row in rows if row.startswith("tar --create") and row.endswith(f" {tenant.id}")]
