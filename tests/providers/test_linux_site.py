"""A Linux site against a hand-written on-site program: what is asked, in which order, and how answers are judged."""

import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from providers.host import settings
from providers.linux.site import LinuxSite, connect
from providers.protocol import NeedsHuman, Refused, Stale, TryLater, Usage, only
from providers.registry import connect as connect_kind
from tests.providers.keys import make_key
from tests.providers.peer import Answer, Peers, error, ok
from tests.providers.specs import new_id, spec

SETTINGS: dict[str, object] = {"address": "host.example", "host_key": f"host.example {make_key().public}"}
SECRETS = {"operator_key": make_key().private, "ca_key": make_key().private}
SPEC = spec()
END = datetime(2030, 1, 1, tzinfo=UTC)

GOOD: dict[str, dict[str, Any]] = {
    "account": {
        "user": f"tn-{SPEC.account}",
        "uid": 70001,
        "home": "/h",
        "cpu_milli": 500,
        "memory": 256 << 20,
        "pids": 200,
    },
    "storage": {"subvolume": "/s", "subvolume_id": 257, "storage": 48 << 20},
    "network": {"netns": f"tn-{SPEC.account}", "address": "10.0.0.2", "rate": 20_000_000, "egress": 64 << 20},
    "containers": {"cgroup": "c", "containers": 2, "images": [], "models": []},
    "access": {"login": f"tn-{SPEC.account}", "principals": "/p"},
}


def site(answer: Answer) -> LinuxSite:
    return LinuxSite(settings.parse("s", SETTINGS), SECRETS, Peers(answer))


def recording(answers: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[LinuxSite, list[dict[str, Any]]]:
    asked: list[dict[str, Any]] = []

    def play(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return answers(request)

    return site(play), asked


def test_every_part_reads_back_what_it_set() -> None:
    """Facts as the host gives them are what the caller sees."""
    one = site(lambda request: ok(GOOD[request["part"]]))
    assert {name: dict(part.ensure(SPEC).facts) for name, part in one.parts.items()} == GOOD


@pytest.mark.parametrize(
    ("part", "fact", "value"),
    [
        ("account", "memory", 0),
        ("account", "user", "root"),
        ("storage", "storage", 1 << 40),
        ("network", "egress", 0),
        ("network", "rate", 1),
        ("containers", "containers", 3),
        ("containers", "images", ["other"]),
        ("access", "login", "root"),
    ],
)
def test_a_limit_that_reads_back_differently_is_an_error(part: Any, fact: str, value: object) -> None:
    """A write that did not take is never a success."""
    one = site(lambda request: ok({**GOOD[part], fact: value}))
    with pytest.raises(NeedsHuman, match=f"{fact} reads back as"):
        one.parts[part].ensure(SPEC)


@pytest.mark.parametrize("answer", [None, [], "yes", {}, {"user": {"a": 1}}, {"user": None, "uid": 1}, {"user": "x"}])
def test_an_answer_without_the_part_s_identity_is_no_success(answer: object) -> None:
    """Then it is not known what the site did."""
    with pytest.raises(TryLater):
        site(lambda request: ok(answer)).parts["account"].ensure(SPEC)


def test_a_part_that_is_not_there_is_seen_as_none() -> None:
    """`null` is the one answer that means absent."""
    assert site(lambda request: ok(None)).parts["storage"].observe(SPEC) is None


def test_the_principal_is_there_before_the_certificate() -> None:
    """A fenced account's refusal leaves no certificate behind."""
    one = site(
        lambda request: ok({"now": time.time()}) if request["op"] == "now" else error("refused", "logins closed")
    )
    with pytest.raises(Refused, match="logins closed"):
        one.issue(SPEC, make_key().public, END)


def test_a_credential_ends_with_the_lease(tmp_path: Path) -> None:
    """Certificate, principals file and answer name the same second and the same principal."""
    one, asked = recording(lambda request: ok({"now": time.time()} if request["op"] == "now" else {}))
    given = one.issue(SPEC, make_key().public, END + timedelta(milliseconds=400))
    (tmp_path / "c-cert.pub").write_text(given.certificate)
    argv = ["ssh-keygen", "-L", "-f", str(tmp_path / "c-cert.pub")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env={"TZ": "UTC"}).stdout
    assert given.expires == END
    assert asked[-1]["expires"] == END.timestamp()
    assert asked[-1]["principal"] in said
    assert "to 2030-01-01T00:00:00" in said


def test_a_credential_says_where_to_connect() -> None:
    """Login, port and the pinned key: all that the stock client needs."""
    given = site(lambda request: ok({"now": time.time()})).issue(SPEC, make_key().public, END)
    assert (given.login, given.port) == (f"tn-{SPEC.account}@host.example", 22)
    assert given.host_keys == (SETTINGS["host_key"],)


def test_fences_go_in_batches_and_come_back_in_order() -> None:
    """450 accounts in three requests, an answer for each."""
    one, asked = recording(lambda request: ok([{"account": row[0], "at": 1.0} for row in reversed(request["batch"])]))
    batch = [(new_id(), 3) for _ in range(450)]
    assert [row.account for row in one.fence(batch, "end")] == [account for account, _ in batch]
    assert [len(request["batch"]) for request in asked] == [200, 200, 50]


def test_one_account_s_trouble_is_its_own_answer() -> None:
    """A name that attacks, a stale generation and an account left out do not touch the one that is fenced."""
    fine, stale, silent = new_id(), new_id(), new_id()
    late = {"kind": "stale", "message": "generation 3 is lower", "remedy": ""}
    one = site(lambda request: ok([{"account": fine, "at": 5.0}, {"account": stale, "error": late}]))
    rows = one.fence([("../../etc", 1), (fine, 3), (stale, 3), (silent, 3)], "end")
    assert [type(row.error) for row in rows] == [Refused, type(None), Stale, TryLater]


@pytest.mark.parametrize("answer", [None, {}, "none", [1], [{"kind": "x"}], [{"what": "x", "kind": None}]])
def test_a_listing_that_cannot_be_read_is_not_empty(answer: object) -> None:
    """Never [] for what is not a list of leftovers."""
    with pytest.raises(TryLater):
        site(lambda request: ok(answer)).leftovers(new_id())


def test_a_failed_listing_is_a_leftover() -> None:
    """Shown empty, or not clean."""
    row = {"kind": "storage", "what": "btrfs: error", "unlisted": True}
    assert site(lambda request: ok([row])).leftovers(new_id())[0].unlisted


@pytest.mark.parametrize("account", ["", "root", "a2345678", "Aaaaaaaaaa", "aaaaaaaaaa\n", "a../../../", "--help1234"])
def test_a_name_that_is_no_id_never_reaches_the_site(account: str) -> None:
    """Refused here, whatever the call."""
    one, asked = recording(lambda request: ok({}))
    calls: list[Callable[[], object]] = [
        lambda: one.arm(spec(account or " "), END, 1),
        lambda: one.open(spec(account or " "), timedelta(seconds=1), 1),
        lambda: one.unfence(spec(account or " "), 1, END),
        lambda: one.warn(account, "x"),
        lambda: one.leftovers(account),
        lambda: only(one.clean([(account, 1)])),
        lambda: one.usage(account, END),
        lambda: one.parts["storage"].ensure(spec(account or " ")),
        lambda: one.issue(spec(account or " "), make_key().public, END),
    ]
    for call in calls:
        with pytest.raises(Refused):
            call()
    assert asked == []


@pytest.mark.parametrize(
    "answer", [{}, {"armed": {"end": "soon", "generation": 1}}, {"fenced": {"at": 1.0, "by": "me"}}]
)
def test_an_end_that_cannot_be_read_is_not_armed(answer: object) -> None:
    """No guess about the one thing that must hold."""
    with pytest.raises(TryLater):
        site(lambda request: ok(answer)).arm(SPEC, END, 1)


@pytest.mark.parametrize(("offset", "fine"), [(0.0, True), (1.5, True), (3.0, False), (-3.0, False), (86400.0, False)])
def test_a_clock_more_than_two_seconds_off_is_not_ok(offset: float, fine: bool) -> None:
    """The site's clock ends leases: it has to be right."""

    def play(request: dict[str, Any]) -> dict[str, Any]:
        return ok({"now": time.time() + offset} if request["op"] == "now" else [])

    assert next(one for one in site(play).check() if one.subject == "clock").ok is fine


def test_check_of_a_site_that_does_not_answer_is_a_finding() -> None:
    """The operator asked what is wrong; that is the answer."""
    found = site(lambda request: error("later", "host is going down")).check()
    assert [(one.subject, one.ok) for one in found] == [("reachable", False)]


def test_a_gap_in_usage_is_no_zero() -> None:
    """A meter that the site could not read is missing."""
    answer = [{"since": 3600.0, "until": 7200.0, "covered": 60.5, "amounts": {"storage": 7}}]
    used = site(lambda request: ok(answer)).usage(new_id(), END)
    hour = datetime.fromtimestamp(3600, UTC), datetime.fromtimestamp(7200, UTC)
    assert used == [Usage(*hour, timedelta(seconds=60.5), {"storage": 7})]


@pytest.mark.parametrize("amounts", [{"cpu": -1}, {"cpu": 0.5}, {"cpu": None}, None, [1]])
def test_usage_that_cannot_be_read_is_no_usage(amounts: object) -> None:
    """Nothing is billed by a guess."""
    answer = [{"since": 3600.0, "until": 7200.0, "covered": 1, "amounts": amounts}]
    with pytest.raises(TryLater):
        site(lambda request: ok(answer)).usage(new_id(), END)


def test_a_site_without_its_keys_says_so() -> None:
    """And names which."""
    with pytest.raises(NeedsHuman, match="ca_key"):
        connect("s", SETTINGS, {"operator_key": SECRETS["operator_key"]})


def test_an_unknown_kind_is_named() -> None:
    """With the kinds that there are."""
    with pytest.raises(NeedsHuman, match="kind 'vms' is not known"):
        connect_kind("vms", "s", {}, {})
