"""Leases at the site: ends, generations, fences, tombstones. Files only."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.host.onsite import access, boot, errors, lease, ledger, lock, paths, serve, spec
from providers.host.onsite.config import Config
from tests.lab.accounts import new_id
from tests.lab.accounts import spec as sizes
from tests.providers import onsite_world

NOW = 1_800_000_000.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return dataclasses.replace(onsite_world.make(tmp_path), run=tmp_path)


def fence(config: Config, account: str, generation: int | None, now: float = NOW) -> lease.Fence | None:
    with lock.lease(config, account):
        return lease.mark(config, account, generation, "operator", now)


def test_arm_makes_a_lease_with_logins_closed(config: Config) -> None:
    """The first arm of an account makes its lease, and lets nobody in."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    assert lease.read(config, "abcdefghij") == lease.Lease(NOW + 60, 1, "closed")


def test_the_same_generation_again_is_the_same(config: Config) -> None:
    """An arm that is repeated with its generation gives the same lease."""
    first = lease.arm(config, "abcdefghij", NOW + 60, 3, NOW)
    assert lease.arm(config, "abcdefghij", NOW + 60, 3, NOW + 1) == first


def test_a_lower_generation_is_stale(config: Config) -> None:
    """A worker that wakes up late cannot move the end."""
    lease.arm(config, "abcdefghij", NOW + 60, 3, NOW)
    with pytest.raises(errors.Stale):
        lease.arm(config, "abcdefghij", NOW + 600, 2, NOW)


def test_an_end_that_has_passed_is_not_moved(config: Config) -> None:
    """An extension in the second after the end finds the end as it was."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    assert lease.arm(config, "abcdefghij", NOW + 600, 2, NOW + 60).end == NOW + 60


def test_a_fenced_account_is_not_armed(config: Config) -> None:
    """After a fence the site's answer to arm is the fence."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    fence(config, "abcdefghij", 2, NOW + 5)
    assert lease.arm(config, "abcdefghij", NOW + 600, 3, NOW + 6).fenced == lease.Fence(NOW + 5, "operator")


def test_a_second_fence_keeps_the_first_ones_instant(config: Config) -> None:
    """Fencing what is fenced changes neither when nor by whom."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    fence(config, "abcdefghij", 2, NOW + 5)
    assert fence(config, "abcdefghij", 3, NOW + 9) == lease.Fence(NOW + 5, "operator")


def test_a_fence_of_an_unknown_account_refuses_its_late_arm(config: Config) -> None:
    """An account fenced before it was armed cannot be armed by the worker that was late."""
    fence(config, "abcdefghij", 5)
    with pytest.raises(errors.Stale):
        lease.arm(config, "abcdefghij", NOW + 600, 4, NOW)


def test_the_site_does_not_fence_an_end_that_was_moved(config: Config) -> None:
    """The reaper that read the old end finds the new one under the lock."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    assert fence(config, "abcdefghij", None, NOW + 59) is None


def test_open_starts_the_time_box_at_the_sites_now(config: Config) -> None:
    """The end of an opened lease is the site's now and the duration."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    opened = lease.open_logins(config, "abcdefghij", 3600, 1, NOW + 7)
    assert (opened.starts_at, opened.end, opened.logins) == (NOW + 7, NOW + 3607, "open")


def test_open_twice_is_once(config: Config) -> None:
    """A repeated open does not start the time box anew."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    first = lease.open_logins(config, "abcdefghij", 3600, 1, NOW + 7)
    assert lease.open_logins(config, "abcdefghij", 3600, 1, NOW + 30) == first


def test_open_past_the_deadline_is_refused(config: Config) -> None:
    """What was not provisioned by its armed end is not handed out."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    with pytest.raises(errors.Refused):
        lease.open_logins(config, "abcdefghij", 3600, 1, NOW + 60)


def test_the_generation_outlives_the_account(config: Config) -> None:
    """A cleaned account's id is refused to whoever acts with its last generation or a lower one."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    lease.bury(config, "abcdefghij", 4)
    with pytest.raises(errors.Stale):
        lease.arm(config, "abcdefghij", NOW + 600, 4, NOW)


def test_a_broken_lease_lets_nobody_in(config: Config) -> None:
    """A lease file that cannot be read is an error, not an absence."""
    paths.lease(config, "abcdefghij").write_text('{"end": ')
    with pytest.raises(errors.Human):
        lease.read(config, "abcdefghij")


def test_a_broken_lease_can_be_fenced(config: Config) -> None:
    """Tenure's fence does not need the lease to be readable."""
    paths.lease(config, "abcdefghij").write_text('{"end": ')
    fence(config, "abcdefghij", 2)
    assert lease.read(config, "abcdefghij") == lease.Lease(NOW, 2, fenced=lease.Fence(NOW, "operator"))


@pytest.mark.parametrize("state", ["closed", "fenced", "over"])
def test_a_principal_is_refused_unless_logins_are_open(config: Config, state: str) -> None:
    """Before open, after a fence and past the end no principal is written."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    if state != "closed":
        lease.open_logins(config, "abcdefghij", 60, 1, NOW)
    if state == "fenced":
        fence(config, "abcdefghij", 2)
    with pytest.raises(errors.Refused):
        access.admit(config, "abcdefghij", "me", NOW + 60, NOW + (60 if state == "over" else 1))


def test_a_principal_ends_with_its_second_in_utc(config: Config) -> None:
    """sshd reads the expiry as UTC, to the second."""
    lease.arm(config, "abcdefghij", NOW + 60, 1, NOW)
    lease.open_logins(config, "abcdefghij", 60, 1, NOW)
    access.admit(config, "abcdefghij", "me", NOW + 60, NOW)
    assert paths.principals(config, "abcdefghij").read_text() == 'expiry-time="20270115080100Z" me\n'


def test_a_uid_is_never_given_again(config: Config) -> None:
    """The uid of an account that is long gone stays its own."""
    first, second = new_id(), new_id()
    gone = spec.keep(config, spec.parse(sizes(first)))
    paths.account(config, first).unlink()
    ledger.release(config, first)
    assert spec.keep(config, spec.parse(sizes(second))).uid == gone.uid + 1


def test_a_slot_is_given_again(config: Config) -> None:
    """An address serves the next account once its account is gone."""
    first, second = new_id(), new_id()
    gone = spec.keep(config, spec.parse(sizes(first)))
    ledger.release(config, first)
    assert spec.keep(config, spec.parse(sizes(second))).slot == gone.slot


def test_all_addresses_in_use_is_said(config: Config) -> None:
    """A full range of addresses is an operator's to widen."""
    for _ in range(3):
        spec.keep(config, spec.parse(sizes(new_id())))
    with pytest.raises(errors.Human, match="10.9.0.0/28"):
        spec.keep(config, spec.parse(sizes(new_id())))


def test_a_torn_last_line_of_the_ledger_is_not_a_uid(config: Config) -> None:
    """A power cut in the middle of a line loses that line alone."""
    paths.ledger(config).write_text("\n900000 abcdefghij\n\n9000")
    assert ledger.uid(config, new_id()) == 900_001


def test_ready_is_false_after_a_reboot(config: Config) -> None:
    """What was ready under another boot id is not ready."""
    paths.ready(config, "abcdefghij").write_text("another boot")
    assert not boot.ready(config, "abcdefghij")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"id": 1}',
        '{"id": 1, "op": "nope"}',
        '{"id": 1, "op": "now", "more": 1}',
        '{"id": 1, "op": "arm", "account": "root", "end": 1800000000, "generation": 1}',
        '{"id": 1, "op": "arm", "account": "abcdefghij\\n", "end": 1800000000, "generation": 1}',
        '{"id": 1, "op": "arm", "account": "../../etcx", "end": 1800000000, "generation": 1}',
        '{"id": 1, "op": "arm", "account": "abcdefghij", "end": NaN, "generation": 1}',
        '{"id": 1, "op": "arm", "account": "abcdefghij", "end": 1e400, "generation": 1}',
        '{"id": 1, "op": "arm", "account": "abcdefghij", "end": true, "generation": 1}',
        '{"id": 1, "op": "arm", "account": "abcdefghij", "end": 1800000000, "generation": 0}',
        '{"id": 1, "op": "arm", "account": "abcdefghij", "end": 1800000000, "generation": 1.5}',
        '{"id": 1, "op": "open", "account": "abcdefghij", "duration": -1, "generation": 1}',
        '{"id": 1, "op": "principal", "account": "abcdefghij", "principal": "a b", "expires": 1800000000}',
        '{"id": 1, "op": "principal", "account": "abcdefghij", "principal": "a\\nb", "expires": 1800000000}',
        '{"id": 1, "op": "ensure", "part": "moon", "spec": {"account": "abcdefghij"}}',
        '{"id": 1, "op": "fence", "batch": [["abcdefghij"]], "by": "end"}',
        '{"id": 1, "op": "fence", "batch": [["abcdefghij", 1]], "by": "me"}',
        '{"id": 1, "op": "ensure", "part": "account", "spec": {"account": "abcdefghij", "containers": 1,'
        ' "cpu_milli": 1000, "memory": 67108864, "pids": 64, "storage": 16777216, "rate": 1000000, "egress": 0,'
        ' "accelerators": [1]}}',
        "[" * 100_000,
    ],
)
def test_bad_input_is_refused(config: Config, line: str) -> None:
    """Whatever is not a request of the protocol is refused, with nothing done."""
    assert serve.answer(config, line)["error"]["kind"] == "refused"


def test_the_end_of_an_open_contract_is_taken(config: Config) -> None:
    """An open contract ends on the last day of 2999: an end is never null."""
    end = datetime(2999, 12, 31, tzinfo=UTC).timestamp()
    request = {"id": 1, "op": "arm", "account": "abcdefghij", "end": end, "generation": 1}
    assert serve.answer(config, json.dumps(request)) == {"id": 1, "ok": {"armed": {"end": end, "generation": 1}}}


@pytest.mark.parametrize("field", list(spec.NUMBERS))
@pytest.mark.parametrize("value", [-1, 1.5, "1", True, None, 1 << 70])
def test_a_size_that_is_none_is_refused(field: str, value: object) -> None:
    """A spec's sizes are whole numbers in their ranges."""
    with pytest.raises(errors.Refused, match=field):
        spec.parse(sizes("abcdefghij", **{field: value}))
