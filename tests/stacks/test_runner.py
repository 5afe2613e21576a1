"""What an operation on an account's stack does at its site, and what it says."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from providers.memory.site import MemorySite
from providers.protocol import PARTS, NeedsHuman, Refused, SiteError, Spec, Stale, TryLater
from stacks.backend import files_of
from stacks.errors import StackFailed, StackLocked, StackMissing
from stacks.events import Change
from stacks.runner import Stacks, worst_of
from tests.providers import specs
from tests.stacks.conftest import PASSPHRASE
from tests.stacks.sites import Gate, before, failing


def test_up_makes_all_five_parts(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """After `up` each part is at the site, and is told as the site shows it."""
    told = stacks.up(spec.account, spec, site).parts
    assert told == {name: site.parts[name].observe(spec) for name in PARTS}


def test_up_twice_tells_the_same(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """An unchanged stack asks nothing of the site and still tells all facts."""
    first = stacks.up(spec.account, spec, site)
    for part in PARTS:
        before(site, part, failing(AssertionError("an unchanged part was made again")))
    assert stacks.up(spec.account, spec, site) == first


def test_a_changed_limit_is_an_update_in_place(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """The preview of a greater storage names it, with both values, and nothing else."""
    stacks.up(spec.account, spec, site)
    greater = replace(spec, storage=96 << 20)
    change = Change("storage", "update", (f"storage: {48 << 20} -> {96 << 20}",))
    assert stacks.preview(spec.account, greater, site) == [change]


@pytest.mark.parametrize("size", ["cpu_milli", "memory"])
def test_what_containers_use_together_is_theirs_too(stacks: Stacks, site: MemorySite, spec: Spec, size: str) -> None:
    """A cluster's QOS and a cloud's job hold it beside the account: both are brought to a new size."""
    stacks.up(spec.account, spec, site)
    changes = stacks.preview(spec.account, replace(spec, **{size: 2 * getattr(spec, size)}), site)
    assert [(change.op, change.resource) for change in changes] == [("update", "account"), ("update", "containers")]


def test_a_preview_changes_nothing(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Neither the site nor the state is other than before."""
    stacks.up(spec.account, spec, site)
    stacks.preview(spec.account, replace(spec, storage=96 << 20), site)
    assert stacks.preview(spec.account, spec, site) == []


def test_up_with_a_changed_limit_keeps_identities(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A greater account is the same account: uid, subvolume and address stay."""
    first = stacks.up(spec.account, spec, site).parts
    second = stacks.up(spec.account, replace(spec, storage=96 << 20, rate=40_000_000, pids=400), site).parts
    for name in PARTS:
        kept = site.parts[name].identity
        assert {fact: second[name].facts[fact] for fact in kept} == {fact: first[name].facts[fact] for fact in kept}


def test_another_site_is_a_replacement_of_everything(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A preview at a site of another name shows all five as replaced."""
    stacks.up(spec.account, spec, site)
    site.name = "elsewhere"
    assert {change.op for change in stacks.preview(spec.account, spec, site)} == {"replace"}


def test_a_changed_identity_shows_as_a_replacement(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A subvolume that is not the one that was made cannot be updated in place, and the preview says why."""
    stacks.up(spec.account, spec, site)
    meddle(site, spec, "storage", {"subvolume": "/memory/another"})
    (change,) = stacks.preview(spec.account, spec, site)
    assert (change.resource, change.op) == ("storage", "replace")
    assert "seen as '/memory/another'" in change.details[0]


def test_up_never_replaces_a_part(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Where `up` would have to take a part away it is refused, and the part is still there."""
    stacks.up(spec.account, spec, site)
    meddle(site, spec, "storage", {"subvolume": "/memory/another"})
    stacks.refresh(spec.account, spec, site)
    with pytest.raises(Refused, match="would remove its storage"):
        stacks.up(spec.account, spec, site)
    assert site.parts["storage"].observe(spec) is not None


def test_refresh_tells_a_changed_limit(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A limit changed at the site behind Tenure's back is told with both values."""
    stacks.up(spec.account, spec, site)
    meddle(site, spec, "network", {"rate": 1})
    change = Change("network", "update", ("rate: made as 20000000, seen as 1",))
    assert stacks.refresh(spec.account, spec, site) == [change]


def test_up_after_a_refresh_repairs_a_changed_limit(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """What a refresh found is put right by the next `up`."""
    first = stacks.up(spec.account, spec, site)
    meddle(site, spec, "network", {"rate": 1})
    stacks.refresh(spec.account, spec, site)
    assert stacks.up(spec.account, spec, site) == first
    assert stacks.refresh(spec.account, spec, site) == []


@pytest.mark.parametrize("part", ["account", "storage"])
def test_what_a_holder_cannot_get_back_is_never_made_anew(
    stacks: Stacks, site: MemorySite, spec: Spec, part: str
) -> None:
    """A refresh that finds it gone stops and calls an operator; the next one does so again."""
    stacks.up(spec.account, spec, site)
    meddle(site, spec, part, None)
    for look in (stacks.refresh, stacks.preview, stacks.refresh):
        with pytest.raises(NeedsHuman, match=f"its {part} is gone"):
            look(spec.account, spec, site)


def test_a_lost_network_is_repaired(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A part that holds no data shows as an update, and `up` makes it again."""
    stacks.up(spec.account, spec, site)
    meddle(site, spec, "network", None)
    assert [(change.resource, change.op) for change in stacks.refresh(spec.account, spec, site)] == [
        ("network", "update")
    ]
    stacks.up(spec.account, spec, site)
    assert site.parts["network"].observe(spec) is not None


def test_destroy_removes_everything_from_the_last_part_on(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Access goes first, the account itself last; afterwards the stack can be forgotten."""
    stacks.up(spec.account, spec, site)
    stacks.destroy(spec.account, spec, site)
    assert [name for name in PARTS if site.parts[name].observe(spec)] == []
    stacks.remove(spec.account)
    assert not stacks.exists(spec.account)


def test_what_is_gone_is_destroyed_without_ado(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Destroying twice, parts that somebody already removed, or a stack that never was, is done."""
    stacks.up(spec.account, spec, site)
    meddle(site, spec, "storage", None)
    for _ in range(2):
        stacks.destroy(spec.account, spec, site)
    stacks.remove(spec.account)
    stacks.remove(spec.account)
    stacks.destroy(spec.account, spec, site)


def test_a_stack_that_holds_something_is_not_forgotten(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Only an emptied stack is removed."""
    stacks.up(spec.account, spec, site)
    with pytest.raises(StackFailed, match="still holds resources"):
        stacks.remove(spec.account)


@pytest.mark.parametrize(
    "error",
    [TryLater("ssh: reset", after=timedelta(seconds=7)), NeedsHuman("full", "add disks"), Refused("no"), Stale("old")],
    ids=lambda error: type(error).__name__,
)
def test_a_parts_own_error_comes_through(stacks: Stacks, site: MemorySite, spec: Spec, error: SiteError) -> None:
    """Who called `up` gets the very exception that the part raised."""
    before(site, "storage", failing(error))
    with pytest.raises(SiteError) as caught:
        stacks.up(spec.account, spec, site)
    assert caught.value is error


def test_up_goes_on_where_a_failed_one_stopped(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """A part that could not be made is made by the next `up`; what was there stays."""
    whole = site.parts
    before(site, "storage", failing(TryLater("ssh: connection reset")))
    with pytest.raises(TryLater):
        stacks.up(spec.account, spec, site)
    uid = site.parts["account"].observe(spec)
    site.parts = whole
    assert stacks.up(spec.account, spec, site).parts["account"] == uid


def test_of_several_errors_the_most_final_counts() -> None:
    """Stale before Refused before NeedsHuman before TryLater, whatever came first."""
    errors: list[Exception] = [TryLater("later"), NeedsHuman("help", "do"), Stale("old"), Refused("no")]
    assert worst_of(errors) is errors[2]


def test_accounts_run_at_once_without_mixing(stacks: Stacks, site: MemorySite) -> None:
    """Six accounts at once: each gets its own parts with its own limits."""
    many = [specs.spec(storage=(40 + number) << 20) for number in range(6)]
    for each in many:
        site.arm(each, datetime.now(UTC) + timedelta(hours=1), 1)
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda each: stacks.up(each.account, each, site), many))
    for each, one in zip(many, told, strict=True):
        assert one.parts == {name: site.parts[name].observe(each) for name in PARTS}


def test_one_operation_an_account(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """While one runs, a second one on the same account is refused at once."""
    gate = Gate()
    before(site, "storage", gate)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stacks.up, spec.account, spec, site)
        assert gate.reached.wait(60)
        with pytest.raises(StackLocked, match="already runs"):
            stacks.up(spec.account, spec, site)
        gate.go.set()
        assert set(first.result(60).parts) == set(PARTS)


@pytest.mark.parametrize("look", [Stacks.preview, Stacks.refresh])
def test_a_stack_that_is_not_there_is_said_so(
    stacks: Stacks, site: MemorySite, spec: Spec, look: Callable[..., object]
) -> None:
    """Neither preview nor refresh makes a stack."""
    with pytest.raises(StackMissing):
        look(stacks, spec.account, spec, site)
    assert not stacks.exists(spec.account)


def test_the_spec_must_be_the_accounts(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """An account is never run with another one's spec."""
    with pytest.raises(StackFailed, match="the spec given is of account"):
        stacks.up(specs.new_id(), spec, site)


def test_the_state_holds_no_passphrase(stacks: Stacks, site: MemorySite, spec: Spec) -> None:
    """Nothing that Pulumi writes down contains it."""
    stacks.up(spec.account, spec, site)
    for path in stacks.home.rglob("*"):
        assert not path.is_file() or PASSPHRASE.encode() not in path.read_bytes()


def test_a_state_backend_in_files_needs_an_absolute_path() -> None:
    """`file://stacks` would be a host called stacks."""
    with pytest.raises(StackFailed, match="absolute path"):
        files_of("file://stacks")


def meddle(site: MemorySite, spec: Spec, part: str, facts: dict[str, str | int] | None) -> None:
    """Change a part at the site behind Tenure's back; None takes it away."""
    with site.keeper.held() as world:
        parts = world.tenancies[spec.account].parts
        if facts is None:
            del parts[part]
        else:
            parts[part].update(facts)
