"""The operators' API: who may see and do what, and what each action comes to."""

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from orchestrator.store import tokens
from tests.entry.http_site import usable, work
from tests.entry.http_world import World

DOCUMENT = hashlib.sha256(b"the signed paper").hexdigest()
ACTS: dict[str, dict[str, Any]] = {
    "extend": {"ends_at": "2030-01-01T00:00:00Z"}, "fence": {}, "unfence": {}, "reclaim": {},
    "retry": {}, "notify": {"text_zh": "今晚维护", "text_en": "maintenance"},
    "convert": {"contract": "c-1", "offer": "trial", "ends_at": "open", "document": DOCUMENT}}


def contract(tenure: World, which: str, event: str, **changed: Any) -> Any:
    """A signed contract, as a platform sends it."""
    data = {"account": which, "contract": f"c-{event}", "offer": "trial", "ends_at": "open", "document": DOCUMENT}
    body = {"type": "contract.signed", "timestamp": "2026-01-31T08:00:00Z", "data": data | changed}
    return tenure.post("/v1/contracts", json.dumps(body).encode(), event)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer"}, {"authorization": "Bearer x"},
                                     {"authorization": "Basic eDp5"}, {"authorization": "Bearer tenure_a_b"}])
def test_without_a_token_nothing_is_shown(tenure: World, headers: dict[str, str]) -> None:
    """401, and the attempt is journalled."""
    before = len(tenure.refusals())
    answer = tenure.client.get("/v1/accounts", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert len(tenure.refusals()) == before + 1


def test_a_revoked_token_opens_nothing(tenure: World) -> None:
    """At once."""
    with tenure.ctx.store.write() as tx:
        plain = tokens.make(tx, "viewer", "short", tenure.clock())
    headers = {"authorization": f"Bearer {plain}"}
    first = tenure.client.get("/v1/accounts", headers=headers).status_code
    with tenure.ctx.store.write() as tx:
        tokens.revoke(tx, plain.split("_")[1], tenure.clock())
    assert [first, tenure.client.get("/v1/accounts", headers=headers).status_code] == [200, 401]


@pytest.mark.parametrize("role", ["viewer", "sender"])
@pytest.mark.parametrize("act", sorted(ACTS))
def test_readers_may_not_act(tenure: World, role: str, act: str) -> None:
    """403, and journalled."""
    account = tenure.redeem(tenure.codes()[0], f"role-{role}-{act}").json()["account"]
    before = len(tenure.refusals())
    assert tenure.act(f"/v1/accounts/{account}/{act}", ACTS[act], role).status_code == 403
    assert len(tenure.refusals()) == before + 1


@pytest.mark.parametrize("path", ["", "/certificate", "/certificate.sig"])
def test_another_senders_account_is_404_and_journalled(tenure: World, path: str) -> None:
    """Attack 15: as if it were not there; the journal knows better."""
    account = tenure.redeem(tenure.codes()[0], f"theirs-{path}").json()["account"]
    before = len(tenure.refusals())
    theirs = tenure.get(f"/v1/accounts/{account}{path}", "other")
    nobodys = tenure.get(f"/v1/accounts/a222222222{path}", "other")
    assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")
    assert theirs.text == nobodys.text
    assert [row.subject for row in tenure.refusals()][:len(tenure.refusals()) - before] == [account]


def test_a_contract_for_another_senders_account_is_404_and_journalled(tenure: World) -> None:
    """Attack 15, by webhook."""
    theirs = tenure.redeem(tenure.codes(sender=tenure.other)[0], "theirs-1", secret=tenure.other_secret,
                           sender="other").json()["account"]
    before = len(tenure.refusals())
    assert contract(tenure, theirs, "steal-1").status_code == 404
    assert len(tenure.refusals()) == before + 1


def test_a_senders_list_holds_its_own_accounts_only(tenure: World) -> None:
    """Attack 15: whatever it asks for."""
    tenure.redeem(tenure.codes()[0], "own-1")
    tenure.redeem(tenure.codes(sender=tenure.other)[0], "own-2", secret=tenure.other_secret, sender="other")
    seen = tenure.get("/v1/accounts", "other", limit=200).json()["accounts"]
    assert {one["sender"] for one in seen} == {tenure.other}
    assert tenure.get("/v1/accounts", "other", sender="platform").json()["accounts"] == []


def test_pages_hold_every_account_once(tenure: World) -> None:
    """`next` leads to the page behind."""
    for number in range(5):
        tenure.redeem(tenure.codes()[0], f"page-{number}")
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = tenure.get("/v1/accounts", limit=2, **after).json()
        seen += [one["id"] for one in page["accounts"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == sorted(one["id"] for one in tenure.accounts())


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"state": "GONE"}, {"after": "../x"},
                                   {"ending_before": "tomorrow"}, {"stuck": "maybe"}, {"colour": "red"}])
def test_a_filter_that_is_not_one_is_400(tenure: World, query: dict[str, Any]) -> None:
    """Nothing is shown by mistake."""
    assert tenure.get("/v1/accounts", **query).status_code == 400


def test_filters_narrow_the_list(tenure: World) -> None:
    """By state, end, and mark."""
    account, _ = usable(tenure, "filter-1")
    soon = (tenure.clock() + timedelta(hours=25)).isoformat().replace("+00:00", "Z")
    ids = [one["id"] for one in tenure.get("/v1/accounts", state="ACTIVE", ending_before=soon, stuck=False,
                                           site="mem", limit=200).json()["accounts"]]
    assert account in ids
    assert tenure.get("/v1/accounts", state="FAILED").json()["accounts"] == []


def test_extend_moves_the_end_and_twice_is_once(tenure: World) -> None:
    """An instant, so that a repeated request does not add up."""
    account, _ = usable(tenure, "extend-1")
    until = (tenure.clock() + timedelta(days=2)).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    seen = [tenure.act(f"/v1/accounts/{account}/extend", {"ends_at": until}).json()["ends_at"] for _ in range(2)]
    assert seen == [until, until]


def test_fence_and_unfence(tenure: World) -> None:
    """An operator's fence is lifted again before the end."""
    account, _ = usable(tenure, "fence-1")
    fenced = tenure.act(f"/v1/accounts/{account}/fence", {"why": "asked by the holder"}).json()
    lifted = tenure.act(f"/v1/accounts/{account}/unfence", {}).json()
    assert (fenced["state"], fenced["fenced_by"], lifted["state"]) == ("FENCED", "operator", "ACTIVE")


def test_what_does_not_fit_the_state_is_409(tenure: World) -> None:
    """With its own code."""
    account, _ = usable(tenure, "unfit-1")
    answer = tenure.act(f"/v1/accounts/{account}/unfence", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_fenced")


def test_an_account_that_is_not_there_is_404(tenure: World) -> None:
    """For every action."""
    assert {tenure.act(f"/v1/accounts/a222222222/{act}", body).status_code for act, body in ACTS.items()} == {404}


def test_reclaimed_and_certified(tenure: World) -> None:
    """The certificate comes out byte for byte, and its signature verifies over those bytes."""
    account, _ = usable(tenure, "reclaim-1")
    early = tenure.get(f"/v1/accounts/{account}/certificate")
    assert (early.status_code, early.json()["code"]) == (404, "no_certificate")
    assert tenure.act(f"/v1/accounts/{account}/reclaim", {"why": "test"}).status_code == 202
    work(tenure)
    work(tenure)
    assert tenure.get(f"/v1/accounts/{account}").json()["state"] == "RECLAIMED"
    document = tenure.get(f"/v1/accounts/{account}/certificate", "sender")
    signature = tenure.get(f"/v1/accounts/{account}/certificate.sig", "sender").content
    key: Any = load_pem_public_key(tenure.client.get("/v1/certificate-key").content)
    key.verify(signature, document.content)
    assert tenure.get(f"/v1/accounts/{account}/certificate", "other").status_code == 404
    assert document.headers["tenure-signature"] == "ed25519=" + base64.b64encode(signature).decode()


def test_a_signed_contract_is_accepted_and_repeated(tenure: World) -> None:
    """The same answer to the same event; another body under its id is 409."""
    account, _ = usable(tenure, "contract-1")
    first, again = contract(tenure, account, "sign-1"), contract(tenure, account, "sign-1")
    assert (first.status_code, again.content) == (202, first.content)
    assert contract(tenure, account, "sign-1", contract="another").json()["code"] == "event_reused"
    assert tenure.get(f"/v1/accounts/{account}").json()["convert_asked"] is True


def test_the_same_contract_with_other_terms_is_409(tenure: World) -> None:
    """What was signed stays as it was signed, whoever sends it."""
    account, _ = usable(tenure, "contract-3")
    assert contract(tenure, account, "sign-3", contract="c-3").status_code == 202
    answer = contract(tenure, account, "sign-4", contract="c-3", document="0" * 64)
    assert (answer.status_code, answer.json()["code"]) == (409, "contract_differs")


def test_a_contract_that_comes_too_early_is_not_remembered(tenure: World) -> None:
    """Refused aloud; the same event is accepted once the account is usable."""
    account = tenure.redeem(tenure.codes()[0], "contract-2").json()["account"]
    early = contract(tenure, account, "sign-2")
    work(tenure)
    assert [early.status_code, early.json()["code"]] == [409, "not_ready"]
    assert contract(tenure, account, "sign-2").status_code == 202


@pytest.mark.parametrize("changed", [
    {"document": "abc"}, {"document": "G" * 64}, {"ends_at": "never"}, {"ends_at": None}, {"account": "../x"},
    {"contract": "a b"}, {"offer": "../x"}, {"price": 1}])
def test_an_odd_contract_is_400(tenure: World, changed: dict[str, object]) -> None:
    """Attacks 10 and 16."""
    account = tenure.redeem(tenure.codes()[0], f"odd-{abs(hash(str(changed)))}").json()["account"]
    assert contract(tenure, account, "sign-odd", **changed).status_code == 400


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"why":1}', b'{"why":"a","why":"b"}', b'{"x":1}', b'{"why":"a\\nb"}',
                                 b'{"why":"' + b"x" * 300 + b'"}'])
def test_an_odd_body_of_an_action_is_400(tenure: World, raw: bytes) -> None:
    """As strict as the webhooks."""
    account = tenure.redeem(tenure.codes()[0], f"raw-{raw[:20].hex()}").json()["account"]
    headers = {"authorization": f"Bearer {tenure.tokens['operator']}"}
    assert tenure.client.post(f"/v1/accounts/{account}/fence", content=raw, headers=headers).status_code == 400


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nothing", 404), ("PUT", "/v1/accounts", 405), ("GET", "/v1/redemptions", 405),
    ("GET", "/v1/accounts/", 404), ("DELETE", "/claim/x", 405)])
def test_what_is_no_door_is_a_problem_too(tenure: World, method: str, path: str, status: int) -> None:
    """Every error has the same shape."""
    answer = tenure.client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_nobody_but_the_certificate_shows_a_name_or_mail(tenure: World) -> None:
    """The API speaks in ids."""
    tenure.redeem(tenure.codes()[0], "private-1")
    text = tenure.get("/v1/accounts", "admin", limit=200).text
    assert "lab@example.com" not in text
    assert "南京" not in text


def test_the_openapi_document_is_whole(tenure: World) -> None:
    """Every reference leads somewhere, every operation has a name of its own, every body a schema."""
    document = tenure.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split('#/components/schemas/')[1:]}
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert references <= schemas.keys()
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert all("requestBody" in path["post"] for path in document["paths"].values() if "post" in path)


def test_what_openapi_says_of_an_account_is_what_comes(tenure: World) -> None:
    """Field for field."""
    account, _ = usable(tenure, "openapi-1")
    document = tenure.client.get("/openapi.json").json()
    assert document["components"]["schemas"]["AccountOut"]["properties"].keys() == tenure.get(
        f"/v1/accounts/{account}").json().keys()


def test_health_readiness_and_metrics(tenure: World) -> None:
    """Alive, ready, and counted by state."""
    seen = [tenure.client.get(path) for path in ("/healthz", "/readyz", "/workz", "/metrics")]
    assert [one.status_code for one in seen] == [200, 200, 200, 200]
    assert 'tenure_accounts{state="ACTIVE"}' in seen[3].text
    assert "tenure_outbox_depth" in seen[3].text


def test_work_that_waits_is_said_and_turns_nobody_away(tenure: World) -> None:
    """Without a worker the doors go on accepting; whoever asks for the work hears that it waits."""
    tenure.redeem(tenure.codes()[0], "waiting-1")
    tenure.clock.ahead = timedelta(minutes=2)
    answer = tenure.client.get("/workz")
    assert (answer.status_code, answer.json()["code"]) == (503, "work_waits")
    assert tenure.client.get("/readyz").status_code == 200


