"""Sites, offers and the places that a site gives to an offer. A site's keys are sealed and asked for separately."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from orchestrator.lifecycle.contract import OPEN_END
from orchestrator.lifecycle.offer import Offer, Tier
from orchestrator.store import tables
from orchestrator.store.codec import offer_from_json, offer_to_json
from orchestrator.store.engine import Tx
from orchestrator.store.errors import NotFound
from orchestrator.store.sql import insert_new, keyring
from orchestrator.store.sql import put as put_row

_table = tables.sites
ALWAYS = OPEN_END
SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site as applied. `order` is the operator's preference, lowest first; `held` stops its reclaims."""

    name: str
    kind: str
    tier: Tier
    labels: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    order: int = 0
    drained: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """How many accounts of an offer a site has room for within [from_, until)."""

    site: str
    offer: str
    count: int
    from_: datetime = SINCE_EVER
    until: datetime = ALWAYS


def put(tx: Tx, site: SiteRow) -> None:
    """Add it or bring it up to date; its sealed keys, drain and hold stay as they are."""
    applied = {"name": site.name, "kind": site.kind, "tier": site.tier, "labels": dict(site.labels),
               "settings": dict(site.settings), "order": site.order}
    if not insert_new(tx, _table, applied | {"drained": site.drained, "held": site.held}):
        tx.execute(update(_table).where(_table.c.name == site.name).values(**applied))


def get(tx: Tx, name: str) -> SiteRow | None:
    """The site, or None."""
    row = tx.execute(select(_table).where(_table.c.name == name)).first()
    return None if row is None else _site(row)


def list_(tx: Tx) -> list[SiteRow]:
    """All sites in the operator's order."""
    return [_site(row) for row in tx.execute(select(_table).order_by(_table.c.order, _table.c.name))]


def drain(tx: Tx, name: str, drained: bool) -> None:
    """Whether it gets no new accounts. NotFound."""
    _known(tx.execute(update(_table).where(_table.c.name == name).values(drained=drained)
                      .returning(_table.c.name)).first(), name)


def put_secrets(tx: Tx, name: str, secrets: Mapping[str, str]) -> None:
    """Seal the site's own keys (its SSH key, the certificate authority), in place of those before. NotFound."""
    sealed = keyring(tx).seal(json.dumps(dict(secrets)).encode(), _place(name))
    _known(tx.execute(update(_table).where(_table.c.name == name).values(secrets=sealed)
                      .returning(_table.c.name)).first(), name)


def secrets(tx: Tx, name: str) -> dict[str, str]:
    """The site's own keys in the clear; empty when it has none. NotFound, WrongKey."""
    row = tx.execute(select(_table.c.secrets).where(_table.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no site {name!r}")
    if row.secrets is None:
        return {}
    found: dict[str, str] = json.loads(keyring(tx).unseal(row.secrets, _place(name)))
    return found


def put_offer(tx: Tx, offer: Offer) -> None:
    """Add it or replace it; accounts keep the offer that they were made with."""
    put_row(tx, tables.offers, {"name": offer.name, "offer": offer_to_json(offer)})


def get_offer(tx: Tx, name: str) -> Offer | None:
    """The offer, or None."""
    plain = tx.execute(select(tables.offers.c.offer).where(tables.offers.c.name == name)).scalar()
    return None if plain is None else offer_from_json(plain)


def list_offers(tx: Tx) -> list[Offer]:
    """All offers by name."""
    return [offer_from_json(row.offer) for row in tx.execute(select(tables.offers).order_by(tables.offers.c.name))]


def put_places(tx: Tx, site: str, places: list[Places]) -> None:
    """The site's places, in place of those before. Places held by accounts are not taken from them."""
    table = tables.places
    tx.execute(delete(table).where(table.c.site == site))
    for place in places:
        tx.execute(table.insert().values(
            {"site": site, "offer": place.offer, "count": place.count, "from": place.from_, "until": place.until}))


def list_places(tx: Tx, site: str | None = None, offer: str | None = None) -> list[Places]:
    """Places, of one site or one offer where asked."""
    table = tables.places
    query = select(table).order_by(table.c.site, table.c.offer, table.c["from"])
    if site is not None:
        query = query.where(table.c.site == site)
    if offer is not None:
        query = query.where(table.c.offer == offer)
    return [places_of(row) for row in tx.execute(query)]


def places_of(row: Row[Any]) -> Places:
    """One row of `places`."""
    found = row._mapping
    return Places(found["site"], found["offer"], found["count"], found["from"], found["until"])


def _known(row: Row[Any] | None, name: str) -> None:
    if row is None:
        raise NotFound(f"there is no site {name!r}")


def _place(name: str) -> str:
    return f"sites/{name}"


def _site(row: Row[Any]) -> SiteRow:
    return SiteRow(row.name, row.kind, row.tier, row.labels, row.settings, row.order, row.drained, row.held)
