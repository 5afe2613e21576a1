"""The same event again, at once or years later: one account, one answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx

from orchestrator.lifecycle.voucher import VoucherState
from orchestrator.store import sites, vouchers
from orchestrator.store.sites import Places
from tests.entry.http_world import World, redemption, served, signed, world
from tests.store.postgres import run, server


def at_once(tenure: World, requests: list[tuple[bytes, dict[str, str]]]) -> list[httpx.Response]:
    """All of them, forty at a time."""
    with httpx.Client(base_url=tenure.url, timeout=60) as client, ThreadPoolExecutor(40) as pool:
        def post(one: tuple[bytes, dict[str, str]]) -> httpx.Response:
            return client.post("/v1/redemptions", content=one[0], headers=one[1])

        return list(pool.map(post, requests))


def test_the_same_event_100_times_at_once_is_one_account(tenure: World) -> None:
    """Attack 4: one account, and everybody is told the same."""
    body = redemption(tenure.codes()[0])
    before = len(tenure.accounts())
    seen = at_once(tenure, [(body, signed(tenure.secret, body, "many-1", tenure.clock(), "platform"))] * 100)
    assert {(one.status_code, one.text) for one in seen} == {(202, seen[0].text)}
    assert len(tenure.accounts()) == before + 1


def test_a_repetition_years_later_gets_the_same_answer(tenure: World) -> None:
    """Attacks 4 and 7: signed anew, ten years on, byte for byte the same answer and no second account."""
    voucher = tenure.codes()[0]
    first = tenure.redeem(voucher, "years-1")
    before = len(tenure.accounts())
    tenure.clock.ahead = timedelta(days=3650)
    again = tenure.redeem(voucher, "years-1")
    assert (again.status_code, again.content) == (202, first.content)
    assert len(tenure.accounts()) == before


def test_the_same_id_with_another_body_is_409(tenure: World) -> None:
    """Attack 5."""
    first, second = tenure.codes(2)
    assert tenure.redeem(first, "other-body").status_code == 202
    answer = tenure.redeem(second, "other-body")
    assert (answer.status_code, answer.json()["code"]) == (409, "event_reused")


def test_two_senders_may_use_the_same_id(tenure: World) -> None:
    """Event ids are each sender's own."""
    mine, theirs = tenure.codes()[0], tenure.codes(sender=tenure.other)[0]
    first = tenure.redeem(mine, "shared-id")
    second = tenure.redeem(theirs, "shared-id", secret=tenure.other_secret, sender="other")
    assert second.status_code == 202
    assert first.json()["account"] != second.json()["account"]


def test_the_same_voucher_under_another_id_is_409(tenure: World) -> None:
    """Attack 6: a voucher makes one account."""
    voucher = tenure.codes()[0]
    assert tenure.redeem(voucher, "voucher-1").status_code == 202
    answer = tenure.redeem(voucher, "voucher-2")
    assert (answer.status_code, answer.json()["code"]) == (409, "voucher_used")


def test_one_voucher_under_50_ids_at_once_is_one_account(tenure: World) -> None:
    """Attack 6, in parallel."""
    body = redemption(tenure.codes()[0])
    seen = at_once(tenure, [(body, signed(tenure.secret, body, f"race-{n}", tenure.clock(), "platform"))
                            for n in range(50)])
    assert sorted(one.status_code for one in seen) == [202] + [409] * 49


def test_a_replay_after_a_restart_makes_no_second_account(tmp_path: Path) -> None:
    """Attack 7: what was accepted is known to the next process."""
    with world(tmp_path / "home") as tenure:
        body = redemption(tenure.codes()[0])
        first = tenure.post("/v1/redemptions", body, "restart-1")
        with served(tenure.ctx) as url:
            headers = signed(tenure.secret, body, "restart-1", tenure.clock(), "platform")
            again = tenure.client.post(f"{url}/v1/redemptions", content=body, headers=headers)
        assert (again.status_code, again.content) == (202, first.content)
        assert len(tenure.accounts()) == 1


def test_on_postgresql_at_once_is_the_same(tmp_path: Path) -> None:
    """Attacks 4 and 6 where writers do not queue by themselves: one event 50 times, one voucher under 50 ids."""
    with server() as url:
        run(url.format("postgres"), "CREATE DATABASE doors")
        with world(tmp_path / "home", url=url.format("doors")) as tenure:
            first, second = (redemption(code) for code in tenure.codes(2))
            same = at_once(tenure, [(first, signed(tenure.secret, first, "pg", tenure.clock(), "platform"))] * 50)
            other = at_once(tenure, [(second, signed(tenure.secret, second, f"pg-{n}", tenure.clock(), "platform"))
                                     for n in range(50)])
            assert {(one.status_code, one.text) for one in same} == {(202, same[0].text)}
            assert sorted(one.status_code for one in other) == [202] + [409] * 49
            assert len(tenure.accounts()) == 2


def test_no_capacity_is_not_remembered(tmp_path: Path) -> None:
    """The same event succeeds once there is a place, and its voucher is intact until then."""
    with world(tmp_path / "home", places=1) as tenure:
        first, second = tenure.codes(2)
        assert tenure.redeem(first, "place-1").status_code == 202
        refused = tenure.redeem(second, "place-2")
        assert (refused.status_code, refused.json()["code"]) == (503, "no_capacity")
        assert int(refused.headers["retry-after"]) > 0
        make_room(tenure)
        assert tenure.redeem(second, "place-2").status_code == 202


def make_room(tenure: World) -> None:
    """Twice as many places."""
    with tenure.ctx.store.write() as tx:
        sites.put_places(tx, "mem", [Places("mem", "trial", 2)])


def test_1000_redemptions_for_100_places_give_100_accounts(tmp_path: Path) -> None:
    """The other 900 are refused clearly, and their vouchers are good once there is room."""
    with world(tmp_path / "home", places=100) as tenure:
        codes = tenure.codes(1000)
        bodies = [redemption(code) for code in codes]
        seen = at_once(tenure, [(body, signed(tenure.secret, body, f"rush-{n}", tenure.clock(), "platform"))
                                for n, body in enumerate(bodies)])
        codes_seen = [one.json().get("code", "accepted") for one in seen]
        assert {code: codes_seen.count(code) for code in set(codes_seen)} == {"accepted": 100, "no_capacity": 900}
        with tenure.ctx.store.read() as tx:
            assert len(vouchers.list_(tx, state=VoucherState.ISSUED, limit=2000)) == 900
