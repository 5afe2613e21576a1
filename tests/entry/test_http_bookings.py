"""Bookings at the doors: a signed beginning, the claim page before it, the calendar, and what a sender may do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.entry.http_site import work
from tests.entry.http_world import World, public_key, world

DAY = timedelta(days=1)


def ahead(tenure: World, by: timedelta = 7 * DAY) -> str:
    return (tenure.clock() + by).replace(microsecond=0).isoformat()


def book(tenure: World, event: str, begins_at: str | None = None) -> dict[str, Any]:
    """One booking by the platform; its answer."""
    answer = tenure.redeem(tenure.codes()[0], event, begins_at=begins_at or ahead(tenure))
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_signed_beginning_is_booked(tenure: World) -> None:
    """And told wherever the account is read."""
    at = ahead(tenure)
    id = book(tenure, "book-1", at)["account"]
    seen = tenure.get(f"/v1/accounts/{id}", "sender").json()
    assert (seen["state"], datetime.fromisoformat(seen["begins_at"])) == ("REQUESTED", datetime.fromisoformat(at))
    assert datetime.fromisoformat(seen["due_at"]) < datetime.fromisoformat(at)


@pytest.mark.parametrize(("at", "status", "code"), [
    ("2020-01-01T00:00:00Z", 400, "bad_begin"), ("2999-01-01T00:00:00Z", 400, "bad_begin"),
    ("tomorrow", 400, "bad_body"), ("2027-02-30T00:00:00Z", 400, "bad_body"), (17, 400, "bad_body"),
    ("2027-03-01T09:00:00", 400, "bad_body")])
def test_a_beginning_that_cannot_be_is_400(tenure: World, at: object, status: int, code: str) -> None:
    """Past, too far, no instant, no offset; the voucher is intact."""
    voucher = tenure.codes()[0]
    answer = tenure.redeem(voucher, f"bad-{at}".replace(" ", "-"), begins_at=at)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert tenure.redeem(voucher, f"good-{at}").status_code == 202


def test_the_claim_page_says_when_it_begins(tenure: World) -> None:
    """In English and Chinese, by civil time, without a form; no key is taken before."""
    url = book(tenure, "page-1")["claim_url"].removeprefix("https://tenure.example")
    english, chinese = (tenure.client.get(url, params={"lang": lang}).text for lang in ("en", "zh"))
    day = f"{(tenure.clock() + 7 * DAY).astimezone(UTC) + timedelta(hours=8):%Y-%m-%d}"
    assert "Your account begins at" in english
    assert "您的算力账户将于以下时间开通" in chinese
    assert day in english
    assert day in chinese
    assert "<form" not in english
    answer = tenure.client.post(url, json={"ssh_public_key": public_key()})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
    assert "begins at" in answer.json()["detail"]


def test_a_sender_cancels_its_booking(tenure: World) -> None:
    """Twice is once; the voucher is good again under a new event."""
    voucher = tenure.codes()[0]
    id = tenure.redeem(voucher, "cancel-1", begins_at=ahead(tenure)).json()["account"]
    answers = [tenure.act(f"/v1/accounts/{id}/cancel", {"why": "ill"}, "sender") for _ in range(2)]
    assert [(one.status_code, one.json()["state"]) for one in answers] == [(200, "RECLAIMED")] * 2
    assert tenure.redeem(voucher, "cancel-2").status_code == 202


def test_what_was_cancelled_has_a_page_that_says_so_and_no_certificate(tenure: World) -> None:
    """Nothing was there: nothing is certified, and the holder is told that the voucher is good."""
    answer = book(tenure, "cancel-3")
    id, url = answer["account"], answer["claim_url"].removeprefix("https://tenure.example")
    tenure.act(f"/v1/accounts/{id}/cancel", {})
    english, chinese = (tenure.client.get(url, params={"lang": lang}).text for lang in ("en", "zh"))
    assert ("This account never began" in english, "此账户未开通" in chinese) == (True, True)
    missing = tenure.get(f"/v1/accounts/{id}/certificate")
    assert (missing.status_code, "nothing to certify" in missing.json()["detail"]) == (404, True)


def test_a_sender_moves_its_booking(tenure: World) -> None:
    """To an instant; the same again is the same."""
    id = book(tenure, "move-1")["account"]
    later = ahead(tenure, 9 * DAY)
    for _ in range(2):
        answer = tenure.act(f"/v1/accounts/{id}/move", {"begins_at": later}, "sender")
        assert answer.status_code == 200
        assert datetime.fromisoformat(answer.json()["begins_at"]) == datetime.fromisoformat(later)


def test_another_senders_booking_is_not_there(tenure: World) -> None:
    """Attack 15: 404 for reading, moving and cancelling; nothing in the calendar."""
    now = tenure.codes(sender=tenure.other)[0]
    answer = tenure.redeem(now, "theirs-1", secret=tenure.other_secret, sender="other", begins_at=ahead(tenure))
    id = answer.json()["account"]
    assert [tenure.act(f"/v1/accounts/{id}/{act}", body, "sender").status_code for act, body in (
        ("cancel", {}), ("move", {"begins_at": ahead(tenure)}))] == [404, 404]
    assert id not in [one["account"] for one in tenure.get("/v1/calendar", "sender").json()["bookings"]]
    assert id in [one["account"] for one in tenure.get("/v1/calendar").json()["bookings"]]


def test_a_viewer_may_not_cancel(tenure: World) -> None:
    """403."""
    id = book(tenure, "viewer-1")["account"]
    assert tenure.act(f"/v1/accounts/{id}/cancel", {}, "viewer").status_code == 403


def test_what_was_not_booked_is_not_cancelled(tenure: World) -> None:
    """409, with a code of its own."""
    id = tenure.redeem(tenure.codes()[0], "plain-1").json()["account"]
    answer = tenure.act(f"/v1/accounts/{id}/cancel", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_booked")


def test_the_calendar_counts_bookings_by_day(tenure: World) -> None:
    """Operators see places; a sender sees its bookings and nobody's figures."""
    at = tenure.clock() + 40 * DAY
    id = book(tenure, "calendar-1", at.isoformat())["account"]
    day = f"{at.astimezone(UTC) + timedelta(hours=8):%Y-%m-%d}"
    since: dict[str, Any] = {"from": day}
    found = tenure.get("/v1/calendar", days=2, **since).json()
    assert [(one["day"], one["booked"], one["places"]) for one in found["days"]][0] == (day, 1, 200)
    own = tenure.get("/v1/calendar", "sender", **since).json()
    assert (own["days"], id in [one["account"] for one in own["bookings"]]) == ([], True)


@pytest.mark.parametrize("query", [{"days": 0}, {"days": 94}, {"from": "soon"}, {"from": "9999-12-31"},
                                   {"from": "0001-01-01"}, {"unknown": 1}])
def test_a_calendar_that_cannot_be_is_400(tenure: World, query: dict[str, Any]) -> None:
    """Never 500."""
    assert tenure.get("/v1/calendar", **query).status_code == 400


def test_a_booking_becomes_usable_at_its_time(tenure: World) -> None:
    """No claim before, a certificate after; real time, moved on."""
    answer = book(tenure, "usable-1", ahead(tenure, timedelta(minutes=5)))
    url = answer["claim_url"].removeprefix("https://tenure.example")
    work(tenure)
    assert tenure.client.post(url, json={"ssh_public_key": public_key()}).status_code == 409
    assert tenure.get(f"/v1/accounts/{answer['account']}").json()["state"] == "PROVISIONING"


def test_without_a_place_the_nearest_beginnings_are_told(tmp_path: Path) -> None:
    """409 with `nearest`, which can be booked; for an account that is to begin now, 503 and when it might."""
    with world(tmp_path / "home", places=1) as small:
        book(small, "one-1", at := ahead(small))
        refusal = small.redeem(small.codes()[0], "one-2", begins_at=at)
        assert (refusal.status_code, refusal.json()["code"], "retry-after" in refusal.headers) == (
            409, "no_capacity", False)
        before, after = refusal.json()["nearest"]
        assert datetime.fromisoformat(before) < datetime.fromisoformat(at) < datetime.fromisoformat(after)
        book(small, "one-3", after)
        assert small.redeem(small.codes()[0], "one-4").status_code == 202
        now = small.redeem(small.codes()[0], "one-5")
        assert (now.status_code, now.headers["retry-after"], len(now.json()["nearest"])) == (503, "60", 1)
