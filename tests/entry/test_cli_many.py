"""Acts on many accounts at once: of two sites and two senders exactly those that fit a filter are touched."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lifecycle.due import Owed
from tests.entry.cli_home import HOLDER, OFFER, SITE, Home, made

SITES, SENDERS, LASTING = ("rehearsal", "south"), ("portal", "fair"), {"brief": "1h", "lasting": "2d"}
Key = tuple[str, str, str]
"""Site, sender, how long."""


@dataclass
class Many:
    """One account of each site, sender and length."""

    home: Home
    ids: dict[Key, str]

    def of(self, *words: str) -> set[str]:
        """Those whose site, sender or length these are."""
        return {id for key, id in self.ids.items() if set(words) <= set(key)}

    def all(self) -> dict[str, Any]:
        """Everything that is told of each account, its history among it."""
        return {id: self.home("account", "show", id, "--history", "--json").json for id in self.ids.values()}


@pytest.fixture
def many(tmp_path: Path) -> Many:
    home = made(tmp_path)
    offers = [home.write(f"{site}-{name}.yaml", OFFER.format(name=f"{site}-{name}", duration=duration, grace="1h"))
              for site in SITES for name, duration in LASTING.items()]
    sites = [home.write(f"{site}.yaml", SITE.format(name=f"{site}-brief", file=tmp_path / site).replace(
        "rehearsal", site).replace("places: [", f"places: [{{offer: {site}-lasting, count: 9}}, ")) for site in SITES]
    assert home("apply", *(word for file in (*offers, *sites) for word in ("-f", file))).code == 0
    assert home("sender", "add", "fair").code == 0
    ids = {}
    for site, sender, name in product(SITES, SENDERS, LASTING):
        code = home("voucher", "issue", "--sender", sender, "--offer", f"{site}-{name}", "--valid-for", "1d").out
        ids[site, sender, name] = str(home("redeem", "--sender", sender, *HOLDER, home.write("code", code),
                                           "--json").json["account"])
    while home("account", "list", "--state", "REQUESTED", "--json").json:
        home.work(Owed.PROVISION)
    return Many(home, ids)


def extended(before: Any, after: Any) -> bool:
    return bool(after["ends_at"] > before["ends_at"] and after["history"][-1]["action"] == "account.extended")


def fenced(_: Any, after: Any) -> bool:
    return (after["state"], after["fenced_by"]) == ("FENCED", "operator")


def taken_back(_: Any, after: Any) -> bool:
    return bool(after["history"][-1]["action"] == "account.reclaim_asked")


def noticed(_: Any, after: Any) -> bool:
    return bool(after["history"][-1]["facts"] == {"text_zh": "维护", "text_en": "Maintenance"})


@pytest.mark.parametrize(("act", "words", "done"), [
    ("extend", ("--by", "12h"), extended), ("fence", (), fenced), ("reclaim", (), taken_back),
    ("notify", ("--text-zh", "维护", "--text-en", "Maintenance"), noticed)])
def test_exactly_those_that_fit_are_touched(many: Many, act: str, words: tuple[str, ...],
                                            done: Callable[[Any, Any], bool]) -> None:
    """By site, by sender, by end, by all three; too many are refused; a rehearsal and a missing yes change nothing."""
    def said(*more: str) -> Any:
        return many.home("account", act, *words, *more, "--json")

    before = many.all()
    filters = {("--site", "south"): many.of("south"), ("--sender", "fair"): many.of("fair"),
               ("--ending-before", "+2h"): many.of("brief"),
               ("--site", "south", "--sender", "fair", "--ending-before", "+2h"): many.of("south", "fair", "brief")}
    for which, expected in filters.items():
        rehearsed = said(*which, "--dry-run").json
        assert [(one["account"], one["would"]) for one in rehearsed] == [(id, act) for id in sorted(expected)]
    refused = said("--site", "south", "--max", "3", "--yes")
    assert (refused.code, f"{len(many.of('south'))} accounts fit" in refused.err) == (2, True)
    assert said("--site", "south").code == 2
    assert many.all() == before
    for which, expected in ((("--sender", "portal", "--ending-before", "+2h"), many.of("portal", "brief")),
                            (("--site", "south", "--sender", "fair"), many.of("south", "fair"))):
        answered = said(*which, "--max", str(len(expected)), "--yes")
        assert (answered.code, {one["account"] for one in answered.json if one["ok"]}) == (0, expected), answered.err
        after = many.all()
        assert {id for id, was in before.items() if after[id] != was} == expected
        assert all(done(before[id], after[id]) for id in expected)
        before = after
