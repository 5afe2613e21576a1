"""Bills at the command line, from a price list's file to the page."""

import hashlib
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.lifecycle.due import Owed
from tests.entry.cli_home import Home, made

PRICES = """\
prices:
  - name: plain
    base: {cpu: 1.00, storage: 0.01}
    metered: [storage]
    classes: {A: 60%}
"""
MONTH = f"{datetime.now(ZoneInfo('Asia/Shanghai')):%Y-%m}"


def contracted(home: Home) -> str:
    """An account on a contract."""
    assert home("apply", "-f", home.write("prices.yaml", PRICES)).code == 0
    account = home.active()
    draft = home("contract", "draft", account, "--class", "A", "--until", "open", "--json").json
    assert home("contract", "record", draft["contract"], "--document", home.write("signed.pdf", "signed")).code == 0
    home.work(Owed.CONVERT)
    return account


def test_a_bill_is_previewed_as_table_page_csv_and_json(tmp_path: Path) -> None:
    """Of the present month, which cannot be closed yet."""
    home = made(tmp_path)
    account = contracted(home)
    page, sheet = tmp_path / "bill.html", tmp_path / "bill.csv"
    said = home("bill", "preview", account, "--month", MONTH, "--html", str(page), "--csv", str(sheet))
    assert (said.code, f"{MONTH} (up to now): price 0.00" in said.out) == (0, True), said.err
    assert "某某大学" in page.read_text("utf-8")
    assert sheet.read_bytes().startswith(b"\xef\xbb\xbfaccount,month,")
    told = home("bill", "preview", account, "--month", MONTH, "--json").json
    assert [(line["rule"], line["what"]) for line in told["lines"]] == [
        ("reserved", "cpu"), ("reserved", "memory"), ("metered", "storage")]
    assert (told["payable"], told["whole"]) == ("0.00", False)
    close = home("bill", "close", account, "--month", MONTH)
    assert (close.code, "is not over yet" in close.err) == (1, True)
    assert home("bill", "list", "--json").json == []


def test_a_contracts_price_says_what_it_is_for(tmp_path: Path) -> None:
    """Of an hour, or of all of it, with separators for people and none for programs; an open end is no date."""
    home = made(tmp_path)
    account = contracted(home)
    other = home.active()
    big = PRICES.replace("plain", "big").replace("1.00", "1000.00")
    assert home("apply", "-f", home.write("big.yaml", big)).code == 0
    assert home("contract", "draft", other, "--class", "A", "--until", "+90d", "--prices", "big").code == 0
    listed = home("contract", "list").out
    told = {one["account"]: one for one in home("contract", "list", "--json").json}
    assert (told[account]["per"], told[other]["per"]) == ("hour", "contract")
    price = Decimal(told[other]["price"])
    assert f"\t{price:,.2f}\tcontract\t" in listed
    assert f"\t{told[account]['price']}\thour\topen\t" in listed
    assert f"{price:,.2f}" in home("contract", "show", told[other]["contract"]).out


def test_a_contract_on_paper_tells_the_hash_of_the_paper_and_of_the_draft(tmp_path: Path) -> None:
    """The draft's is that of the file that `contract document` writes."""
    home = made(tmp_path)
    account = contracted(home)
    [paper] = home("contract", "list", "--account", account, "--json").json
    wrote = home("contract", "document", paper["contract"], "--out", str(tmp_path / "c.html"), "--json").json
    said = home("contract", "show", paper["contract"], "--json").json
    assert (said["document"], said["drafted_document"]) == (hashlib.sha256(b"signed").hexdigest(), wrote["sha256"])


def test_an_open_end_is_no_date_and_no_time_left(tmp_path: Path) -> None:
    """In the list, at the account, and on the screen; for programs it stays an instant."""
    home = made(tmp_path)
    account = contracted(home)
    [line] = [one for one in home("account", "list").out.splitlines() if one.startswith(account)]
    assert line.split("\t")[4:6] == ["open", "-"]
    assert re.search(r"ends at +open\n", home("account", "show", account).out)
    assert f"Next ends: {account} open" in home("top", "--once").out
    assert home("account", "show", account, "--json").json["ends_at"].startswith("2999-12-31")


def test_an_account_without_a_contract_has_no_bill(tmp_path: Path) -> None:
    """One line that says why."""
    home = made(tmp_path)
    said = home("bill", "preview", home.active(), "--month", MONTH)
    assert (said.code, "only contracts are billed" in said.err) == (1, True)


def test_a_metered_resource_needs_a_price(tmp_path: Path) -> None:
    """The file's line is named."""
    home = made(tmp_path)
    said = home("apply", "-f", home.write("prices.yaml", PRICES.replace("[storage]", "[gpu]")))
    assert said.code == 1
    assert "prices.yaml:4: prices[0].metered: gpu has no price in `base`" in said.err
