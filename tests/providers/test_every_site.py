"""What every kind of site must do: one suite, on each kind that this machine can show."""

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from providers.metering import hour
from providers.protocol import (
    PARTS,
    AlreadyFenced,
    Armed,
    PartName,
    Refused,
    Site,
    Spec,
    Stale,
    only,
)
from providers.registry import KINDS as REGISTERED
from tests.lab.place import Unfit
from tests.providers.every import (
    GONE,
    HOUR,
    LATER,
    MINUTE,
    SECOND,
    armed,
    complete,
    ended,
    fence,
    live,
    passed,
    persist,
    principals_of,
    rescued,
    without,
)
from tests.providers.keys import make_key
from tests.providers.shown import Shown
from tests.providers.sites import KINDS
from tests.providers.specs import new_id, spec


@pytest.fixture(scope="module", params=sorted(KINDS))
def shown(request: pytest.FixtureRequest) -> Iterator[Shown]:
    """A site of this kind, prepared, for all tests of it."""
    try:
        with KINDS[request.param]() as one:
            yield one
    except Unfit as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def site(shown: Shown) -> Site:
    return shown.site


@pytest.fixture
def account(shown: Shown) -> Iterator[Spec]:
    """A new account's spec; whatever a test made of it is gone afterwards."""
    made = replace(spec(), images=shown.images, models=shown.models)
    yield made
    shown.site.fence([(made.account, GONE)], "operator")
    only(shown.site.clean([(made.account, GONE)]))
    assert shown.site.leftovers(made.account) == []


def test_every_registered_kind_is_in_this_suite() -> None:
    """A new kind is one folder, one registry line, and a way to show it here."""
    assert set(REGISTERED) == set(KINDS)


def test_nothing_is_made_before_its_end_is_known(site: Site, account: Spec) -> None:
    """An account that nothing would end must not come to be."""
    with pytest.raises(Refused):
        site.parts["account"].ensure(account)
    assert site.leftovers(account.account) == []


def test_ensuring_twice_is_ensuring_once(site: Site, account: Spec) -> None:
    """The same facts, identity included."""
    complete(site, account)
    first = {part: site.parts[part].observe(account) for part in PARTS}
    assert {part: site.parts[part].ensure(account) for part in PARTS} == first


def test_observing_changes_nothing(shown: Shown, account: Spec) -> None:
    """Of an account that is armed only, nothing is there before and after; nor is a whole one another."""
    site = shown.site
    armed(site, account)
    before = site.leftovers(account.account)
    assert [site.parts[part].observe(account) for part in PARTS] == [None] * len(PARTS)
    assert site.leftovers(account.account) == before
    made = {part: site.parts[part].ensure(account) for part in PARTS}
    whole = shown.there(account)
    for _ in range(2):
        assert {part: site.parts[part].observe(account) for part in PARTS} == made
    assert shown.there(account) == whole


def test_every_part_says_its_identity(site: Site, account: Spec) -> None:
    """The facts by which a replacement would show."""
    complete(site, account)
    for part in site.parts.values():
        seen = part.observe(account)
        assert seen is not None
        assert part.identity <= seen.facts.keys()


def test_removing_what_is_gone_succeeds(site: Site, account: Spec) -> None:
    """Twice, and for an account that never was."""
    complete(site, account)
    for _ in range(2):
        for part in reversed(PARTS):
            site.parts[part].remove(account)
    site.parts["storage"].remove(spec())


@pytest.mark.parametrize("made", range(1, len(PARTS)))
def test_a_half_made_account_is_adopted(site: Site, account: Spec, made: int) -> None:
    """Whoever comes next finishes it; what was there keeps its identity."""
    armed(site, account)
    first = {part: site.parts[part].ensure(account) for part in PARTS[:made]}
    second = {part: site.parts[part].ensure(account) for part in PARTS}
    for part, seen in first.items():
        for fact in site.parts[part].identity:
            assert second[part].facts[fact] == seen.facts[fact]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_half_made_is_adopted(shown: Shown, account: Spec, part: PartName) -> None:
    """Whoever makes it dies before each of their steps at the site: the next one's is like one that nobody has cut
    short, with what was there already."""
    armed(shown.site, account)
    mine = shown.site.parts[part]
    for before in PARTS[: PARTS.index(part)]:
        shown.site.parts[before].ensure(account)
    whole = mine.ensure(account)
    fatal, dying = 0, True
    while dying:
        fatal += 1
        mine.remove(account)
        dying = shown.dies(account, part, fatal)
        half, made = mine.observe(account), mine.ensure(account)
        assert made == mine.observe(account)
        assert without(made, mine.identity) == without(whole, mine.identity)
        assert half is None or {half.facts[one] for one in mine.identity} == {made.facts[one] for one in mine.identity}
    assert fatal > 1
    for after in PARTS[PARTS.index(part) :]:
        shown.site.parts[after].ensure(account)
    shown.site.open(account, MINUTE, 2)


def test_larger_limits_leave_identity_alone(site: Site, account: Spec) -> None:
    """A conversion in place: only limits change."""
    live(site, account)
    before = {part: site.parts[part].observe(account) for part in PARTS}
    larger = replace(account, memory=account.memory * 2, storage=account.storage * 2, egress=account.egress * 2)
    for part in PARTS:
        old, new = before[part], site.parts[part].ensure(larger)
        assert old is not None
        assert {fact: new.facts[fact] for fact in site.parts[part].identity} == {
            fact: old.facts[fact] for fact in site.parts[part].identity
        }


def test_arming_moves_the_end_everywhere(shown: Shown, account: Spec) -> None:
    """Later and earlier: all that enforces it at the site has the end that was answered, to the second."""
    live(shown.site, account)
    for generation, away in ((3, 3 * LATER), (4, LATER)):
        end = (shown.site.now() + away).replace(microsecond=0)
        assert shown.site.arm(account, end, generation) == Armed(end, generation)
        ends = shown.ends(account)
        assert ends
        assert {where: at for where, at in ends.items() if abs(at - end) > SECOND} == {}


def test_the_site_goes_by_the_end_that_was_armed_last(shown: Shown, account: Spec) -> None:
    """Past an end that was moved later the holder gets in; past one that was moved closer the site has shut it."""
    complete(shown.site, account)
    first = shown.site.open(account, 20 * SECOND, 2).ends_at
    assert isinstance(shown.site.arm(account, first + LATER, 3), Armed)
    passed(shown.site, first)
    gets_in = shown.holder(account)
    assert gets_in()
    end = shown.site.now() + 10 * SECOND
    assert isinstance(shown.site.arm(account, end, 4), Armed)
    passed(shown.site, end)
    answer = shown.site.arm(account, end + LATER, 5)
    assert isinstance(answer, AlreadyFenced)
    assert answer.by == "end"
    assert not gets_in()


def test_a_lower_generation_is_stale(site: Site, account: Spec) -> None:
    """For every call that carries one."""
    complete(site, account)
    armed(site, account, 5)
    calls: list[Callable[[], object]] = [
        lambda: site.arm(account, site.now() + LATER, 4),
        lambda: site.open(account, MINUTE, 4),
        lambda: site.unfence(account, 4, site.now() + LATER),
        lambda: only(site.clean([(account.account, 4)])),
    ]
    for call in calls:
        with pytest.raises(Stale):
            call()
    (row,) = site.fence([(account.account, 4)], "end")
    assert isinstance(row.error, Stale)


def test_opening_again_gives_the_same_answer(site: Site, account: Spec) -> None:
    """The lost answer of the first time."""
    complete(site, account)
    assert site.open(account, MINUTE, 2) == site.open(account, MINUTE, 2)


def test_an_open_account_lasts_as_long_as_was_said(site: Site, account: Spec) -> None:
    """By the site's clock, from the instant it opened."""
    complete(site, account)
    opened = site.open(account, MINUTE, 2)
    assert abs((opened.ends_at - opened.starts_at - MINUTE).total_seconds()) < 0.001


@pytest.mark.parametrize("missing", PARTS)
def test_an_account_lacking_a_part_is_not_opened(site: Site, account: Spec, missing: PartName) -> None:
    """Read back at the site, not taken from a record."""
    complete(site, account)
    site.parts[missing].remove(account)
    with pytest.raises(Refused):
        site.open(account, MINUTE, 2)


def test_past_the_armed_end_nothing_opens(site: Site, account: Spec) -> None:
    """Provisioning that took too long: the site has already fenced it."""
    complete(site, account)
    site.arm(account, site.now() - MINUTE, 2)
    with pytest.raises(Refused):
        site.open(account, MINUTE, 3)


def test_an_account_in_use_is_not_removed(site: Site, account: Spec) -> None:
    """Whoever wants it gone fences it first."""
    live(site, account)
    with pytest.raises(Refused):
        site.parts["storage"].remove(account)
    with pytest.raises(Refused):
        only(site.clean([(account.account, 3)]))


def test_fences_come_and_go(shown: Shown, account: Spec) -> None:
    """Fenced twice is fenced once, at the first instant; lifted, its holder gets in; fenced again."""
    site = shown.site
    live(site, account)
    first, second = (site.fence([(account.account, 3)], "operator")[0] for _ in range(2))
    assert first.at == second.at
    assert isinstance(site.unfence(account, 4, site.now() + LATER), Armed)
    gets_in = shown.holder(account)
    assert gets_in()
    (third,) = site.fence([(account.account, 5)], "operator")
    assert not gets_in()
    assert third.at is not None
    assert first.at is not None
    assert third.at > first.at


def test_a_fenced_account_s_end_is_not_moved(site: Site, account: Spec) -> None:
    """The site's answer decides between an extension and a fence."""
    live(site, account)
    fence(site, account, 3)
    answer = site.arm(account, site.now() + LATER, 4)
    assert isinstance(answer, AlreadyFenced)
    assert answer.by == "operator"


def test_a_fence_is_not_lifted_into_the_past(site: Site, account: Spec) -> None:
    """An end that has passed stays passed."""
    live(site, account)
    fence(site, account, 3)
    assert isinstance(site.unfence(account, 4, site.now() - MINUTE), AlreadyFenced)


def test_ensuring_lifts_no_fence(shown: Shown, account: Spec) -> None:
    """Repairing a fenced account lets nobody in, neither who was in before nor anybody new."""
    live(shown.site, account)
    gets_in = shown.holder(account)
    assert gets_in()
    fence(shown.site, account, 3)
    for part in PARTS:
        shown.site.parts[part].ensure(account)
    assert not gets_in()
    with pytest.raises(Refused):
        shown.site.issue(account, make_key().public, shown.site.now() + MINUTE)


def test_nobody_gets_in_before_it_is_open(site: Site, account: Spec) -> None:
    """Complete is not open."""
    complete(site, account)
    with pytest.raises(Refused):
        site.issue(account, make_key().public, site.now() + MINUTE)


def test_the_same_key_gets_a_credential_again(site: Site, account: Spec) -> None:
    """With the same end, in whole seconds, not after the one asked for."""
    live(site, account)
    key, end = make_key().public, site.now() + MINUTE
    first, second = (site.issue(account, key, end) for _ in range(2))
    assert (first.login, first.port, first.expires) == (second.login, second.port, second.expires)
    assert first.expires == end.replace(microsecond=0)


def test_files_are_fetched_after_the_end(shown: Shown, account: Spec) -> None:
    """Asked twice is asked once; the answer ends when it was said, and is not the one of logins."""
    live(shown.site, account)
    key = make_key().public
    login = shown.site.issue(account, key, shown.site.now() + MINUTE)
    shown.site.arm(account, shown.site.now() - MINUTE, 3)
    until = shown.site.now() + MINUTE
    rescued(shown, account, key)
    first, second = (shown.site.rescue(account, key, until) for _ in range(2))
    assert (first.login, first.port, first.expires) == (second.login, second.port, second.expires)
    assert first.expires == until.replace(microsecond=0)
    assert principals_of(first.certificate) != principals_of(login.certificate)
    assert first.login == login.login


def test_nothing_is_fetched_before_the_end(site: Site, account: Spec) -> None:
    """Neither of an account in use nor of one that an operator has fenced."""
    live(site, account)
    with pytest.raises(Refused):
        site.rescue(account, make_key().public, site.now() + MINUTE)
    fence(site, account, 3)
    with pytest.raises(Refused):
        site.rescue(account, make_key().public, site.now() + MINUTE)


def test_nothing_is_fetched_once_grace_is_over(site: Site, account: Spec) -> None:
    """The instant until when has passed."""
    ended(site, account)
    with pytest.raises(Refused):
        site.rescue(account, make_key().public, site.now() - MINUTE)


def test_nothing_is_fetched_of_what_was_taken_back(site: Site, account: Spec) -> None:
    """Partly, wholly, and never there."""
    ended(site, account)
    site.parts["access"].remove(account)
    with pytest.raises(Refused):
        site.rescue(account, make_key().public, site.now() + MINUTE)
    only(site.clean([(account.account, 4)]))
    with pytest.raises(Refused):
        site.rescue(account, make_key().public, site.now() + MINUTE)
    assert site.leftovers(account.account) == []


def test_what_may_be_fetched_is_taken_back_as_ever(shown: Shown, account: Spec) -> None:
    """A fence again, then nothing is left."""
    ended(shown.site, account)
    rescued(shown, account, make_key().public)
    (row,) = shown.site.fence([(account.account, 4)], "end")
    assert row.error is None
    only(shown.site.clean([(account.account, 5)]))
    assert shown.site.leftovers(account.account) == []


def test_a_contract_ends_what_was_for_fetching(shown: Shown, account: Spec) -> None:
    """Lifted, the account is in use again: files come through its logins."""
    ended(shown.site, account)
    rescued(shown, account, make_key().public)
    assert isinstance(shown.site.unfence(account, 4, shown.site.now() + LATER), Armed)
    with pytest.raises(Refused):
        shown.site.rescue(account, make_key().public, shown.site.now() + MINUTE)
    assert shown.site.issue(account, make_key().public, shown.site.now() + MINUTE)


def test_files_are_exported_under_any_fence(shown: Shown, account: Spec) -> None:
    """An operator's, and the end's while its holder may fetch, too; names in the tar begin with the account's id."""
    live(shown.site, account)
    fence(shown.site, account, 3)
    pieces: list[bytes] = []
    try:
        assert shown.site.export(account.account, [], pieces.append) == len(b"".join(pieces)) > 0
    except Refused as said:
        if "nothing can be exported from here" in str(said):
            pytest.skip(str(said))
        raise
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        assert {name.split("/")[0] for name in tar.getnames()} == {account.account}
        assert not [one for one in tar if one.uid or one.gid or one.uname or one.gname]


def test_nothing_is_exported_of_one_in_use_or_gone(site: Site, account: Spec) -> None:
    """Nor of one that never was."""
    live(site, account)
    pieces: list[bytes] = []
    with pytest.raises(Refused):
        site.export(account.account, [], pieces.append)
    fence(site, account, 3)
    only(site.clean([(account.account, 4)]))
    for name in (account.account, new_id()):
        with pytest.raises(Refused):
            site.export(name, [], pieces.append)
    assert pieces == []


def test_what_was_never_there_is_fenced(site: Site, account: Spec) -> None:
    """A user that somebody already deleted counts as fenced; and a late worker's arm comes too late."""
    fence(site, account, 5)
    with pytest.raises(Stale):
        site.arm(account, site.now() + LATER, 4)


def test_leftovers_name_exactly_what_is_left(shown: Shown, account: Spec) -> None:
    """What the site shows by other means, no more and no less; each part's removal takes something, for good."""
    complete(shown.site, account)
    fence(shown.site, account, 3)
    before, gone = {"all", *shown.there(account)}, set[str]()
    for part in (None, *reversed(PARTS)):
        if part is not None:
            shown.site.parts[part].remove(account)
        left, there = shown.site.leftovers(account.account), shown.there(account)
        assert {shown.called(one) for one in left} == there, part
        assert not [one for one in left if one.unlisted]
        gone |= before - there
        assert before - there, part
        assert not gone & there, part
        before = there
    only(shown.site.clean([(account.account, 4)]))
    assert shown.site.leftovers(account.account) == []
    assert shown.there(account) == set()


@pytest.mark.parametrize("removed", range(len(PARTS)))
def test_what_a_partial_destroy_left_is_cleaned(shown: Shown, account: Spec, removed: int) -> None:
    """By the site's own listing and by another one."""
    complete(shown.site, account)
    fence(shown.site, account, 3)
    for part in list(reversed(PARTS))[:removed]:
        shown.site.parts[part].remove(account)
    only(shown.site.clean([(account.account, 4)]))
    assert shown.site.leftovers(account.account) == []
    assert shown.there(account) == set()


def test_a_listing_that_fails_counts_as_not_empty(shown: Shown, account: Spec) -> None:
    """Nobody knows what it would have shown, of an account that is cleaned, too."""
    complete(shown.site, account)
    fence(shown.site, account, 3)
    only(shown.site.clean([(account.account, 4)]))
    with shown.unlisted():
        left = shown.site.leftovers(account.account)
    assert left
    assert all(one.unlisted for one in left)
    assert shown.site.leftovers(account.account) == []


def test_a_cleaned_account_never_comes_back(site: Site, account: Spec) -> None:
    """The site remembers its generation."""
    live(site, account)
    fence(site, account, 3)
    only(site.clean([(account.account, 4)]))
    for generation in (3, 4):
        with pytest.raises(Stale):
            site.arm(account, site.now() + LATER, generation)
    assert account.account not in site.accounts()


def test_cleaning_twice_is_cleaning_once(site: Site, account: Spec) -> None:
    """Also of what was never there."""
    complete(site, account)
    fence(site, account, 3)
    for _ in range(2):
        only(site.clean([(account.account, 4)]))


def test_accounts_are_known_by_any_trace(site: Site, account: Spec) -> None:
    """A lease alone is one."""
    armed(site, account)
    assert account.account in site.accounts()


def test_usage_comes_by_clock_hours(site: Site, account: Spec) -> None:
    """From the opening up to now without a hole; nothing is negative, and no more covered than there was."""
    live(site, account)
    used = persist(lambda: site.usage(account.account, site.now() - timedelta(hours=2)))
    assert [one.since for one in used[1:]] == [hour(one.since) for one in used[1:]] == [one.until for one in used[:-1]]
    for one in used:
        assert one.since < one.until <= hour(one.since) + HOUR
        assert timedelta() <= one.covered <= one.until - one.since
        assert all(amount >= 0 for amount in one.amounts.values())


def test_usage_asked_twice_has_only_grown(site: Site, account: Spec) -> None:
    """No interval begins elsewhere, no amount gets less."""
    live(site, account)
    first = persist(lambda: site.usage(account.account, site.now() - MINUTE))
    again = site.usage(account.account, first[0].since)
    assert [one.since for one in again[: len(first)]] == [one.since for one in first]
    for before, after in zip(first, again, strict=False):
        assert after.until >= before.until
        assert all(after.amounts[meter] >= amount for meter, amount in before.amounts.items())


def test_usage_starts_with_the_hour_asked_for(site: Site, account: Spec) -> None:
    """What ended before is not told again."""
    live(site, account)
    persist(lambda: site.usage(account.account, site.now() - MINUTE))
    assert site.usage(account.account, hour(site.now()) + 2 * HOUR) == []


def test_usage_is_told_after_the_fence(site: Site, account: Spec) -> None:
    """Until the account is cleaned away; then nothing is."""
    live(site, account)
    before = persist(lambda: site.usage(account.account, site.now() - MINUTE))
    fence(site, account, 3)
    assert site.usage(account.account, before[0].since)[0].since == before[0].since
    only(site.clean([(account.account, 4)]))
    assert site.usage(account.account, before[0].since) == []


def test_of_an_unknown_account_there_is_no_usage(site: Site) -> None:
    """Nor of one that never opened."""
    assert site.usage(new_id(), site.now() - MINUTE) == []


def test_an_account_that_never_opened_used_nothing(site: Site, account: Spec) -> None:
    """Its making is not the holder's."""
    armed(site, account)
    assert site.usage(account.account, site.now() - MINUTE) == []


def test_what_is_stored_is_told_or_a_gap(site: Site, account: Spec) -> None:
    """A number of bytes, or None."""
    live(site, account)
    assert (site.stored(account.account) or 0) >= 0


def test_outages_are_over(site: Site) -> None:
    """Each ended after the time asked for and before now."""
    since = site.now() - HOUR
    for one in site.outages(since):
        assert one.since < one.until
        assert since < one.until <= site.now()


def test_a_site_has_something_to_give(site: Site) -> None:
    """In all, and free."""
    there = site.capacity()
    assert min(there.cpu_milli, there.memory, there.storage) > 0
    assert 0 <= there.storage_free <= there.storage


def test_a_text_is_taken_for_the_holder(site: Site, account: Spec) -> None:
    """Put up twice, taken down with an empty one."""
    live(site, account)
    for text in ("ends in 5 minutes\n", "ends in 5 minutes\n", ""):
        site.warn(account.account, text)


def test_a_check_says_how_each_part_is(site: Site) -> None:
    """Green, or what is missing: of every part something was looked at."""
    assert {finding.part for finding in site.check()} >= set(PARTS)


def test_prepared_is_prepared(site: Site) -> None:
    """Nothing would be changed, and nothing is."""
    assert site.prepare(dry_run=True) == []
    assert site.prepare(dry_run=False) == []


def test_a_site_with_accounts_stays_prepared(site: Site, account: Spec) -> None:
    """Their ends would be nobody's."""
    armed(site, account)
    with pytest.raises(Refused):
        site.unprepare(dry_run=False)


@pytest.mark.parametrize("name", ["", "root", "../../../etc", "a2345678901", "aaaaaaaaa;", "--all12345", "аaaaaaaaaa",
                                  "aaaaaaaaaa\n"])
def test_a_name_that_attacks_is_refused(site: Site, name: str) -> None:
    """By every call, before anything happens."""
    bad = replace(spec(), account=name)
    calls: list[Callable[[], object]] = [
        lambda: site.arm(bad, site.now() + MINUTE, 1),
        lambda: site.open(bad, MINUTE, 1),
        lambda: site.unfence(bad, 1, site.now() + MINUTE),
        lambda: site.issue(bad, make_key().public, site.now() + MINUTE),
        lambda: site.rescue(bad, make_key().public, site.now() + MINUTE),
        lambda: site.warn(name, "x"),
        lambda: site.leftovers(name),
        lambda: only(site.clean([(name, 1)])),
        lambda: site.export(name, [], lambda piece: None),
        lambda: site.usage(name, site.now()),
        lambda: site.stored(name),
        *(partial(site.parts[part].observe, bad) for part in PARTS),
        *(partial(site.parts[part].ensure, bad) for part in PARTS),
        *(partial(site.parts[part].remove, bad) for part in PARTS),
    ]
    for call in calls:
        with pytest.raises(Refused):
            call()
    (row,) = site.fence([(name, 1)], "end")
    assert isinstance(row.error, Refused)


@pytest.mark.parametrize("generation", [0, -1])
def test_a_generation_below_one_is_refused(site: Site, account: Spec, generation: int) -> None:
    """It counts Tenure's decisions from 1 up."""
    with pytest.raises(Refused):
        site.arm(account, site.now() + MINUTE, generation)


def test_one_bad_name_spoils_no_other_s_fence(site: Site, account: Spec) -> None:
    """Each account has its own row, in the order asked."""
    live(site, account)
    rows = site.fence([("root", 3), (account.account, 3), (new_id(), 3)], "operator")
    assert [row.error is None for row in rows] == [False, True, True]
    only(site.clean([(rows[2].account, GONE)]))
