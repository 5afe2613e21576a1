"""The example programmes as they are, on a real cluster: from the draw to the contract's end, in minutes instead of
days because operators move the ends. Holders hear of everything by mail, from a real server on loopback."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import yaml

from tests.demo import probes
from tests.demo.world import World
from tests.drive import DriveError, Holder, until
from tests.flows import postoffice
from tests.flows.postoffice import PostOffice
from tests.lab.independent import listing
from tests.lab.slurm import SlurmLab
from tests.lab.tenured import offer_document
from tests.whole.conftest import installation

EXAMPLES = Path(__file__).parents[2] / "examples" / "programmes"
OFFERS = [
    offer_document("starter", timedelta(hours=24), grace="1s"),
    offer_document("inference", timedelta(days=7), grace="1s", chips={"ascend-910b": 1}),
    offer_document("larger", timedelta(days=30), memory="512MiB", storage="96MiB", grace="1s"),
]
"""Under the examples' own names, in a lab's sizes."""
UNIVERSITY = {"id": "u-1", "name": "某大学", "kind": "university", "email": "lab@example.edu.cn",
              "entity": "91350100M000100Y43"}
PAPER = hashlib.sha256(b"paper").hexdigest()


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostOffice]:
    """A mail server that wants TLS and a password."""
    with postoffice.office(tmp_path_factory.mktemp("post")) as made:
        yield made


@pytest.fixture(scope="module")
def city(post: PostOffice) -> Iterator[World]:
    """A cluster with the example programmes and prices; its accelerators bear the examples' name."""
    with installation(SlurmLab(f"pr{os.getpid()}"), OFFERS) as made:
        settings = made.tenure.home / "tenure.yaml"
        known = yaml.safe_load(settings.read_text())
        settings.write_text(yaml.safe_dump({**known, "mail": post.settings.model_dump(mode="json")}))
        for file in sorted(EXAMPLES.glob("*.yaml")):
            if file.name != "jiangsu-sites.yaml":
                made.tenure.cli("apply", "-f", str(this_year(file, made.tenure.home.parent / file.name)))
        made.tenure.serve()
        yield made


def this_year(file: Path, changed: Path) -> Path:
    """The example; one that was for a year gone by is for all years."""
    document = yaml.safe_load(file.read_text("utf-8"))
    for one in document.get("programmes", []):
        one.pop("from", None)
        one.pop("until", None)
    changed.write_text(yaml.safe_dump(document, allow_unicode=True))
    return changed


def redeem(city: World, code: str, **more: Any) -> dict[str, Any]:
    """One signed redemption of the university's."""
    event = f"msg_{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    body = {"type": "voucher.redeemed", "data": {"voucher": code, "holder": UNIVERSITY, **more}}
    answer = city.tenure.post("/v1/redemptions", body, secret=city.secret, event=event, sender="portal")
    said: dict[str, Any] = answer.json()
    return said


def usable(city: World, accepted: dict[str, Any], folder: Path) -> tuple[str, Holder, dict[str, Any]]:
    """The account once it is usable, and its holder with a certificate."""
    account = accepted["account"]
    seen = city.tenure.wait(account, {"ACTIVE"}, city.token, within=60)
    holder = Holder(folder)
    holder.claim(accepted["claim_url"])
    return account, holder, seen


def voucher(city: World, programme: str, worth: str) -> str:
    made = city.tenure.cli("voucher", "issue", "--programme", programme, "--worth", worth)
    return str(made["codes"][0])


def lasts(seen: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(seen["ends_at"]) - datetime.fromisoformat(seen["starts_at"])


def mailed(post: PostOffice, account: str, *events: str) -> dict[str, EmailMessage]:
    """The mails about the account by event, once all of these have arrived."""
    def look() -> dict[str, EmailMessage] | None:
        found = {one["Tenure-Event"]: one for one in post.box.mails if one["Tenure-Account"] == account}
        return found if set(events) <= set(found) else None
    return until(f"mail of {', '.join(events)}", look, within=30, every=0.2)


def words(mail: EmailMessage) -> str:
    """What its reader sees without HTML."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def ended(city: World, account: str, *how: str) -> None:
    """An operator moves the end to in a moment, or ends it as told; then nothing is left, as plain commands see it."""
    uid = probes.uid_of(account)
    in_a_moment = ("account", "extend", account, "--to", "+4s", "--why", "the tests' short times", "--yes")
    city.tenure.cli(*(how or in_a_moment))
    city.tenure.wait(account, {"RECLAIMED"}, city.token, within=90)
    assert listing(city.place, account, uid) == []
    assert city.tenure.cli("certificate", "verify", account)["ok"]


def won(city: World, folder: Path) -> str:
    """The code of one of 25 vouchers of 96 h, drawn as the city draws them, checked by anybody."""
    run, result = city.tenure.cli, folder / "result.json"
    run("draw", "open", "week-1", "--programme", "nanjing-trial", "--closes", "+12s", "--vouchers", "25x96")
    who = [f"--{name.replace('_', '-')}" for name in ("holder_id", "holder_name", "kind", "email", "entity")]
    words = [word for pair in zip(who, UNIVERSITY.values(), strict=True) for word in pair]
    mine = run("draw", "enter", "week-1", *words)["entrant"]
    run("draw", "enter", "week-1", "--holder-id", "p-2", "--holder-name", "李雷", "--email", "b@example.com")
    committed = until("entries close", lambda: closed(city), within=40)["commitment"]
    run("draw", "run", "week-1", "--value", "SSE 3412.07", "--out", str(result))
    assert run("draw", "verify", str(result), "--commitment", committed)["ok"]
    winners = run("draw", "winners", "week-1")
    assert len(winners) == 2
    return next(str(one["code"]) for one in winners if one["entrant"] == mine)


def closed(city: World) -> Any:
    """The list of entrants once it is fixed; while the draw is open, the command fails and prints none."""
    return city.tenure.cli("draw", "run", "week-1", codes=(0, 1))


def contracted(city: World, account: str, *terms: str) -> dict[str, Any]:
    """A contract of 30 days, drafted by an operator and signed at its link by the holder."""
    drafted: dict[str, Any] = city.tenure.cli("contract", "draft", account, "--class", "C", *terms)
    signing = {"document": drafted["document"], "agreed": "yes"}
    answer = httpx.post(drafted["signing_url"], data=signing, follow_redirects=True, timeout=30)
    assert answer.status_code == 200, answer.text
    city.tenure.wait(account, {"CONTRACTED"}, city.token, within=60)
    return drafted


def test_a_drawn_trial_becomes_a_contract_with_money_off(city: World, post: PostOffice, tmp_path: Path) -> None:
    """Nanjing's trial of 96 h, its rental in place with a job running through, Wuxi's cash off the bill, the end; and
    a mail about each of these, the last with the certificate."""
    account, holder, seen = usable(city, redeem(city, won(city, tmp_path)), tmp_path / "holder")
    assert lasts(seen) == timedelta(hours=96)
    job = holder.ssh("sbatch", "--parsable", "-o", "kept", "--wrap", "'sleep 3; echo done'").stdout.strip()
    assert job.isdigit()
    cash = voucher(city, "wuxi-cash", "100.00")
    assert redeem(city, cash)["code"] == "contract_needed"
    paper = contracted(city, account, "--until", "+30d", "--offer", "larger")
    until("the job ends", lambda: holder.ssh("cat kept").stdout == b"done\n" or None, within=30, every=0.5)
    assert redeem(city, cash, account=account)["account"] == account
    shown = city.tenure.cli("contract", "show", paper["contract"])
    assert (shown["stage"], shown["vouchers"]) == ("active", "100.00")
    month = f"{datetime.now(ZoneInfo('Asia/Shanghai')):%Y-%m}"
    bill = city.tenure.cli("bill", "preview", account, "--month", month)
    assert sum(Decimal(line["amount"]) for line in bill["lines"]) == Decimal(bill["payable"])
    assert {line["contract"] for line in bill["lines"]} - {None} == {paper["contract"]}
    ended(city, account)
    assert city.tenure.cli("contract", "show", paper["contract"])["stage"] == "ended"
    mails = mailed(post, account, "account.redeemed", "account.usable", "contract.drafted", "contract.signed",
                   "contract.active", "account.fenced", "account.reclaimed")
    assert {one["To"].addresses[0].addr_spec for one in mails.values()} == {UNIVERSITY["email"]}
    assert paper["signing_url"] in words(mails["contract.drafted"])
    assert [one.get_filename() for one in mails["account.reclaimed"].iter_attachments()]


def test_a_trial_that_is_booked_ahead_begins_at_its_time(city: World, post: PostOffice, tmp_path: Path) -> None:
    """Some seconds ahead: nobody gets in before, the whole 24 h count from then, and the holder is told by mail."""
    code = voucher(city, "nanjing-ahead", "24")
    assert redeem(city, code)["code"] == "begin_missing"
    begins_at = datetime.now(UTC) + timedelta(seconds=12)
    accepted = redeem(city, code, begins_at=begins_at.isoformat())
    early = Holder(tmp_path / "early")
    with suppress(DriveError):
        early.claim(accepted["claim_url"])
        assert datetime.now(UTC) >= begins_at
    account, holder, seen = usable(city, accepted, tmp_path / "early")
    assert (datetime.fromisoformat(seen["starts_at"]) >= begins_at, lasts(seen)) == (True, timedelta(hours=24))
    assert holder.ssh("srun", "echo", "on time").stdout.strip() == b"on time"
    mails = mailed(post, account, "account.redeemed", "account.usable")
    assert [accepted["claim_url"] in words(one) for one in mails.values()] == [True] * len(mails)
    city.tenure.cli("account", "fence", account, "--why", "it was used", "--yes")
    ended(city, account, "account", "reclaim", account, "--why", "nobody waits three days", "--yes")


def test_resource_hours_are_an_account_with_the_chip(city: World, tmp_path: Path) -> None:
    """Guizhou in kind: two hours of one chip last two hours; a job gets the chip, a second chip is refused. What was
    used is known when nothing is left."""
    account, holder, seen = usable(city, redeem(city, voucher(city, "guizhou-in-kind", "2")), tmp_path / "holder")
    assert lasts(seen) == timedelta(hours=2)
    assert holder.ssh("srun", "--gres=npu:1", "sh", "-c", "'sleep 3; echo on it'").stdout.strip() == b"on it"
    assert holder.ssh("sbatch", "--gres=npu:2", "--wrap", "true").returncode != 0
    ended(city, account)
    used = {one["meter"]: one["amount"] for one in city.tenure.cli("usage", "show", account)["days"]}
    assert used["chip:ascend-910b"] >= 2000


def test_cash_without_a_contract_is_refused(city: World) -> None:
    """Guizhou's cash voucher makes no account, and says what it is for."""
    said = redeem(city, voucher(city, "guizhou-cash", "500.00"))
    assert (said["code"], "is taken off a contract's bill" in said["detail"]) == ("contract_needed", True)


def test_a_share_of_what_was_paid(city: World) -> None:
    """Yangzhou: 30 % of 100,000 yuan, on a paid and signed contract; nothing is made at the cluster."""
    made = city.tenure.cli(
        "subsidy", "decide", "INV-1", "--programme", "yangzhou-subsidy", "--paid", "100000.00", "--paid-at",
        "2026-01-02", "--entity", UNIVERSITY["entity"], "--contract", "C-1", "--contract-document", PAPER,
        "--receipt", PAPER, "--attest", "unrelated-parties", "--attest", "not-subsidised-elsewhere")
    assert made["subsidy"] == "30000.00"


def test_all_sums_replay(city: World) -> None:
    """What is given, held and owed is what its rows say."""
    assert city.tenure.cli("programme", "check")["ok"]
