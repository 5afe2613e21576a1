"""Too much, too slow, or away: each is told so, and the others are served."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from orchestrator.entry.http.buckets import Buckets
from orchestrator.entry.http.desk import Limits
from providers.memory.world import keeper
from tests.entry.http_site import usable
from tests.entry.http_world import World, public_key, redemption, world


def test_a_flood_from_one_sender_is_429_and_the_other_is_served(tmp_path: Path) -> None:
    """Attack 21: and Retry-After says when."""
    with world(tmp_path / "home", Limits(sender_rate=1, sender_burst=5)) as tenure:
        seen = [tenure.redeem("NOT-A-CODE", f"flood-{n}") for n in range(20)]
        theirs = tenure.redeem(tenure.codes(sender=tenure.other)[0], "calm-1", secret=tenure.other_secret,
                               sender="other")
        assert [one.status_code for one in seen[:5]] == [422] * 5
        assert 429 in {one.status_code for one in seen[5:]}
        assert all("retry-after" in one.headers for one in seen if one.status_code == 429)
        assert theirs.status_code == 202


def test_a_flood_of_bad_signatures_does_not_fill_the_journal(tmp_path: Path) -> None:
    """Attack 1, many times: each is 401, the journal holds some of them and the number of the rest."""
    with world(tmp_path / "home", Limits(refusal_rate=0.001, refusal_burst=10)) as tenure:
        seen = {tenure.client.post("/v1/redemptions", content=b"{}").status_code for _ in range(200)}
        assert seen == {401}
        assert len(tenure.refusals()) == 10


def test_a_flood_in_somebodys_name_does_not_lock_them_out(tmp_path: Path) -> None:
    """Attack 21: only what is rightly signed counts against a sender."""
    with world(tmp_path / "home", Limits(sender_rate=1, sender_burst=5)) as tenure:
        body = redemption("AAAA-BBBB")
        for number in range(50):
            tenure.post("/v1/redemptions", body, f"fake-{number}", secret=tenure.other_secret, sender="platform")
        assert tenure.redeem(tenure.codes()[0], "real-1").status_code == 202


def test_a_locked_database_is_503_and_nothing_is_lost(tenure: World) -> None:
    """The same event is accepted as soon as the lock is gone."""
    code = tenure.codes()[0]
    lock = sqlite3.connect(tenure.ctx.home / "tenure.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    refused = tenure.redeem(code, "locked-1")
    alive = tenure.client.get("/healthz").status_code
    lock.execute("ROLLBACK")
    lock.close()
    assert (refused.status_code, refused.json()["code"], alive) == (503, "store_busy", 200)
    assert "retry-after" in refused.headers
    assert tenure.redeem(code, "locked-1").status_code == 202


def test_a_site_that_hangs_holds_up_no_redemption(tenure: World) -> None:
    """I6: claims at a dead site wait among themselves."""
    url = [usable(tenure, f"hang-{n}")[1] for n in range(12)]
    faults = keeper(f"{tenure.ctx.home.name}-mem", None).peek(lambda held: held.faults)
    faults.dead, faults.hang = True, 3.0
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(12) as pool:
        claims = [pool.submit(client.post, one, json={"ssh_public_key": public_key()}) for one in url]
        accepted = tenure.redeem(tenure.codes()[0], "hang-free").status_code
        still_waiting = not any(claim.done() for claim in claims)
        faults.dead = False
        statuses = {claim.result().status_code for claim in claims}
    assert (accepted, still_waiting) == (202, True)
    assert statuses <= {200, 503}


def test_buckets_stay_small() -> None:
    """Bounded memory, however many keys there are."""
    buckets = Buckets(1, 1, most=100)
    for number in range(10_000):
        buckets.take(str(number), 0)
    assert len(buckets._left) == 100


def test_a_bucket_fills_again() -> None:
    """One token a second, two at once."""
    buckets = Buckets(1, 2)
    assert [buckets.take("a", 0), buckets.take("a", 0), buckets.take("a", 0), buckets.take("a", 1)] == [0, 0, 1, 0]


