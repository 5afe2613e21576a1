"""How much of an outage is made good, and what is told of one: edges, sums in any order, and what is refused."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.flows.documents.fields import BadDocument
from orchestrator.flows.documents.reading import Documents, read
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.outage import Outcome
from tests.flows.credited import HOUR, MINUTE, SECOND, credits, moved, outcomes, settle, tell, told, trial
from tests.flows.town import START, Town


@pytest.mark.parametrize(("limit", "expected"), [
    (2 * HOUR, (Outcome.EXTENDED, 7200)), (2 * HOUR - SECOND, (Outcome.LIMITED, 7199)),
    (SECOND, (Outcome.LIMITED, 1)), (timedelta(), (Outcome.NO_CREDIT, 0))])
def test_the_limits_edges(town: Town, limit: timedelta, expected: tuple[Outcome, int]) -> None:
    """Two hours lost: the limit itself, one second less, one second, none."""
    id = trial(town, limit)
    town.advance(3 * HOUR)
    told(town, 0, 2)
    settle(town)
    assert (outcomes(town, id), moved(town, id)) == ([expected], expected[1] * SECOND)


def test_the_limit_is_for_all_outages_together(town: Town) -> None:
    """What the first has left is the second's, and the third gets nothing."""
    id = trial(town, 90 * MINUTE)
    town.advance(6 * HOUR)
    for hour in (0, 2, 4):
        told(town, hour, hour + 1)
    settle(town)
    assert sorted(outcomes(town, id)) == [(Outcome.EXTENDED, 3600), (Outcome.LIMIT_USED, 0), (Outcome.LIMITED, 1800)]
    assert moved(town, id) == 90 * MINUTE


SPAN = st.tuples(st.integers(-60, 1200), st.integers(1, 600)).map(lambda one: (one[0], min(one[0] + one[1], 1200)))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spans=st.lists(SPAN.filter(lambda one: one[0] < one[1]), min_size=1, max_size=5), limit=st.integers(0, 1300),
       at_once=st.booleans())
def test_whatever_is_told_in_whatever_order_the_sum_is_right(town: Town, spans: list[tuple[int, int]], limit: int,
                                                             at_once: bool) -> None:
    """Minutes lost in any outage, each once, up to the limit; settled one by one or together, and once more."""
    begun, id = town.clock.at, trial(town, limit * MINUTE)
    town.advance(20 * HOUR)
    for since, until in spans:
        tell(town, "north", begun + since * MINUTE, begun + until * MINUTE)
        if not at_once:
            settle(town)
    settle(town)
    settle(town)
    lost = len({minute for since, until in spans for minute in range(max(since, 0), until)})
    assert moved(town, id) == min(lost, limit) * MINUTE
    assert sum(one.seconds for one in credits(town, id)) == min(lost, limit) * 60
    town.advance(50 * HOUR)
    town.work()


@pytest.mark.parametrize(("since", "until", "why"), [
    (2, 1, "it ends before"), (1, 1, "it has no length"), (2, 4, "it is not over"), (-91 * 24, 0, "it is longer")])
def test_what_is_no_outage_is_refused(town: Town, since: float, until: float, why: str) -> None:
    """Without a length, not over, longer than a site remembers: that one is named, and no other."""
    town.advance(3 * HOUR)
    with pytest.raises(RuleError, match=f"no outage: {why}") as refused:
        told(town, since, until)
    assert refused.value.code == "bad_span"


def test_an_outage_of_an_unknown_site_is_refused(town: Town) -> None:
    """By its name."""
    with pytest.raises(RuleError, match="no site 'west'"):
        tell(town, "west", START - HOUR, START)


PROGRAMME = "programmes:\n  - {{name: p, benefit: {benefit}, offer: o, hours: 24, outage_credit: {credit}}}\n"


def parsed(credit: str, benefit: str = "trial") -> Documents:
    return read(PROGRAMME.format(credit=credit, benefit=benefit), "p.yaml", ["memory"], START)


def test_a_programme_says_how_much_it_makes_good() -> None:
    """In its file; left out, nothing."""
    assert parsed("36h").programmes[0].outage_credit == 36 * HOUR
    assert read(PROGRAMME.replace(", outage_credit: {credit}", "").format(benefit="trial"), "p.yaml", ["memory"],
                START).programmes[0].outage_credit == timedelta()


@pytest.mark.parametrize("credit", ["much", "-1h", "400d"])
def test_a_programmes_mistake_has_its_place(credit: str) -> None:
    """File, line and field."""
    with pytest.raises(BadDocument, match=r"p.yaml:2: programmes\[0\].outage_credit"):
        parsed(credit)
