"""Sites, offers and places as applied."""

from dataclasses import replace

import pytest

from orchestrator.store import errors, sites
from orchestrator.store.sites import Places, SiteRow
from tests.store.making import HOUR, NOW, OFFER, World

SITE = SiteRow("edge-1", "linux", "edge", {"chip": "910b"}, {"host": "10.0.0.1", "ports": [22]}, order=7)


def test_a_site_is_read_back(world: World) -> None:
    """Labels and settings included."""
    with world.store.write() as tx:
        sites.put(tx, SITE)
        assert sites.get(tx, "edge-1") == SITE


def test_sites_come_in_the_operators_order(world: World) -> None:
    """Lowest order first."""
    with world.store.write() as tx:
        sites.put(tx, replace(SITE, order=-1))
        assert [site.name for site in sites.list_(tx)] == ["edge-1", "nanjing", "wuxi"]


def test_applying_again_keeps_drain_and_keys(world: World) -> None:
    """What operators and Tenure itself set is not undone by a file."""
    with world.store.write() as tx:
        sites.put(tx, SITE)
        sites.drain(tx, "edge-1", True)
        sites.put_secrets(tx, "edge-1", {"ssh": "k"})
        sites.put(tx, replace(SITE, order=1))
        assert sites.get(tx, "edge-1") == replace(SITE, order=1, drained=True)
        assert sites.secrets(tx, "edge-1") == {"ssh": "k"}


@pytest.mark.parametrize("call", [lambda tx: sites.drain(tx, "x", True), lambda tx: sites.secrets(tx, "x"),
                                  lambda tx: sites.put_secrets(tx, "x", {})], ids=["drain", "secrets", "put_secrets"])
def test_an_unknown_site_is_not_found(world: World, call: object) -> None:
    """Acting on nobody's name says so."""
    with world.store.write() as tx, pytest.raises(errors.NotFound):
        call(tx)  # type: ignore[operator]


def test_an_offer_is_read_back(world: World) -> None:
    """Every field of an offer survives."""
    full = replace(OFFER, name="full", models=("qwen",), accelerators={"910b": 2}, precision=("fp16", "int8"),
                   kinds=("linux",), tiers=("hub",), labels={"city": "nanjing"},
                   warn_before=(HOUR, HOUR / 3600 / 10))
    with world.store.write() as tx:
        sites.put_offer(tx, full)
        assert sites.get_offer(tx, "full") == full
        assert sites.list_offers(tx) == [full, OFFER]


def test_places_are_replaced_as_a_whole(world: World) -> None:
    """A file says all of a site's places; other sites keep theirs."""
    fresh = [Places("nanjing", OFFER.name, 3, NOW, NOW + HOUR), Places("nanjing", OFFER.name, 4, NOW + HOUR)]
    with world.store.write() as tx:
        sites.put_places(tx, "nanjing", fresh)
        assert sites.list_places(tx, site="nanjing") == fresh
        assert [place.count for place in sites.list_places(tx, offer=OFFER.name)] == [3, 4, 100]
