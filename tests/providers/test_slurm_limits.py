"""What an account is to be in Slurm, and how its settings are read: no cluster needed."""

from pathlib import Path
from typing import Any

import pytest

from providers.host import prepare, settings, wire
from providers.host.agent import Agent
from providers.host.onsite import config, lease, site, slurm_end, slurm_limits
from providers.host.onsite.errors import Refused
from providers.host.onsite.spec import Spec
from providers.protocol import Fact, NeedsHuman, Rigid
from providers.slurm.containers import Containers
from providers.slurm.site import SECRETS, connect
from tests.providers import specs
from tests.providers.keys import make_key
from tests.providers.onsite_world import raw

SITE = config.Slurm(Path("/etc/slurm/slurm.conf"), Path("/run/munge"), "tenure", chips={"a100": "gpu", "ascend": "npu"})


def spec(**changes: Any) -> Spec:
    sizes = {"containers": 2, "cpu_milli": 1500, "memory": 512 << 20, "pids": 100, "storage": 1 << 30, "rate": 10**6}
    return Spec("aaaaaaaaaa", **{**sizes, "egress": 1 << 30, **changes})


def test_cores_are_whole() -> None:
    """Up, so that what was sold can be used."""
    assert slurm_limits.tres(SITE, spec())["cpu"] == 2


def test_accelerators_that_were_not_sold_are_none() -> None:
    """Each kind that the cluster has is named, or it would be without a limit."""
    sizes = slurm_limits.tres(SITE, spec(accelerators=(("a100", 3),)))
    assert (sizes["gres/gpu"], sizes["gres/npu"]) == (3, 0)


def test_an_accelerator_that_the_site_has_not_is_refused() -> None:
    """Named, before anything is made."""
    with pytest.raises(Refused, match="mlu370"):
        slurm_limits.tres(SITE, spec(accelerators=(("mlu370", 1),)))


@pytest.mark.parametrize("seen", ["mem=512M,cpu=2", "cpu=2,mem=0.5G", "mem=512,cpu=2"])
def test_sizes_compare_whatever_unit_slurm_shows(seen: str) -> None:
    """And in whatever order."""
    assert slurm_limits.read(seen) == slurm_limits.shown({"cpu": 2, "mem": 512})


@pytest.mark.parametrize("minutes", [1, 1025, 2049, 10**9])
def test_minutes_of_memory_can_be_read_back(minutes: int) -> None:
    """Slurm rounds 1024.5 G to 1.00T, and has no letter beyond P; what is odd in MiB it shows as it is."""
    given = slurm_limits.admitted(SITE, spec(), minutes)
    assert given["mem"] % 2 == 1
    assert slurm_limits.read(f"mem={given['mem']}M") == f"mem={given['mem']}"
    assert 0 <= given["mem"] - 512 * minutes <= 1


def test_minutes_are_those_of_the_lease() -> None:
    """From its start to its end, rounded up; for cores, memory and GRES."""
    held = slurm_limits.standing(lease.Lease(1_000_090, 1, "open", 90, 1_000_000), 1_000_010)
    assert held == slurm_limits.Standing(True, 2)
    minutes = slurm_limits.admitted(SITE, spec(accelerators=(("a100", 3),)), held.minutes)
    assert minutes == {"cpu": 4, "mem": 1025, "gres/gpu": 6, "gres/npu": 0}


@pytest.mark.parametrize("known", [
    None,
    lease.Lease(2e9, 1),
    lease.Lease(5.0, 1, "open", 5, 0.0),
    lease.Lease(2e9, 1, "open", 5, 0.0, lease.Fence(1.0, "operator")),
])
def test_nobody_submits_outside_of_an_open_lease(known: lease.Lease | None) -> None:
    """Without one, before it opens, past its end, and fenced."""
    assert not slurm_limits.standing(known, 10.0).submits


def test_the_cluster_s_section_is_read_strictly(tmp_path: Path) -> None:
    """An unknown key, a name that is none, a relative path."""
    good = {"conf": "/etc/slurm/slurm.conf", "munge": "/run/munge"}
    assert config.parse({**raw(tmp_path), "slurm": good}, tmp_path).slurm is not None
    bad: list[dict[str, Any]] = [{"nodes": 3}, {"licence": "a b"}, {"conf": "slurm.conf"}, {"chips": {"a": "gpu;"}}]
    for wrong in bad:
        with pytest.raises(ValueError, match="slurm|conf"):
            config.parse({**raw(tmp_path), "slurm": {**good, **wrong}}, tmp_path)


def test_jobs_need_no_containers(tmp_path: Path) -> None:
    """A login node without podman is fit; another host is not."""
    assert not {"podman", "runc", "conmon"} & site.programs(slurm=True).keys()
    assert {"podman", "runc", "conmon"} <= site.programs(slurm=False).keys()


@pytest.mark.parametrize("slurm", [True, False])
def test_what_is_checked_is_asked_for_beforehand(slurm: bool) -> None:
    """A host that was prepared lacks no program that a check finds missing."""
    described = {"slurm": {"licence": "tenure"}} if slurm else {}
    host = settings.parse("c1", {"address": "login", "host_key": make_key().public, **described})
    assert site.programs(slurm=slurm).items() <= prepare.needed(host).items()


def test_two_chips_of_one_gres_are_told_and_the_site_is_reached(tmp_path: Path) -> None:
    """Slurm counts them as one. What is there is fenced and reclaimed all the same, so the settings stand."""
    chips = {"a100": "gpu", "v100": "gpu", "ascend": "npu"}
    host = {"address": "login", "host_key": make_key().public, "slurm": {"licence": "tenure", "chips": chips}}
    connect("c1", host, {name: make_key().private for name in SECRETS}).close()
    described = {"conf": "/etc/slurm/slurm.conf", "munge": "/run/munge", "chips": chips}
    subject, ok, _, remedy = slurm_end.chips(config.parse({**raw(tmp_path), "slurm": described}, tmp_path))
    assert (wire.part(subject), ok) == ("containers", False)
    assert remedy.endswith(": a100, v100")


@pytest.mark.parametrize(("subject", "part"), [
    ("slurmdbd", "account"), ("slurmctld", "containers"), ("munge", "containers"), ("slurm.conf", "containers"),
    ("AccountingStorageEnforce", "containers"), ("AccountingStorageTRES", "containers"), ("GresTypes", "containers"),
    ("licence tenure", "containers"), ("program sacct", "containers"), ("program sacctmgr", "account"),
    ("reaper", "site"),
])
def test_what_a_cluster_lacks_is_told_of_the_part_that_needs_it(subject: str, part: str) -> None:
    """Not of the site as a whole: an operator sees what cannot be given."""
    assert wire.part(subject) == part


@pytest.mark.parametrize(("held", "cpu", "named"), [
    (2, 2000, set()), (2, 1500, set()), (2, 8000, {"cores"}), (8, 2000, {"cores"}), (0, 8000, set()),
])
def test_cores_that_are_set_aside_stay_as_many(held: int, cpu: int, named: set[str]) -> None:
    """Named beforehand, unless none are held: then another reservation may be made."""
    part = Containers(Agent(lambda: pytest.fail("asks the site"), "c1"), "c1")
    assert isinstance(part, Rigid)
    assert part.rigid({"cores": held}, specs.spec(cpu_milli=cpu)) == named


@pytest.mark.parametrize(("aside", "cpu", "named"), [
    (True, 2000, set()), (True, 8000, {"cores"}), (False, 8000, set()),
])
def test_cores_of_older_accounts_are_those_of_their_limit(aside: bool, cpu: int, named: set[str]) -> None:
    """Their facts do not say how many the reservation holds."""
    part = Containers(Agent(lambda: pytest.fail("asks the site"), "c1"), "c1")
    facts: dict[str, Fact] = {"set_aside": aside, "tres": "cpu=2,gres/gpu=8,mem=512"}
    assert part.rigid(facts, specs.spec(cpu_milli=cpu)) == named


def test_settings_name_the_field_that_is_wrong() -> None:
    """As the operator wrote it."""
    host = {"address": "login", "host_key": make_key().public}
    with pytest.raises(NeedsHuman, match="slurm: waiting"):
        settings.parse("c1", {**host, "slurm": {"waiting": -1}})
    with pytest.raises(NeedsHuman, match="slurm: is missing"):
        connect("c1", host, {})
