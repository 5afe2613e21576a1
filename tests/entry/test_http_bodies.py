"""What comes in may be anything: it is understood in exactly one way, or refused with 4xx; never 500."""

import json
import socket
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.store import vouchers
from tests.entry.http_world import World, public_key, redemption, signed

HOLDER = {"id": "u-1", "name": "Zhang Wei", "kind": "firm", "email": "lab@example.com"}


def posted(tenure: World, body: bytes, event: str, sender: str = "platform") -> httpx.Response:
    """Signed rightly, whatever it is."""
    secret = {"platform": tenure.secret, "trusted": tenure.trusted_secret}[sender]
    return tenure.post("/v1/redemptions", body, event, secret=secret, sender=sender)


def refused(tenure: World, body: bytes, status: int = 400, sender: str = "platform") -> dict[str, Any]:
    """It must be a problem of this status, and change nothing."""
    before = len(tenure.accounts())
    answer = posted(tenure, body, "body-refused", sender)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code"} <= problem.keys()
    assert problem["status"] == status
    assert len(tenure.accounts()) == before
    return problem


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b'"x"', b"{", b"{}", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"type":"voucher.redeemed"}',
    b'{"type":"other","timestamp":"2026-01-01T00:00:00Z","data":{}}'])
def test_a_malformed_body_is_400(tenure: World, body: bytes) -> None:
    """Attack 8, with a right signature."""
    if b"\xff" in body:
        answer = tenure.client.post("/v1/redemptions", content=body,
                                    headers=signed(tenure.secret, b"", "m-1", tenure.clock(), "platform"))
        assert answer.status_code == 401
    else:
        refused(tenure, body)


@pytest.mark.parametrize("header", [
    {"webhook-signature": ""}, {"webhook-signature": "v1"}, {"webhook-signature": "v1,"}, {"webhook-signature": ",,,"},
    {"webhook-signature": "v1,!!!!"}, {"webhook-signature": "v9,AAAA"},
    {"webhook-signature": " ".join(["v1,AAAA"] * 1000)},
    {"webhook-timestamp": ""}, {"webhook-timestamp": "nan"}, {"webhook-timestamp": "1e9"},
    {"webhook-timestamp": "-1"}, {"webhook-timestamp": "9" * 400}, {"webhook-timestamp": "99999999999"},
    {"webhook-timestamp": "1_700_000_000"}, {"webhook-id": ""}, {"webhook-id": "x" * 5000}, {"webhook-id": "a b"},
    {"x-tenure-sender": "../x"}, {"x-tenure-sender": ""}])
def test_malformed_headers_are_401(tenure: World, header: dict[str, str]) -> None:
    """Attack 8: the library raises on some of these; the door does not."""
    body = redemption("AAAA-BBBB")
    headers = signed(tenure.secret, body, "h-1", tenure.clock(), "platform") | header
    answer = tenure.client.post("/v1/redemptions", content=body, headers=headers)
    assert 400 <= answer.status_code < 500


def test_a_header_twice_is_401(tenure: World) -> None:
    """Attack 8: nobody has to guess which of the two was meant."""
    body = redemption("AAAA-BBBB")
    headers = [*signed(tenure.secret, body, "h-2", tenure.clock(), "platform").items(), ("webhook-id", "other")]
    answer = tenure.client.post("/v1/redemptions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "headers_malformed")


@pytest.mark.parametrize("inside", [
    '{"voucher":"AAAA","voucher":"BBBB"}', '{"hours":NaN}', '{"hours":Infinity}', '{"hours":1e999}',
    '{"hours":' + "9" * 5000 + "}", '{"voucher":"\\ud800"}', '{"voucher":"a\\u0000b"}',
    '{"a":' * 50 + "1" + "}" * 50, "[" * 30_000 + "]" * 30_000, "[" * 60_000])
def test_json_with_two_meanings_is_400(tenure: World, inside: str) -> None:
    """Attack 9: duplicate keys, NaN, half characters, deep nesting."""
    body = '{"type":"voucher.redeemed","timestamp":"2026-01-01T00:00:00Z","data":' + inside + "}"
    assert refused(tenure, body.encode())["code"] == "bad_json"


@pytest.mark.parametrize("size", [64 * 1024 + 1, 10 * 1024 * 1024])
def test_a_large_body_is_413(tenure: World, size: int) -> None:
    """Attack 9: it is not read to its end."""
    answer = tenure.client.post("/v1/redemptions", content=b"x" * size)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_large_body_in_chunks_is_413(tenure: World) -> None:
    """Attack 9: without a length, too."""
    answer = tenure.client.post("/v1/redemptions", content=(b"x" * 65536 for _ in range(3)))
    assert answer.status_code == 413


@pytest.mark.parametrize("hours", [0, -1, 10**9, 1.5, "24", True, None, [], 8785])
def test_odd_durations_are_400(tenure: World, hours: object) -> None:
    """Attack 10: from a sender whose payload may say how long."""
    body = redemption("TRUST-0001", offer="trial", hours=hours)
    if hours is None:
        assert posted(tenure, body, "hours-none", "trusted").status_code == 202
    else:
        refused(tenure, body, sender="trusted")


@pytest.mark.parametrize("field", ["ends_at", "sender", "site", "quota", "storage", "generation", "Voucher", "x"])
def test_unknown_fields_are_400(tenure: World, field: str) -> None:
    """Attacks 10 and 16: a sender cannot set an end, a tenant or a quota."""
    assert field in refused(tenure, redemption(tenure.codes()[0], **{field: 1}))["detail"]


@pytest.mark.parametrize("field", ["hours", "valid_from", "valid_until"])
def test_a_sender_with_codes_cannot_say_how_long(tenure: World, field: str) -> None:
    """Attack 16: that stands in the voucher."""
    value = 24 if field == "hours" else "2026-01-01T00:00:00Z"
    refused(tenure, redemption(tenure.codes()[0], **{field: value}))


@pytest.mark.parametrize("name", [
    "x; rm -rf /", "$(id)", "`id`", "a|b", "a && b", "../../etc/passwd", "/etc", "-oProxyCommand=x", "--help", "a\nb",
    "a\r\nb", "a\tb", "root", "ROOT", "аdmin", "ｒｏｏｔ", "a\u202eb", "a\u200bb", " x", "",
    "<script>", "x" * 201, "😀"])
def test_dangerous_names_are_400(tenure: World, name: str) -> None:
    """Attack 11: shell, path, option and newline characters, look-alikes, `root`."""
    refused(tenure, redemption(tenure.codes()[0], holder=HOLDER | {"name": name}))


@pytest.mark.parametrize("holder", [
    {"id": "-x"}, {"id": "a b"}, {"id": "root"}, {"id": "a/../b"}, {"id": "ü"}, {"id": 5}, {"id": "x" * 129},
    {"email": "a@b"}, {"email": "a b@c.de"}, {"email": "a@b.cd\nBcc: x@y.zz"}, {"email": "<a@b.cd>"}, {"kind": "king"},
    {"entity": "91320100MA1ABCDE0X"}, {"entity": ""}, {"extra": 1}])
def test_odd_holders_are_400(tenure: World, holder: dict[str, object]) -> None:
    """Attack 11: ids, mail addresses, kinds, and the check digit of a credit code."""
    refused(tenure, redemption(tenure.codes()[0], holder=HOLDER | holder))


@pytest.mark.parametrize("name", ["南京某某（江苏）有限公司", "宏达AI研究院", "Zhang Wei", "O’Neil", "Müller GmbH",
                                  "АО Ромашка", "山田 太郎", "김철수", "محمد علي", "José García-López"])
def test_peoples_names_are_accepted(tenure: World, name: str) -> None:
    """Whoever has a name can have an account."""
    answer = tenure.redeem(tenure.codes()[0], f"name-{name.encode().hex()}"[:100], holder=HOLDER | {"name": name})
    assert answer.status_code == 202, answer.text


def test_a_right_credit_code_is_accepted(tenure: World) -> None:
    """统一社会信用代码 with its check digit."""
    answer = tenure.redeem(tenure.codes()[0], "entity-1", holder=HOLDER | {"entity": "91350100M000100Y43"})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("voucher", ["", "a", "a b c d", "../..", "x" * 129, 12345, None, "ＡＢＣＤ", "AAAA\n"])
def test_odd_voucher_codes_are_400(tenure: World, voucher: object) -> None:
    """Attack 11; and what was sent is not repeated in the answer."""
    refused(tenure, redemption(voucher))


def test_a_refusal_does_not_repeat_the_voucher(tenure: World) -> None:
    """Attack 17: answers are logged by those who get them."""
    assert "SECRET-CODE" not in json.dumps(refused(tenure, redemption("SECRET-CODE!", ssh_public_key="x")))


def test_an_unknown_voucher_and_a_wrong_offer_have_codes_of_their_own(tenure: World) -> None:
    """A platform can tell its users what is wrong."""
    seen = [refused(tenure, body, 422)
            for body in (redemption("NOT-A-CODE"), redemption(tenure.codes()[0], offer="x"))]
    assert [one["code"] for one in seen] == ["voucher_unknown", "offer_mismatch"]


@pytest.mark.parametrize(("begins", "ends", "code"), [(-10, -1, "voucher_expired"), (1, 10, "voucher_not_yet_valid")])
def test_a_voucher_outside_its_validity_is_422(tenure: World, begins: int, ends: int, code: str) -> None:
    """Too late and too early are told apart, for codes that Tenure knows and for payloads that are trusted."""
    now = tenure.clock()
    first, last = now + timedelta(days=begins), now + timedelta(days=ends)
    with tenure.ctx.store.write() as tx:
        known = vouchers.issue(tx, tenure.platform, "trial", 1, first, last)[0]
    trusted = redemption("TRUSTED-1", offer="trial", valid_from=first.isoformat(), valid_until=last.isoformat())
    assert refused(tenure, redemption(known), 422)["code"] == code
    assert refused(tenure, trusted, 422, sender="trusted")["code"] == code


def test_a_void_voucher_is_422(tenure: World) -> None:
    """Its own code again."""
    known = tenure.codes()[0]
    with tenure.ctx.store.write() as tx:
        vouchers.void(tx, vouchers.digest(tenure.ctx.keyring, tenure.platform, known))
    assert refused(tenure, redemption(known), 422)["code"] == "voucher_void"


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z",
                                "2026-01-01", "2026-01-01T00:00:00", "1767225600", "２０２６-01-01T00:00:00Z",
                                "3000-01-01T00:00:00Z", "2026-01-01T24:30:00Z", "2026-01-01T00:00:00+99:99"])
def test_an_instant_that_is_none_is_400(tenure: World, at: str) -> None:
    """Attack 10: with an offset, on the calendar, and not at its edge."""
    refused(tenure, redemption("TRUSTED-2", offer="trial", valid_until=at), sender="trusted")


WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
JSONISH = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
                       lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
                       max_leaves=12)
FILTERS = ["limit", "after", "state", "ending_before", "stuck", "site", "sender", "x"]
FIELDS = ("voucher", "holder", "offer", "ssh_public_key", "hours", "account", "contract", "ends_at", "document")
HTTP_NEVER = frozenset({*range(9), *range(10, 32), 127})
"""Bytes that a client refuses to send; `test_raw_requests_are_not_500` sends them without one."""
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(raw=st.binary(max_size=400))
def test_random_bytes_are_4xx(tenure: World, raw: bytes) -> None:
    """Attack 8: signed rightly where that is possible at all."""
    for path in ("/v1/redemptions", "/v1/contracts"):
        answer = tenure.client.post(path, content=raw, headers=signed(tenure.secret, raw, "fuzz", tenure.clock()))
        assert 400 <= answer.status_code < 500


@FUZZ
@given(data=st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSONISH)))
def test_random_json_is_4xx(tenure: World, data: dict[str, Any]) -> None:
    """Attack 8: of the right outer shape, with anything inside."""
    for path, kind in (("/v1/redemptions", "voucher.redeemed"), ("/v1/contracts", "contract.signed")):
        body = json.dumps({"type": kind, "timestamp": "2026-01-01T00:00:00Z", "data": data}).encode()
        assert 400 <= tenure.post(path, body, "fuzz-json").status_code < 500


@FUZZ
@given(body=st.binary(max_size=200), path=st.text(st.characters(codec="utf-8"), max_size=30),
       query=st.dictionaries(st.sampled_from(FILTERS),
                             WORDS, max_size=3))
def test_random_calls_of_the_api_are_4xx(tenure: World, body: bytes, path: str, query: dict[str, str]) -> None:
    """Attack 8, with a valid token: bodies, ids and filters of any kind."""
    token = {"authorization": f"Bearer {tenure.tokens['admin']}"}
    account = "/v1/accounts/x" + quote(path, safe="")
    seen = [tenure.client.get("/v1/accounts", params=query, headers=token),
            tenure.client.get(account, headers=token),
            *(tenure.client.post(f"/v1/accounts/aaaaaaaaaa/{act}", content=body, headers=token)
              for act in ("extend", "fence", "unfence", "reclaim", "convert"))]
    assert all(answer.status_code < 500 for answer in seen)
    assert all(answer.status_code >= 400 for answer in seen[1:])


@FUZZ
@given(name=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-tenure-sender",
                             "authorization", "content-type", "accept-language", "cookie"]),
       value=st.binary(max_size=60).filter(lambda raw: raw == raw.strip() and not set(raw) & HTTP_NEVER))
def test_random_headers_are_not_500(tenure: World, name: str, value: bytes) -> None:
    """Attack 8: any bytes that HTTP lets through."""
    body = redemption("AAAA-BBBB")
    headers: dict[Any, Any] = dict(signed(tenure.secret, body, "fuzz-head", tenure.clock())) | {name: value}
    assert tenure.client.post("/v1/redemptions", content=body, headers=headers).status_code < 500
    assert tenure.client.get("/v1/accounts", headers={name.encode(): value}).status_code < 500
    assert tenure.client.get("/claim/x", headers={name.encode(): value}).status_code < 500


@FUZZ
@given(target=st.binary(max_size=60), header=st.binary(max_size=60), body=st.binary(max_size=60))
def test_raw_requests_are_not_500(tenure: World, target: bytes, header: bytes, body: bytes) -> None:
    """Attack 8: not even HTTP."""
    url = httpx.URL(tenure.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as wire:
        wire.sendall(b"POST /" + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + header
                     + b"\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
        wire.shutdown(socket.SHUT_WR)
        answer = wire.recv(4096)
    assert not answer.startswith(b"HTTP/1.1 5")


def test_the_odd_key_in_a_redemption_is_400(tenure: World) -> None:
    """Options before a key would be obeyed by sshd."""
    refused(tenure, redemption(tenure.codes()[0], ssh_public_key='command="sh" ' + public_key()))
