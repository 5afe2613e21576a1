"""Offers and sites from YAML: what is taken, and where a message points."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.flows.documents.fields import BadDocument
from orchestrator.flows.documents.reading import Documents, read

NOW = datetime(2027, 1, 1, tzinfo=UTC)
OFFER = """\
offers:
  - name: small
    containers: 2
    cpu: 1.5
    memory: 256MiB
    pids: 128
    storage: 48MiB
    network: {rate: 20Mbit/s, egress: 5MiB}
    duration: 30s
    images: [docker.io/library/busybox:1.36]
    warn_before: [10s]
    grace: 5s
"""
SITE = """\
sites:
  - name: lab
    kind: linux
    address: 127.0.0.1:2222
    places:
      - {offer: small, count: 3, from: 2027-01-01, until: "2027-06-30T12:00:00Z"}
"""


def said(text: str) -> Documents:
    return read(text, "file.yaml", ["linux", "memory"], NOW)


def problems(text: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        said(text)
    return [str(problem) for problem in caught.value.problems]


def changed(old: str, new: str) -> list[str]:
    assert old in OFFER
    return problems(OFFER.replace(old, new))


def test_units_become_bytes_bits_and_thousandths_of_a_core() -> None:
    """Sizes are bytes, the rate bits per second, a core and a half 1500."""
    offer = said(OFFER).offers[0]
    assert (offer.memory, offer.storage, offer.rate, offer.cpu_milli) == (256 << 20, 48 << 20, 20_000_000, 1500)


def test_a_lease_of_seconds_is_legal() -> None:
    """Durations, warnings and grace of seconds are taken as written."""
    offer = said(OFFER).offers[0]
    assert (offer.duration, offer.warn_before, offer.grace) == (
        timedelta(seconds=30), (timedelta(seconds=10),), timedelta(seconds=5))


def test_a_date_without_an_offset_is_civil_time_in_shanghai() -> None:
    """The first of January begins at 16:00 UTC the day before."""
    places = said(SITE).sites[0].places
    assert places is not None
    assert places[0].start == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_a_site_without_places_says_nothing_about_them() -> None:
    """Leaving `places` out is not the same as an empty list."""
    assert said("sites:\n  - {name: lab, kind: memory}\n").sites[0].places is None


@pytest.mark.parametrize(("old", "new", "message"), [
    ("containers: 2", "containers: 0", "file.yaml:3: offers[0].containers: 0 is not within 1 and 1000"),
    ("pids: 128", "pids: 15", "file.yaml:6: offers[0].pids: 15 is not within 16 and 1000000"),
    ("duration: 30s", "duration: 367d", "file.yaml:9: offers[0].duration: 367d is more than 366d"),
    ("duration: 30s", "duration: 0s", "file.yaml:9: offers[0].duration: duration '0s' is zero or too large"),
    ("cpu: 1.5", "cpu: -1", "file.yaml:4: offers[0].cpu: -1 is not within 0.01 and 1024 cores, in steps of 0.001"),
    ("cpu: 1.5", "cpu: .nan", "file.yaml:4: offers[0].cpu: '.nan' is not a number of cores (for example 1.5)"),
    ("warn_before: [10s]", "warn_before: [30s]",
     "file.yaml:11: offers[0].warn_before: 30s before the end is not within a duration of 30s"),
    ("name: small", "name: ../x", "file.yaml:2: offers[0].name: '../x' is not a name: at most 40 small letters, "
     "digits, - and ."),
    ("grace: 5s", "grace: 5s\n    grace: 6s", "file.yaml:13: offers[0].grace: given twice"),
    ("images: [docker.io/library/busybox:1.36]", "images: []",
     "file.yaml:10: offers[0].images: names no image: no container could ever run"),
])
def test_a_value_out_of_range_names_file_line_and_field(old: str, new: str, message: str) -> None:
    """The message points at the very line."""
    assert changed(old, new) == [message]


def test_a_size_without_a_unit_is_refused() -> None:
    """A bare number could be anything."""
    assert changed("storage: 48MiB", "storage: 48")[0].startswith("file.yaml:7: offers[0].storage: size '48' is not")


def test_a_missing_field_points_at_the_offer() -> None:
    """What is not there is reported where its offer begins."""
    assert changed("    containers: 2\n", "") == ["file.yaml:2: offers[0].containers: is missing"]


def test_a_missing_network_is_told_once() -> None:
    """And the offer's other fields are not mistaken for a network's."""
    assert changed("    network: {rate: 20Mbit/s, egress: 5MiB}\n", "") == [
        "file.yaml:2: offers[0].network: is missing (write `network: {rate: 20Mbit/s, egress: 10GiB}`)"]


def test_a_misspelt_field_is_refused() -> None:
    """An unknown field is never silently ignored."""
    assert changed("images:", "image:")[1].startswith("file.yaml:10: offers[0].image: is not a field that is known")


def test_all_problems_are_told_at_once() -> None:
    """Nobody has to run it once for each mistake."""
    assert len(problems(OFFER.replace("containers: 2", "containers: 0").replace("20Mbit/s", "20"))) == 2


def test_what_is_not_yaml_names_the_line() -> None:
    """A broken file is refused with its line, too."""
    assert problems("offers:\n  - name: [\n")[0].startswith("file.yaml:3: not YAML:")


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "sites: &x\n  - *x\n", "- 1\n", "", "offers: 3\n", "{[1]: 2}\n",
                                  "offers: [" * 400, "sites:\n  - {name: a, kind: memory, settings: &s {x: *s}}\n"])
def test_strange_documents_are_refused_and_do_not_break(text: str) -> None:
    """Recursion, wrong shapes and emptiness give a message."""
    assert problems(text)


def test_a_place_of_no_time_is_refused() -> None:
    """`until` must come after `from`."""
    assert problems(SITE.replace('"2027-06-30T12:00:00Z"', "2026-12-31"))[0].startswith(
        "file.yaml:6: sites[0].places[0].until: is not after")


CLOCKED = "programmes:\n  - {name: course, benefit: trial, offer: small, hours: 24, book_ahead: 90d, clock: CLOCK}\n"


@pytest.mark.parametrize(("clock", "expected"), [
    ("ready", (False, None, None)), ("scheduled", (True, None, None)),
    ("{claim_within: 2d}", (False, None, timedelta(days=2))),
    ("{begins_at: '2027-03-08 09:00'}", (False, datetime(2027, 3, 8, 1, tzinfo=UTC), None))])
def test_a_programme_says_when_the_clock_starts(clock: str, expected: object) -> None:
    """When ready, at a time of choice, at the first claim, or at one time for all."""
    programme = said(CLOCKED.replace("CLOCK", clock)).programmes[0]
    assert (programme.scheduled, programme.begins_at, programme.claim_within) == expected
    assert programme.book_ahead == timedelta(days=90)


@pytest.mark.parametrize("clock", ["first-claim", "{}", "{claim_within: 2d, begins_at: '2027-03-08'}", "{at: 9}",
                                   "{begins_at: soon}", "{begins_at: '9999-12-31'}", "[ready]"])
def test_a_clock_that_cannot_be_is_refused(clock: str) -> None:
    """With the line that it stands on."""
    assert problems(CLOCKED.replace("CLOCK", clock))[0].startswith("file.yaml:2: programmes[0].clock")
