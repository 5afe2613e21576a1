"""`make look`: every page and paper in headless Chromium, in both languages, as pictures for a person to look at.

    python -m tests.look [FOLDER]      build/look, unless another folder is named

The operators' page shows a Friday evening with some trouble, at a desk and on a telephone; the claim page and the
contract are those of one account; the contract and its bill are printed on A4, each on one page. What the pages say is
held by tests.
"""

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from orchestrator.flows.money import bill, bill_paper, contract, contract_paper
from orchestrator.lifecycle import periods, times
from orchestrator.lifecycle.holder import Holder, HolderKind
from orchestrator.lifecycle.paper import Paper, PaperState, terms_of
from orchestrator.lifecycle.price import quote
from orchestrator.store import price_lists
from tests.entry import evening
from tests.entry.http_site import usable, work
from tests.entry.http_world import World, world
from tests.flows.scheme import example
from tests.flows.town import OFFER, START

QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")
DESK, TELEPHONE = (1280, 2600), (390, 2600)
LANGUAGES = ("en", "zh")
FIRM = Holder("u-1", "南京某某（江苏）科技有限公司", HolderKind.FIRM, "hpc@example.com", "91350100M000100Y43")


class Browser:
    """Chromium with a profile that goes with it; puts what it shows into a folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder

    def picture(self, name: str, address: str, size: tuple[int, int] = DESK) -> None:
        """A PNG of what stands at this address."""
        self._show(name + ".png", "--screenshot=", address, [f"--window-size={size[0]},{size[1]}"])

    def paper(self, name: str, address: str) -> None:
        """A PDF, as the page's own print style makes it."""
        self._show(name + ".pdf", "--print-to-pdf=", address, ["--no-pdf-header-footer"])

    def _show(self, name: str, into: str, address: str, more: Sequence[str]) -> None:
        path = self._folder / name
        with tempfile.TemporaryDirectory() as profile:
            subprocess.run([self._program, *QUIET, f"--user-data-dir={profile}", *more, f"{into}{path}", address],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=True)
        if not path.exists():
            raise FileNotFoundError(f"Chromium made no {path}")
        print(path, flush=True)


def main(words: Sequence[str]) -> int:
    """Make them all, and name each. Exit code 1 without Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        print("Chromium is not installed; do: apt-get install chromium fonts-noto-cjk", file=sys.stderr)
        return 1
    logging.disable(logging.INFO)
    folder = Path(words[0] if words else "build/look").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    browser = Browser(program, folder)
    with tempfile.TemporaryDirectory() as scratch:
        with world(Path(scratch) / "evening") as busy:
            the_screen(browser, busy, Path(scratch))
        with world(Path(scratch) / "home") as quiet:
            the_holders(browser, quiet, Path(scratch))
        the_longest_paper(browser, Path(scratch))
    return 0


def the_screen(browser: Browser, busy: World, scratch: Path) -> None:
    """The operators' page, as who has signed in sees it."""
    evening.furnish(busy.ctx.store, busy.clock())
    for language in LANGUAGES:
        page = scratch / f"screen-{language}.html"
        page.write_text(busy.get("/", lang=language).text, encoding="utf-8")
        for name, size in (("desk", DESK), ("telephone", TELEPHONE)):
            browser.picture(f"screen-{language}-{name}", page.as_uri(), size)


def the_holders(browser: Browser, quiet: World, scratch: Path) -> None:
    """What one holder sees: before the claim, the contract to sign and on paper, and a month's bill."""
    with quiet.ctx.store.write() as tx:
        price_lists.put(tx, example("nanjing-prices.yaml").prices[0])
    account, claim = usable(quiet, "event-1")
    paper = contract.draft(quiet.ctx, account, "A", quiet.clock() + timedelta(days=90), actor="look")
    signing = contract.signing_url(quiet.ctx, paper.id).replace(quiet.ctx.settings.base_url, quiet.url)
    for language in LANGUAGES:
        browser.picture(f"claim-{language}-telephone", f"{claim}?lang={language}", TELEPHONE)
        browser.picture(f"contract-{language}", f"{signing}?lang={language}")
    browser.paper("contract", f"{signing}/document")
    contract.sign(quiet.ctx, paper.id, paper.digest or "", actor="holder")
    work(quiet)
    quiet.clock.ahead += timedelta(days=20)
    where = times.zone(quiet.ctx.settings.timezone)
    month = periods.named(periods.Period.MONTH, quiet.clock(), where)
    bills = scratch / "bill.html"
    bills.write_bytes(bill_paper.html_of(bill.preview(quiet.ctx, account, month), FIRM, where))
    browser.paper("bill", bills.as_uri())


def the_longest_paper(browser: Browser, scratch: Path) -> None:
    """A contract with all that may stand on one page: six resources, metered ones, a floor."""
    chips = {"ascend-910b": Decimal("12.00"), "ascend-910c": Decimal("18.00"), "kunlun-p800": Decimal("9.50")}
    prices = replace(example("nanjing-prices.yaml").prices[0], chips=chips, classes={"A": Decimal("0.70")},
                     metered=("cpu", "ascend-910b"))
    offer = replace(OFFER, accelerators=dict.fromkeys(chips, 4))
    terms = terms_of("nanjing", quote(prices, offer, "A", timedelta(days=90)), START)
    paper = Paper("C-a2k4mzq7xw-1", "a2k4mzq7xw", offer.name, START + timedelta(days=90), PaperState.DRAFT, START,
                  terms)
    page = scratch / "contract.html"
    page.write_bytes(contract_paper.render(paper, FIRM, offer, "nanjing-edge-1", times.zone()))
    browser.paper("contract-longest", page.as_uri())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
