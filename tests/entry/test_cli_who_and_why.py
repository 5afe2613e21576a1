"""Every command stands here: those that change nothing, and those that do, each with its row in the journal."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from orchestrator.app import App
from orchestrator.entry.cli.main import app
from orchestrator.flows.trouble import Trouble, mark
from orchestrator.lifecycle.contract import Contract, ContractState
from orchestrator.store import accounts, contracts, papers, sessions
from tests.drive import until
from tests.entry.cli_home import HOLDER, Home, made
from tests.entry.test_cli_ends import stray

WHY = "asked for by the audit"
EXAMPLES = Path(__file__).parents[2] / "examples" / "programmes"
PROGRAMME = """\
programmes:
  - {name: week, benefit: trial, offer: trial, hours: {from: 24, to: 96}, offered_weekly: 24, valid_for: 1s}
prices:
  - {name: plain, base: {cpu: 1.00}, classes: {A: 80%}}
"""


@dataclass
class Ready:
    """A home with one of everything: what commands act on."""

    home: Home
    account: str
    fenced: str
    booked: str
    token: str
    session: str
    contract: str
    codes: str
    paper: str


Words = Callable[[Ready], tuple[str, ...]]
READS = {
    "doctor", "top", "site list", "site check", "sender list", "voucher list", "account list", "token list",
    "session list", "journal verify", "journal list", "certificate verify", "certificate show", "programme list",
    "programme show", "programme check", "draw list", "draw verify", "contract list",
    "contract document", "subsidy export", "bill preview", "bill list", "booking list", "booking calendar",
    "mail test", "outage list", "outbox list", "usage show", "usage export"}
RUNS = {"serve", "worker", "outbox send", "journal seal", "usage read"}
"""They do what is owed, each piece with its own row; sealing chains rows and reading meters only adds readings."""
CHANGES: dict[str, tuple[Words, str]] = {
    "init": (lambda ready: (), "home.made"),
    "apply": (lambda ready: ("-f", ready.home.write("p.yaml", PROGRAMME.replace("name: week", "name: second"))),
              "programme.applied"),
    "redeem": (lambda ready: ("--sender", "portal", *HOLDER, ready.home.write("one", codes(ready)[0])),
               "voucher.redeemed_by_hand"),
    "reap": (lambda ready: due(ready), "account.fenced"),
    "sweep": (lambda ready: (orphaned(ready), "--remove", "--yes"), "orphan.removed"),
    "hold": (lambda ready: (ready.account,), "hold.set"),
    "site prepare": (lambda ready: ("rehearsal", "--yes"), "site.prepared"),
    "site remove": (lambda ready: ("spare", "--yes"), "site.removed"),
    "site drain": (lambda ready: ("rehearsal", "--notify", "--yes"), "site.drained"),
    "site undrain": (lambda ready: ("rehearsal",), "site.undrained"),
    "sender add": (lambda ready: ("second",), "sender.added"),
    "sender rotate": (lambda ready: ("portal",), "sender.rotated"),
    "sender callback": (lambda ready: ("portal", "https://portal.example.cn/x"), "sender.changed"),
    "sender test": (lambda ready: ("called",), "sender.tested"),
    "sender mail": (lambda ready: ("portal", "off"), "sender.changed"),
    "booking cancel": (lambda ready: (ready.booked,), "booking.cancelled"),
    "booking move": (lambda ready: (ready.booked, "--begins-at", "+3d"), "booking.moved"),
    "outage add": (lambda ready: ("rehearsal", "--from", "2026-01-01", "--until", "2026-01-02", "--yes"),
                   "outage.noted"),
    "outbox resend": (lambda ready: ("--account", ready.account, "--yes"), "outbox.resent"),
    "usage waive": (lambda ready: (ready.fenced,), "usage.waived"),
    "voucher issue": (lambda ready: ("--sender", "portal", "--offer", "trial", "--valid-for", "1d"), "voucher.issued"),
    "voucher import": (lambda ready: ("--sender", "portal", "--offer", "trial", "--valid-for", "1d",
                                      ready.home.write("theirs", "ABCD-1234\n")), "voucher.imported"),
    "voucher void": (lambda ready: ("--sender", "portal", "--yes", ready.codes), "voucher.voided"),
    "account extend": (lambda ready: (ready.account, "--by", "1h"), "account.extended"),
    "account fence": (lambda ready: (ready.account,), "account.fenced"),
    "account unfence": (lambda ready: (ready.fenced,), "account.unfenced"),
    "account export": (lambda ready: (ready.fenced, "--to", ready.home.write("x", "") + ".tar"), "account.exported"),
    "account retry": (lambda ready: (stuck(ready),), "account.retry_asked"),
    "account notify": (lambda ready: (ready.account, "--text-zh", "今晚维护", "--text-en", "maintenance"),
                       "account.noticed"),
    "account reclaim": (lambda ready: (ready.account, "--yes"), "account.reclaim_asked"),
    "account show": (lambda ready: (ready.account, "--holder"), "holder.shown"),
    "account claim-link": (lambda ready: (ready.account,), "claim.link_shown"),
    "stack preview": (lambda ready: (ready.account,), "stack.preview"),
    "stack refresh": (lambda ready: (ready.account,), "stack.refresh"),
    "stack up": (lambda ready: (ready.account,), "stack.up"),
    "stack destroy": (lambda ready: (ready.fenced, "--yes"), "stack.destroy"),
    "token add": (lambda ready: ("--name", "x"), "token.made"),
    "token revoke": (lambda ready: (ready.token,), "token.revoked"),
    "session end": (lambda ready: (ready.session,), "session.closed"),
    "holder erase": (lambda ready: ("portal", "lab-7", "--yes"), "holder.erased"),
    "draw open": (lambda ready: ("w9", "--programme", "week", "--closes", "+1h", "--vouchers", "1x24", "--sender",
                                 "portal"), "draw.opened"),
    "draw enter": (lambda ready: ("open", *HOLDER), "draw.entered"),
    "draw run": (lambda ready: ("closed", "--value", "SSE 3412.07"), "draw.run"),
    "draw winners": (lambda ready: ("drawn",), "draw.codes_shown"),
    "programme export": (lambda ready: (), "grants.exported"),
    "draw next": (lambda ready: ("drawn",), "draw.passed_on"),
    "contract draft": (lambda ready: (ready.account, "--class", "A", "--until", "+48h"), "contract.drafted"),
    "contract record": (lambda ready: (ready.contract, "--document", ready.paper), "contract.signed"),
    "contract show": (lambda ready: (ready.contract, "--link"), "contract.link_shown"),
    "bill close": (lambda ready: billed(ready), "bill.closed"),
    "contract withdraw": (lambda ready: (ready.contract,), "contract.withdrawn"),
    "subsidy decide": (lambda ready: (
        "INV-1", "--programme", "yangzhou-subsidy", "--paid", "100", "--paid-at", "2026-01-02", "--entity",
        "91350100M000100Y43", "--contract", "C-1", "--contract-document", ready.paper, "--receipt", ready.paper,
        "--attest", "unrelated-parties", "--attest", "not-subsidised-elsewhere"), "subsidy.decided"),
}
ELSEWHERE = {"account convert": ("contract.asked", "tests/flows/accounts/test_convert.py")}
"""What needs a longer story than this: the row, and the test that looks for it."""
NO_REASON = {"init", "reap"}
"""These begin everything, or do what is due anyway."""
WITHOUT_PULUMI = {"stack preview", "stack refresh", "stack up", "stack destroy", "reap", "sender test"}
"""They may fail here, for want of a stack or of a listener; who tried stands in the journal all the same."""


def commands() -> dict[str, typer.core.TyperCommand]:
    """Every command by its words."""
    found: dict[str, typer.core.TyperCommand] = {}

    def walk(group: object, words: tuple[str, ...]) -> None:
        for name, one in getattr(group, "commands", {}).items():
            if hasattr(one, "commands"):
                walk(one, (*words, name))
            else:
                found[" ".join((*words, name))] = one

    walk(typer.main.get_command(app), ())
    return found


def codes(ready: Ready) -> list[str]:
    """Fresh codes of the sender that has accounts."""
    return ready.home("voucher", "issue", "--sender", "portal", "--offer", "trial", "--valid-for", "1d").out.split()


def due(ready: Ready) -> tuple[str, ...]:
    """Something for `reap`."""
    assert ready.home("account", "reclaim", ready.account, "--yes").code == 0
    return ()


def stuck(ready: Ready) -> str:
    """An account that waits for its next try."""
    with App.open(ready.home.folder) as opened, opened.ctx.store.write() as tx:
        claimed = accounts.claim_one(tx, ready.account, opened.ctx.clock(), "test", timedelta(minutes=1))
        mark(tx, claimed, Trouble("fence", "does not answer", "tenure"), opened.ctx.clock())
    return ready.account


def billed(ready: Ready) -> tuple[str, ...]:
    """A contract that was in force in a month that is over."""
    begun, over = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 20, tzinfo=UTC)
    with App.open(ready.home.folder) as opened, opened.ctx.store.write() as tx:
        paper = papers.get(tx, ready.contract)
        assert paper is not None
        ended = Contract(paper.id, paper.account, paper.offer, over, "00" * 32, ContractState.ENDED, begun, over)
        contracts.add(tx, ended)
        contracts.save(tx, ended)
    return paper.account, "--month", "2026-01"


def orphaned(ready: Ready) -> str:
    """A site with something on it that nobody here knows."""
    stray(ready.home.folder.parent / "world", "azzzzzzzzz")
    return "rehearsal"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """Made once."""
    home = made(tmp_path_factory.mktemp("who"))
    account, fenced, drafted = home.active(), home.active(), home.active()
    booked = home("redeem", "--sender", "portal", *HOLDER, home.voucher(), "--begins-at", "+2d",
                  "--json").json["account"]
    spare = "sites:\n  - {name: spare, kind: memory, places: [{offer: trial, count: 1}]}\n"
    files = [home.write("week.yaml", PROGRAMME), home.write("spare.yaml", spare),
             str(EXAMPLES / "yangzhou-subsidy.yaml")]
    said = home("apply", *(word for file in files for word in ("-f", file)))
    assert said.code == 0, said.err
    assert home("sender", "add", "called", "--callback", "http://127.0.0.1:9/").code == 0
    assert home("account", "fence", fenced).code == 0
    contract = home("contract", "draft", drafted, "--class", "A", "--until", "+48h", "--json").json["contract"]
    for name, closes in (("open", "+1h"), ("closed", "+1s"), ("drawn", "+1s")):
        assert home("draw", "open", name, "--programme", "week", "--closes", closes, "--vouchers", "1x24", "--sender",
                    "portal").code == 0
    for name in ("closed", "drawn"):
        while "is open for entries" in home("draw", "run", name).err:
            pass
    assert home("draw", "run", "drawn", "--value", "SSE 3412.07").code == 0
    (claim_by,) = (one["claim_by"] for one in home("draw", "list", "--json").json if one["draw"] == "drawn")
    until("winners had their time", lambda: datetime.now(UTC) > datetime.fromisoformat(claim_by) or None, within=20)
    token = home("token", "add", "--name", "old", "--json").json["id"]
    with App.open(home.folder) as opened, opened.ctx.store.write() as tx:
        now = opened.ctx.clock()
        session, _ = sessions.open_(tx, "oidc:u-1", "viewer", now, now + timedelta(hours=1))
    ready = Ready(home, account, fenced, booked, token, session.id, contract, "", home.write("paper.pdf", "signed"))
    ready.codes = home.write("codes", "\n".join(codes(ready)))
    shutil.copytree(home.folder.parent, kept(home.folder.parent))
    return ready


def kept(folder: Path) -> Path:
    """Where its first state stands; each module that prepares has its own."""
    return folder.with_name(f"{folder.name}-kept")


@pytest.fixture
def ready(prepared: Ready) -> Iterator[Ready]:
    """It, as it was made."""
    yield prepared
    folder = prepared.home.folder.parent
    shutil.rmtree(folder)
    shutil.copytree(kept(folder), folder)


def rows(home: Home) -> list[tuple[str, str, str]]:
    """Action, actor and why of the whole journal."""
    db = sqlite3.connect(home.folder / "tenure.db")
    try:
        return [tuple(row) for row in db.execute("SELECT action, actor, why FROM journal")]
    finally:
        db.close()


def dumped(home: Home) -> list[str]:
    """The whole database."""
    db = sqlite3.connect(home.folder / "tenure.db")
    try:
        return list(db.iterdump())
    finally:
        db.close()


def test_every_command_stands_here() -> None:
    """A new one has to say whether it changes something, and then which row of the journal is its own."""
    here = [*READS, *RUNS, *CHANGES, *ELSEWHERE]
    assert sorted(here) == sorted(commands())


@pytest.mark.parametrize("command", sorted(CHANGES))
def test_what_changes_something_is_journalled(ready: Ready, command: str) -> None:
    """With who did it and why."""
    words, action = CHANGES[command]
    home = Home(ready.home.folder.parent / "fresh") if command == "init" else ready.home
    more = () if command in NO_REASON else ("--why", WHY)
    arguments = words(ready)
    before = [] if command == "init" else rows(home)
    said = home(*command.split(), *arguments, *more)
    assert said.code == 0 or command in WITHOUT_PULUMI, said.err
    fresh = rows(home)
    for row in before:
        fresh.remove(row)
    actor = "worker:" if command == "reap" else f"cli:{os.getuid()}"
    assert {(who.startswith(actor), why) for what, who, why in fresh if what == action} == {
        (True, WHY if more else "")}, fresh
    assert all(who and (what, why) for what, who, why in fresh)


@pytest.mark.parametrize("command", sorted(set(CHANGES) - NO_REASON))
def test_what_changes_something_takes_a_reason(command: str) -> None:
    """`--why`."""
    assert any("--why" in one.opts for one in commands()[command].params)


@pytest.mark.parametrize("command", sorted(ELSEWHERE))
def test_what_is_tested_elsewhere_is_looked_for_there(command: str) -> None:
    """Its row."""
    action, file = ELSEWHERE[command]
    assert action in (Path(__file__).parents[2] / file).read_text("utf-8")


def test_what_only_reads_changes_nothing(ready: Ready) -> None:
    """Not a byte of the database, whichever command it is and whatever it says."""
    result = ready.home.write("result.json", ready.home("draw", "run", "drawn", "--value", "SSE 3412.07", "--json").out)
    named = {"account list": (), "certificate verify": (ready.account,), "certificate show": (ready.account,),
             "programme show": ("week",), "draw verify": (result,),
             "bill preview": (ready.account, "--month", "2026-01"),
             "mail test": ("you@example.edu.cn",), "usage show": (ready.account,),
             "usage export": ("--month", "2026-01"),
             "contract document": (ready.contract, "--out", result + ".html")}
    before = dumped(ready.home)
    for command in sorted(READS - {"top"}):
        said = ready.home(*command.split(), *named.get(command, ()))
        assert said.code in (0, 1), f"{command}: {said.err}"
        assert dumped(ready.home) == before, command
