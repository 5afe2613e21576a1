"""The operators' page: who sees it, what it says in both languages, and that nothing in it can break out."""

import base64
import hashlib
import html
import re
import shlex
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from orchestrator.entry.http import operators_page
from orchestrator.entry.http.pictures import Column, columns, nice
from orchestrator.flows.overview.model import look
from orchestrator.lifecycle import times
from orchestrator.lifecycle.account import State
from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.store import sites
from orchestrator.store.sites import Places
from tests.entry import evening
from tests.entry.http_world import World, world

HTML = {"accept": "text/html"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=y>\'&'
SVG = "{http://www.w3.org/2000/svg}"


class Tags(HTMLParser):
    """Which tags a page opens and never closes, and the attributes there are."""

    VOID = frozenset({"meta", "input", "br", "link", "img", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The Friday evening, with a site, a sender and an error that were named by somebody hostile."""
    with world(tmp_path_factory.mktemp("operators") / "home") as made:
        now = made.clock()
        evening.furnish(made.ctx.store, now)
        with made.ctx.store.write() as tx:
            it = evening.Evening(tx, now, sender=HOSTILE, first=1000)
            it.site(HOSTILE, HOSTILE, "edge", Places(HOSTILE, "trial", 3),
                    Places(HOSTILE, "trial", 3, now + evening.DAY))
            it.stuck(it.account(HOSTILE, evening.DAY), HOSTILE, HOSTILE, "operator", 1, evening.HOUR, HOSTILE)
            it.stuck(it.account(HOSTILE, -evening.HOUR), "fence", HOSTILE, "tenure", 1, evening.HOUR)
        yield made


def page(of: World, role: str = "viewer", **query: str) -> str:
    answer = of.get("/", role, **query)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_whoever_reads_for_the_operator_sees_it(busy: World, role: str) -> None:
    """By a token as well as by a session."""
    assert "Needs you" in page(busy, role)


def test_a_sender_does_not(busy: World) -> None:
    """It names other senders' accounts."""
    assert busy.get("/", "sender").status_code == 403


def test_a_browser_without_a_session_is_sent_to_sign_in(busy: World) -> None:
    """And comes back here."""
    answer = busy.client.get("/", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/")


def test_a_signed_in_browser_sees_it_and_can_sign_out(busy: World) -> None:
    """The form carries the session's key."""
    with httpx.Client(base_url=busy.url, headers=HTML) as browser:
        signed = browser.post("/sign-in", data={"token": busy.tokens["viewer"], "next": "/"})
        cookie = {"cookie": signed.headers["set-cookie"].split(";")[0]}
        seen = browser.get("/", headers=cookie).text
        found = re.search(r'name="form_key" value="([0-9a-f]+)"', seen)
        assert found
        gone = browser.post("/sign-out", data={"form_key": found[1]}, headers=cookie)
        assert gone.headers["location"] == "/sign-in?out=1"
        assert browser.get("/", headers=cookie).status_code == 303


@pytest.mark.parametrize(("lang", "words"), [
    ("en", ("wuxi-hpc: 3 past their end, not known to be fenced", "You act next", "on a contract", "Ends by day")),
    ("zh", ("wuxi-hpc：3 个账户已到期，尚未确认冻结", "请您处理", "合同账户", "未来两周到期账户"))])
def test_it_speaks_both_languages(busy: World, lang: str, words: tuple[str, ...]) -> None:
    """The same facts, and no word of the other language's texts."""
    said = page(busy, lang=lang)
    assert [word for word in words if word not in said] == []
    assert f'lang="{operators_page.PAGES.texts["zh" if lang == "zh" else "en"]["html_lang"]}"' in said


def test_what_is_past_its_end_comes_first_with_its_command(busy: World) -> None:
    """Before any figure."""
    said = page(busy, lang="en")
    first, figures = said.index("past their end, not known to be fenced"), said.index('class="tiles"')
    assert first < said.index("<pre>tenure site check wuxi-hpc</pre>") < figures


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_hostile_names_stay_text(busy: World, lang: str) -> None:
    """No tag, attribute or script of theirs; every tag that is opened is closed."""
    said = page(busy, lang=lang)
    assert HOSTILE not in said
    tags = Tags(said)
    assert (tags.open, tags.seen & {"script", "img", "iframe", "object"}) == ([], set())
    assert not [name for name in tags.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_picture_is_xml_with_a_text_for_who_cannot_see_it(busy: World, lang: str) -> None:
    """Title and description in words, referred to by the picture; ids are used once."""
    said = page(busy, lang=lang)
    drawn = [ElementTree.fromstring(one) for one in re.findall(r"<svg viewBox.*?</svg>", said, re.S)]  # noqa: S314
    assert len(drawn) == 9
    ids = re.findall(r' id="([^"]+)"', said)
    assert len(ids) == len(set(ids))
    for one in drawn:
        title, desc = one.find(f"{SVG}title"), one.find(f"{SVG}desc")
        assert title is not None and desc is not None and title.text and desc.text  # noqa: PT018
        assert one.attrib["aria-labelledby"] == f"{title.attrib['id']} {desc.attrib['id']}"


def test_figures_stand_in_tables_beside_the_pictures(busy: World) -> None:
    """The ends of both pictures add up to what stands above them."""
    said = page(busy, lang="en")
    for name, total in (("the next 24 hours", 62), ("day, two weeks", 492)):
        table = said[said.index(f"{name} <span"):]
        counts = re.findall(r"</td><td class=\"n\">(\d+)</td><td>", table[:table.index("</tbody>")])
        assert sum(map(int, counts)) == total


def test_each_cell_of_the_places_is_the_calendars(busy: World) -> None:
    """Taken, booked ahead, there, and not online yet: what the API counts, of every site, offer and day."""
    said = page(busy, lang="en")
    table = said[said.index("In each cell: taken + booked ahead"):]
    cells = re.findall(r'<td class="n">(\d+)(?:\+(\d+))?/(\d+)(?:<br><span class="soft">\+(\d+)</span>)?</td>',
                       table[:table.index("</tbody>")])
    shown = [tuple(int(figure or 0) for figure in cell) for cell in cells]
    days = busy.get("/v1/calendar").json()["days"]
    assert sorted(shown) == sorted((day["taken"], day["booked"], day["places"], day["coming"]) for day in days)
    assert (30, 0, 40, 100) in shown
    assert (25, 140, 0) in [cell[1:] for cell in shown]


def test_what_comes_online_is_told_though_others_end(busy: World) -> None:
    """A hundred places come in five days and twice as many end before: a hundred come."""
    now, edge = busy.clock(), "yangzhou-edge"
    with busy.ctx.store.write() as tx:
        before = sites.list_places(tx, edge)
        sites.put_places(tx, edge, [Places(edge, "trial", 224, until=now + 2 * evening.DAY),
                                    Places(edge, "trial", 100, from_=now + 5 * evening.DAY)])
        seen = look(tx, now, times.zone())
        sites.put_places(tx, edge, before)
    said = operators_page.render(seen, "en", times.zone(), operators_page.Visitor("x", "viewer", None), paused=True)
    caption = said[said.index(f"<strong>{edge}</strong> · trial"):]
    assert "100 more to come" in caption[:caption.index("</figcaption>")]


def test_a_hostile_name_is_one_word_of_the_command(busy: World) -> None:
    """Whoever copies the command to a shell runs this command alone."""
    commands = [html.unescape(one) for one in re.findall(r"<pre>(.*?)</pre>", page(busy), re.S)]
    assert HOSTILE in [words[3] for one in commands if len(words := shlex.split(one)) > 3]


def test_it_looks_again_by_itself_unless_told_not_to(busy: World) -> None:
    """Without JavaScript; who reads a table may stop it."""
    assert '<meta http-equiv="refresh" content="15">' in page(busy)
    assert "http-equiv" not in page(busy, pause="1")


def test_nothing_is_loaded_from_anywhere(busy: World) -> None:
    """No script, no font, no picture from outside; the policy forbids it, too."""
    answer = busy.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|<img|<link|@import|url\((?!#)", answer.text)


def test_the_style_is_the_one_that_the_policy_names(busy: World) -> None:
    """A browser hashes what stands between the tags; one letter off and the page would be bare."""
    answer = busy.get("/", lang="zh")
    found = re.findall(r"<style>(.*?)</style>", answer.text, re.S)
    digest = base64.b64encode(hashlib.sha256("".join(found).encode()).digest()).decode()
    assert (len(found), f"'sha256-{digest}'" in answer.headers["content-security-policy"]) == (1, True)


def test_holders_are_not_named(busy: World) -> None:
    """Ids and names of ours only."""
    assert "Wang Xiaoming" not in page(busy)


def test_an_empty_tenure_is_calm(tmp_path: Path) -> None:
    """And says what to do first."""
    with world(tmp_path / "home") as fresh:
        with fresh.ctx.store.write() as tx:
            sites.put_places(tx, "mem", [])
        said = page(fresh, lang="en")
    assert "All is well" in said
    assert Tags(said).open == []


@pytest.mark.parametrize(("lang", "word"), [("en", "open"), ("zh", "长期")])
def test_an_open_end_is_no_date_and_another_years_end_has_its_year(tmp_path: Path, lang: str, word: str) -> None:
    """Within this year the month and day are enough."""
    with world(tmp_path / "home") as quiet:
        with quiet.ctx.store.write() as tx:
            it = evening.Evening(tx, quiet.clock())
            it.site("nanjing", "memory", "edge")
            ids = [it.account("nanjing", ends, State.CONTRACTED)
                   for ends in (OPEN_END - it.now, 400 * evening.DAY)]
        rows = re.findall(r'class="ids">(\w+)</th><td>nanjing</td><td>[^<]*</td><td>([^<]*)</td><td class="n">([^<]*)<',
                          page(quiet, lang=lang))
        found = {id: (ends, left) for id, ends, left in rows}
        later = f"{(it.now + 400 * evening.DAY).astimezone(times.zone()):%Y-%m-%d}"
    assert found[ids[0]] == (word, "–")
    assert found[ids[1]][0].startswith(later)


def test_columns_stay_in_their_box() -> None:
    """However many, however high; the smallest is still seen."""
    for counts in ([0], [1], [0, 1, 99999], list(range(40))):
        drawn = columns([Column(str(count), [("a", count), ("b", 1)], "x", top=count) for count in counts])
        for box in drawn.boxes:
            assert 0 <= box.x <= box.x + box.width <= drawn.width
            assert 0 <= box.y <= box.y + box.height <= drawn.ground + 3.1
            assert box.height >= 1.5


@pytest.mark.parametrize(("most", "end"), [(0, 2), (1, 2), (3, 4), (5, 6), (9, 10), (11, 20), (21, 30), (401, 500),
                                           (99999, 100000)])
def test_an_axis_ends_at_an_even_round_number(most: int, end: int) -> None:
    """So that its half is whole."""
    assert nice(most) == end
