"""Attack 17 at the doors: what opens an account or signs for a platform lies nowhere in the clear."""

import logging
from pathlib import Path

import pytest

from tests.entry.http_site import usable
from tests.entry.http_world import World, public_key


def everything(folder: Path) -> bytes:
    """All that Tenure has written: database, write-ahead log, files."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_no_claim_token_in_the_log(tenure: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in ours nor in the server's own access log."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "tenure.access")
    logging.getLogger("uvicorn.access").propagate = True
    _, url = usable(tenure, "log-1")
    token = url.rsplit("/", 1)[1]
    tenure.client.get(f"{url}?lang=zh")
    tenure.client.get(f"{url}/certificate")
    tenure.client.post(url, json={"ssh_public_key": public_key()})
    # The test's own client writes what it asks for; what counts is what the server writes.
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert {"uvicorn.access", "tenure.access"} <= {record.name for record in caplog.records}
    assert any("/claim/…" in line for line in lines)
    assert not any(token.partition(".")[2] in line for line in lines)


def test_no_bearer_token_and_no_voucher_in_the_log(tenure: World, caplog: pytest.LogCaptureFixture) -> None:
    """Not even when they are refused."""
    caplog.set_level(logging.DEBUG, "tenure")
    code = tenure.codes()[0]
    tenure.redeem(code, "log-2")
    tenure.redeem(code, "log-3")
    tenure.get("/v1/accounts")
    tenure.client.get("/v1/accounts", headers={"authorization": "Bearer tenure_wrong_wrongwrong"})
    assert code not in caplog.text
    assert "wrongwrong" not in caplog.text
    assert tenure.tokens["viewer"] not in caplog.text


def test_no_secret_in_the_database(tenure: World) -> None:
    """Codes, tokens, sender secrets, claim tokens, names and mail: none of them can be read in its files."""
    code = tenure.codes()[0]
    tenure.redeem(code, "db-1")
    _, url = usable(tenure, "db-2")
    tenure.client.post(url, json={"ssh_public_key": public_key()})
    written = everything(tenure.ctx.home)
    secrets = [code, tenure.secret, tenure.secret.removeprefix("whsec_"), url.rsplit("/", 1)[1],
               *tenure.tokens.values(), "lab@example.com", "科技有限公司"]
    assert [secret for secret in secrets if secret.encode() in written] == []


def test_a_path_cannot_forge_a_line_of_the_log(tenure: World, caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks in a path stay in their line."""
    caplog.set_level(logging.DEBUG, "tenure.access")
    tenure.client.get("/x%0aGET /forged 200")
    lines = [record.getMessage() for record in caplog.records if record.name == "tenure.access"]
    assert not any("\n" in line for line in lines)
