"""Programmes, vouchers of them and the weekly draw, at the command line, from files to the redeemed account."""

from pathlib import Path

import pytest

from tests.entry.cli_home import Home, made

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIAL = """\
programmes:
  - name: trial-week
    benefit: trial
    offer: trial
    hours: {from: 24, to: 96}
    offered_weekly: 96
    pool: {vouchers: 3, per: week}
    cap: {vouchers: 1, per: week}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One installation with a programme."""
    home = made(tmp_path_factory.mktemp("people"))
    applied = home("apply", "-f", home.write("programme.yaml", TRIAL))
    assert (applied.code, applied.out) == (0, "programme trial-week: new\n"), applied.err
    return home


def entered(home: Home, draw: str, nth: int) -> tuple[int, str]:
    said = home("draw", "enter", draw, "--holder-id", f"u-{nth}", "--holder-name", "某某", "--email", "a@example.com")
    return said.code, said.err


def test_every_example_is_applied(tmp_path: Path) -> None:
    """Together with the offers that they are for; a second time nothing changes."""
    home = made(tmp_path)
    files = [word for file in (EXAMPLES / "offers.yaml", *sorted((EXAMPLES / "programmes").glob("*.yaml")))
             for word in ("-f", str(file))]
    first = home("apply", *files)
    assert first.code == 0, first.err
    again = home("apply", *files).out.splitlines()
    assert len(again) == 3 + 4 + 1 + 6 + 1
    assert all(line.endswith("as it was") for line in again)


def test_a_programme_is_shown_with_its_pool(home: Home) -> None:
    """What is given and what is left; for people in the words of its file."""
    assert home("programme", "show", "trial-week", "--json").json["given"] == "0 h"
    said = dict(line.split(maxsplit=1) for line in home("programme", "show", "trial-week").out.splitlines())
    assert (said["hours"], said["pool"], said["cap"]) == ("24 h to 96 h", "3 vouchers a week", "1 voucher a week")
    assert (said["holders"], said["clock"], said["left"]) == ("anybody", "ready", "no limit")


def test_a_subsidy_shows_only_what_it_has(tmp_path: Path) -> None:
    """No worth of a voucher, no clock; and it has no vouchers to issue."""
    home = made(tmp_path)
    assert home("apply", "-f", str(EXAMPLES / "programmes" / "yangzhou-subsidy.yaml")).code == 0
    said = home("programme", "show", "yangzhou-subsidy").out
    assert "cap           2,000,000.00 yuan a year\n" in said
    assert "share         30%\n" in said
    assert not {"hours", "yuan", "clock", "valid", "offer"} & {line.split()[0] for line in said.splitlines()}
    refused = home("voucher", "issue", "--programme", "yangzhou-subsidy")
    assert refused.code == 1
    assert "it has no vouchers; it is decided on a payment, with `tenure subsidy decide`" in refused.err


def test_vouchers_are_good_no_longer_than_their_programme(tmp_path: Path) -> None:
    """Bounded by its end, and it says so; of one that is over, or would be, none are made."""
    home = made(tmp_path)
    text = TRIAL.replace("benefit: trial", "benefit: trial\n    until: 2099-01-01")
    assert home("apply", "-f", home.write("programme.yaml", text)).code == 0
    issue = ("voucher", "issue", "--programme", "trial-week", "--worth", "24")
    bounded = home(*issue, "--until", "2100-01-01")
    assert "until 2099-01-01 00:00:00+08:00, when its programme ends" in bounded.err
    late = home(*issue, "--from", "2099-02-01", "--until", "2099-03-01")
    assert (late.code, "programme trial-week ends at 2099-01-01 00:00:00+08:00" in late.err) == (2, True)
    assert len(home("voucher", "list", "--json").json) == 1


def test_what_was_given_is_exported_and_vouchers_are_listed_with_it(tmp_path: Path) -> None:
    """The voucher's hash ties both together; the journal says who looked, and what was issued."""
    home = made(tmp_path)
    assert home("apply", "-f", home.write("programme.yaml", TRIAL)).code == 0
    code = home("voucher", "issue", "--programme", "trial-week", "--worth", "24").out
    who = ("--sender", "portal", "--holder-id", "x-1", "--holder-name", "某大学", "--email", "a@example.edu.cn")
    account = home("redeem", *who, home.write("one", code), "--json").json["account"]
    plain = home("redeem", *who, home.voucher(), "--json").json["account"]
    listed = {one["account"]: one for one in home("voucher", "list", "--json").json}
    assert (listed[account]["programme"], listed[account]["worth"], listed[plain]["programme"]) == (
        "trial-week", "24 h", None)
    out = tmp_path / "grants.csv"
    assert home("programme", "export", "--out", str(out)).code == 0
    [one] = home("programme", "export", "--programme", "trial-week", "--json").json
    assert (one["reference"], one["ledger"]) == (listed[account]["voucher"], f"redeem/{account}")
    assert out.read_text("utf-8-sig").splitlines()[1] == ",".join(one.values())
    assert home("programme", "export", "--year", "2001", "--json").json == []
    assert home("programme", "export", "--year", "2001", "--month", "2001-01").code == 2
    rows = home("journal", "list", "--json").json
    assert [row["subject"] for row in rows if row["action"] == "grants.exported"] == [
        "trial-week" if nth == 1 else "programmes" for nth in (2, 1, 0)]
    issued = [row["facts"] for row in rows if row["action"] == "voucher.issued"]
    assert (issued[-1]["programme"], issued[-1]["worth"], issued[-1]["count"]) == ("trial-week", "24 h", 1)
    assert [row["facts"]["voucher"] for row in rows if row["action"] == "programme.granted"] == [one["reference"]]


def test_every_mistake_of_a_price_list_is_told_at_once(home: Home) -> None:
    """Two classes, a resource without a price, and a term."""
    said = home("apply", "-f", home.write("prices.yaml", "prices:\n  - name: p\n    base: {cpu: 1.00}\n"
                                          "    classes: {A: 105%, B: x}\n    metered: [cp]\n"
                                          "    long_term: [{from: 3d, discount: y}]\n"))
    assert [line.split(": ", 1)[1].split(" is not")[0] for line in said.err.splitlines() if "prices[0]" in line] == [
        "prices[0].classes: A: '105%'", "prices[0].classes: B: 'x'", "prices[0].metered: cp has no price in `base`",
        "prices[0].long_term[0].discount: 'y'"], said.err


@pytest.mark.parametrize(("old", "new", "message"), [
    ("to: 96", "to: 12", "programme.yaml:5: programmes[0].hours: `from` 24 is more than `to` 12"),
    ("benefit: trial", "benefit: gift", "programme.yaml:3: programmes[0].benefit: 'gift' is not one of"),
    ("per: week}\n    cap", "per: decade}\n    cap", "programme.yaml:7: programmes[0].pool.per: 'decade' is not"),
    ("cap: {vouchers: 1, per: week}", "cap: {per: week}", "programme.yaml:8: programmes[0].cap: limits nothing"),
    ("offer: trial", "offer: other", "programme trial-week: there is no offer 'other'"),
])
def test_a_bad_programme_names_its_line(home: Home, old: str, new: str, message: str) -> None:
    """Or, for what is not in the file, the programme."""
    said = home("apply", "-f", home.write("programme.yaml", TRIAL.replace(old, new)))
    assert (said.code, message in said.err) == (1, True), said.err


def test_a_voucher_of_a_programme_is_issued_and_redeemed(home: Home) -> None:
    """Its worth is the programme's business; the second of an entity in a week names the rule."""
    short = home("voucher", "issue", "--programme", "trial-week", "--worth", "23")
    assert "24 h to 96 h, not 23 h" in short.err
    codes = home("voucher", "issue", "--programme", "trial-week", "--worth", "24", "-n", "2").out.split()
    who = ("--sender", "portal", "--holder-id", "x-1", "--holder-name", "某大学", "--email", "a@example.edu.cn")
    assert home("redeem", *who, home.write("one", codes[0])).code == 0
    second = home("redeem", *who, home.write("two", codes[1]))
    assert (second.code, "at most 1 voucher for one entity" in second.err) == (1, True)
    assert home("programme", "check").code == 0


def test_a_draw_from_opening_to_a_verified_result(home: Home, tmp_path: Path) -> None:
    """Opened, entered, closed by time, committed, run, checked by anyone from the file alone."""
    assert "at least 96 h" in home("draw", "open", "w0", "--programme", "trial-week", "--closes", "+1h",
                                   "--vouchers", "3x24").err
    opened = home("draw", "open", "w1", "--programme", "trial-week", "--closes", "+3s", "--vouchers", "4x24")
    assert (opened.code, "4 vouchers, 96 h in all" in opened.out) == (0, True)
    assert [entered(home, "w1", nth)[0] for nth in (1, 2, 3, 4, 5)] == [0] * 5
    assert "entered already" in entered(home, "w1", 5)[1]
    result = tmp_path / "result.json"
    while "is open for entries" in (said := home("draw", "run", "w1", "--json")).err:
        pass
    committed = said.json["commitment"]
    early = home("draw", "verify", home.write("list.json", said.out))
    assert (early.code, "without a result" in early.out) == (1, True)
    assert "entries closed" in entered(home, "w1", 6)[1]
    assert home("draw", "run", "w1", "--value", "SSE 3412.07", "--out", str(result)).code == 0
    assert home("draw", "verify", str(result), "--commitment", committed).code == 0
    won = home("draw", "winners", "w1", "--json").json
    assert {one["holder"] for one in won} < {f"u-{nth}" for nth in (1, 2, 3, 4, 5)}
    assert (len(won), {one["email"] for one in won}) == (4, {"a@example.com"})
    more = home.write("more.json", result.read_text().replace("{", '{"note": "u-9 wins next week",', 1))
    assert "note is no part of a draw" in home("draw", "verify", more).out
    result.write_text(result.read_text().replace('"draw": "w1"', '"draw": "w2"'))
    assert home("draw", "verify", str(result)).code == 1


@pytest.mark.parametrize("vouchers", ["00000019999999999x24", "9" * 5000 + "x24", "100001x24", "0x24", "-1x24", "x24",
                                      "²x24", "60"])
def test_a_draw_of_too_many_vouchers_is_refused(home: Home, vouchers: str) -> None:
    """Before a list of so many is made."""
    said = home("draw", "open", "w9", "--programme", "trial-week", "--closes", "+1h", f"--vouchers={vouchers}")
    assert (said.code, "write COUNTxWORTH" in said.err) == (2, True), said.err


@pytest.mark.parametrize("written", [
    "[" * 100_000, '{"format": "tenure-draw-1", "value": "v", "prizes": [], "entrants": [7]}',
    '{"format": "tenure-draw-1", "value": "v", "entrants": []}',
    '{"format": "tenure-draw-1", "value": "v", "prizes": [], "entrants": [{"entrant": ["a"]}]}',
    '{"format": "tenure-draw-1", "value": "v", "draw": "\\ud800", "programme": "", "closes_at": "", "prizes": [],'
    ' "entrants": [{"entrant": "\\ud800", "priority": true}]}'])
def test_a_hostile_draw_file_does_not_verify(home: Home, written: str) -> None:
    """Whoever publishes it, and whatever is in it: one sentence, exit code 1."""
    said = home("draw", "verify", home.write("hostile.json", written))
    assert (said.code, "cannot be read as" in said.out + said.err) == (1, True), said
    assert "object" not in said.out


def test_a_subsidy_is_decided_and_exported(home: Home, tmp_path: Path) -> None:
    """On a payment with its papers."""
    assert home("apply", "-f", str(EXAMPLES / "programmes" / "yangzhou-subsidy.yaml")).code == 0
    paper = home.write("paper.pdf", "signed")
    made = home("subsidy", "decide", "INV-1", "--programme", "yangzhou-subsidy", "--paid", "6666666.67", "--paid-at",
                "2026-01-02", "--entity", "91350100M000100Y43", "--contract", "C-1", "--contract-document", paper,
                "--receipt", paper, "--attest", "unrelated-parties", "--attest", "not-subsidised-elsewhere", "--json")
    assert (made.json["subsidy"], made.json["capped"]) == ("2000000.00", True)
    assert "INV-1,yangzhou-subsidy,91350100M000100Y43" in home("subsidy", "export").out


def test_a_contract_is_drafted_and_recorded(home: Home, tmp_path: Path) -> None:
    """With its price, its document and its link; the signed paper's hash goes to the conversion."""
    prices = "prices:\n  - name: plain\n    base: {cpu: 1.00}\n    classes: {A: 80%}\n"
    assert home("apply", "-f", home.write("prices.yaml", prices)).code == 0
    account = home.active()
    made = home("contract", "draft", account, "--class", "A", "--until", "+48h", "--json").json
    assert (made["price"], made["terms"]["floored"]) == ("7.20", True)
    document = tmp_path / "contract.html"
    assert home("contract", "document", made["contract"], "--out", str(document)).code == 0
    assert home("contract", "record", made["contract"], "--document", str(document)).code == 0
    assert home("contract", "list", "--json").json[0]["stage"] == "signed"
    assert home("contract", "withdraw", made["contract"]).code == 1
