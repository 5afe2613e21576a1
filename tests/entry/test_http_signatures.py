"""Who signed it: nothing happens, and nothing is said, before the signature is right."""

from datetime import timedelta

import pytest

from orchestrator.store import senders
from tests.entry.http_world import World, redemption, signed


def refused(tenure: World, status: int, headers: dict[str, str], body: bytes, path: str = "/v1/redemptions") -> str:
    """Post this; it must be refused, journalled, and change nothing. Gives the code."""
    accounts, noted = len(tenure.accounts()), len(tenure.refusals())
    answer = tenure.client.post(path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(tenure.accounts()) == accounts
    assert len(tenure.refusals()) == noted + 1
    code: str = answer.json()["code"]
    return code


@pytest.mark.parametrize("path", ["/v1/redemptions", "/v1/contracts"])
def test_no_signature_is_401(tenure: World, path: str) -> None:
    """Attack 1: without a signature nothing changes, and the attempt is journalled."""
    assert refused(tenure, 401, {}, redemption("AAAA-BBBB"), path) == "signature_missing"


def test_a_wrong_signature_is_401(tenure: World) -> None:
    """Attack 1: a signature of nobody's."""
    body = redemption(tenure.codes()[0])
    headers = signed("whsec_c2VjcmV0IG9mIG5vYm9keSBhdCBhbGw=", body, "sig-1", tenure.clock())
    assert refused(tenure, 401, headers, body) == "signature_wrong"


def test_another_senders_signature_is_401(tenure: World) -> None:
    """Attack 1: signed by one sender in the name of another."""
    body = redemption(tenure.codes()[0])
    headers = signed(tenure.other_secret, body, "sig-2", tenure.clock(), "platform")
    assert refused(tenure, 401, headers, body) == "signature_wrong"


def test_an_unknown_sender_is_told_the_same_as_a_wrong_signature(tenure: World) -> None:
    """Attack 1: nobody learns which senders there are."""
    body = redemption(tenure.codes()[0])
    headers = signed(tenure.secret, body, "sig-3", tenure.clock(), "nobody")
    assert refused(tenure, 401, headers, body) == "signature_wrong"


def test_another_senders_voucher_is_not_known(tenure: World) -> None:
    """Attack 1: a platform cannot use up another platform's vouchers."""
    answer = tenure.redeem(tenure.codes()[0], "sig-4", secret=tenure.other_secret, sender="other")
    assert (answer.status_code, answer.json()["code"]) == (422, "voucher_unknown")


@pytest.mark.parametrize("at", [0, 40, -1])
def test_one_byte_changed_is_401(tenure: World, at: int) -> None:
    """Attack 2: the signature is over the very bytes."""
    body = bytearray(redemption(tenure.codes()[0]))
    headers = signed(tenure.secret, bytes(body), f"byte-{at}", tenure.clock(), "platform")
    body[at] ^= 1
    assert refused(tenure, 401, headers, bytes(body)) == "signature_wrong"


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_one_header_changed_is_401(tenure: World, header: str) -> None:
    """Attack 2: id and time are signed too."""
    body = redemption(tenure.codes()[0])
    headers = signed(tenure.secret, body, "head-1", tenure.clock(), "platform")
    headers[header] = headers[header][:-1] + str((int(headers[header][-1]) + 1) % 10)
    assert refused(tenure, 401, headers, body) == "signature_wrong"


@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6), timedelta(days=-3650)])
def test_stale_and_future_are_401(tenure: World, off: timedelta) -> None:
    """Attack 3: a recorded request is worth nothing five minutes later."""
    body = redemption(tenure.codes()[0])
    headers = signed(tenure.secret, body, "stale-1", tenure.clock() + off, "platform")
    assert refused(tenure, 401, headers, body) == "timestamp_out_of_window"


@pytest.mark.parametrize("sender", ["platform", None])
def test_the_sender_may_be_named_or_found_by_its_signature(tenure: World, sender: str | None) -> None:
    """Clients that cannot add a header need none."""
    assert tenure.redeem(tenure.codes()[0], f"named-{sender}", sender=sender).status_code == 202


def test_the_sender_may_be_named_in_the_query(tenure: World) -> None:
    """The address that a platform is given can carry its name."""
    answer = tenure.post("/v1/redemptions?sender=platform", redemption(tenure.codes()[0]), "query-1", sender=None)
    assert answer.status_code == 202


def test_after_a_rotation_both_secrets_sign_until_the_overlap_ends(tenure: World) -> None:
    """Attack 22: the old secret works in the overlap and is refused after it."""
    with tenure.ctx.store.write() as tx:
        _, old = senders.add(tx, "rotating", "codes", None, tenure.clock())
        known = senders.get(tx, "rotating")
        assert known is not None
        new = senders.rotate(tx, known.id, tenure.clock(), timedelta(hours=1))
    codes = tenure.codes(3, known.id)
    seen = [tenure.redeem(codes[0], "rot-1", secret=old, sender="rotating").status_code,
            tenure.redeem(codes[1], "rot-2", secret=new, sender="rotating").status_code]
    tenure.clock.ahead = timedelta(hours=2)
    seen.append(tenure.redeem(codes[2], "rot-3", secret=old, sender="rotating").status_code)
    assert seen == [202, 202, 401]
