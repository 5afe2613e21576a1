"""Applies what documents say: it becomes so, in one transaction; what they do not mention stays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from orchestrator.flows.context import Context
from orchestrator.flows.documents import site_keys
from orchestrator.flows.documents.fields import BadDocument, Problem
from orchestrator.flows.documents.reading import Documents, SiteDocument
from orchestrator.flows.effects import commit
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import Offer
from orchestrator.lifecycle.price import Prices
from orchestrator.lifecycle.programme import Programme
from orchestrator.store import journal, price_lists, programmes, sites
from orchestrator.store.engine import Tx
from orchestrator.store.sites import ALWAYS, SINCE_EVER, Places, SiteRow
from providers import registry
from providers.protocol import SiteError

Action = Literal["add", "change", "same"]
What = Literal["offer", "site", "places", "keys", "programme", "prices"]


@dataclass(frozen=True, slots=True)
class Change:
    """One offer, site, list of places, pair of keys, programme or price list. `fields` are (name, before, after)."""

    what: What
    name: str
    action: Action
    fields: tuple[tuple[str, Any, Any], ...] = ()
    public: Mapping[str, str] = field(default_factory=dict)
    """Of keys: their public parts. The private ones are sealed and shown to nobody."""


def apply(ctx: Context, documents: Documents, dry_run: bool, actor: str = "operator", why: str = "") -> list[Change]:
    """Make it so, or with `dry_run` only say what would change. Raises BadDocument when something does not fit."""
    _twice(documents)
    if dry_run:
        with ctx.store.read() as tx:
            return [change for change, _ in _plan(tx, documents)]
    changes = commit("apply.commit", ctx.store, lambda tx: _write(tx, documents, actor, why))
    for name in {change.name for change in changes if change.what in ("site", "keys") and change.action != "same"}:
        ctx.sites.forget(name)
    return changes


def _twice(documents: Documents) -> None:
    """Two files may not say different things of one name; which of them would win?"""
    for what, names in (("offer", [offer.name for offer in documents.offers]),
                        ("site", [site.name for site in documents.sites]),
                        ("programme", [programme.name for programme in documents.programmes]),
                        ("price list", [prices.name for prices in documents.prices])):
        for name in sorted(set(names)):
            if names.count(name) > 1:
                raise RuleError("bad_document", f"{what} {name} is in more than one of the files")


def _write(tx: Tx, documents: Documents, actor: str, why: str) -> list[Change]:
    changes = []
    for change, write in _plan(tx, documents):
        changes.append(change)
        if change.action == "same":
            continue
        _put(tx, change, write)
        journal.write(tx, f"{change.what}.applied", change.name, actor, why, outcome=change.action,
                      fields=sorted(name for name, _, _ in change.fields))
    return changes


def _put(tx: Tx, change: Change, write: object) -> None:
    match write:
        case Offer():
            sites.put_offer(tx, write)
        case SiteRow():
            sites.put(tx, write)
        case list():
            sites.put_places(tx, change.name, write)
        case Programme():
            programmes.put(tx, write)
        case Prices():
            price_lists.put(tx, write)
        case dict():
            sites.put_secrets(tx, change.name, write)
        case _:
            raise TypeError(f"{change.what} cannot be written from {type(write).__name__}")


def _plan(tx: Tx, documents: Documents) -> list[tuple[Change, object]]:
    """Every change with what is to be written, in an order that the tables' references allow."""
    plan: list[tuple[Change, object]] = [(_offer(tx, offer), offer) for offer in documents.offers]
    offers = {offer.name for offer in documents.offers} | {offer.name for offer in sites.list_offers(tx)}
    problems: list[Problem] = []
    for document in documents.sites:
        known = sites.get(tx, document.name)
        if known is not None and known.kind != document.kind:
            problems.append(_problem(document.where, "kind", f"the site is of kind {known.kind} and stays so"))
        found = list(_site(tx, document, known))
        plan += found
        problems += [*_unknown_offers(document, offers), *_bad_settings(document, found)]
    if problems:
        raise BadDocument(problems)
    return plan + _people(tx, documents, offers)


def _people(tx: Tx, documents: Documents, offers: set[str]) -> list[tuple[Change, object]]:
    """Programmes and price lists. RuleError when a programme is for an offer that is not there."""
    plan: list[tuple[Change, object]] = []
    for programme in documents.programmes:
        if programme.offer and programme.offer not in offers:
            raise RuleError("bad_document", f"programme {programme.name}: there is no offer {programme.offer!r}: apply "
                                            "it before, or in the same files")
        known = programmes.get(tx, programme.name)
        if known is not None:
            _still(tx, known, programme)
        before = _fields(known) if known else None
        plan.append((_change("programme", programme.name, before, _fields(programme)), programme))
    for prices in documents.prices:
        listed = price_lists.get(tx, prices.name)
        plan.append((_change("prices", prices.name, _fields(listed) if listed else None, _fields(prices)), prices))
    return plan


def _still(tx: Tx, known: Programme, programme: Programme) -> None:
    """RuleError when vouchers would become something else than was given."""
    now, then = ((one.benefit.value, one.resource or "none") for one in (known, programme))
    if now != then and programmes.given(tx, known.name):
        raise RuleError("programme_given", f"programme {known.name}: vouchers or draws of it are there, of `benefit` "
                        f"{now[0]} and `resource` {now[1]}; that stays so: apply {then[0]} under a name of its own")


def _fields(written: Programme | Prices) -> dict[str, Any]:
    return {one.name: getattr(written, one.name) for one in fields(written) if one.name != "name"}


def _offer(tx: Tx, offer: Offer) -> Change:
    known = sites.get_offer(tx, offer.name)
    return _change("offer", offer.name, None if known is None else _plain(known), _plain(offer))


def _site(tx: Tx, document: SiteDocument, known: SiteRow | None) -> Iterable[tuple[Change, object]]:
    row = SiteRow(document.name, document.kind, document.tier, document.labels,
                  _settings(document, known), document.order)
    change = _change("site", row.name, None if known is None else _applied(known), _applied(row))
    found: list[tuple[Change, object]] = [(change, row)]
    secrets = sites.secrets(tx, row.name) if known else {}
    if fresh := site_keys.missing(row.kind, secrets):
        public = site_keys.public_lines(row.name, fresh)
        found.append((Change("keys", row.name, "add", tuple((name, None, "made") for name in sorted(fresh)), public),
                      secrets | fresh))
    if document.places is not None:
        found.append(_places(tx, document, known is not None))
    return found


def _settings(document: SiteDocument, known: SiteRow | None) -> Mapping[str, Any]:
    """What the file says; a host key that `site prepare` pinned stays when the file names none for the same host."""
    settings = dict(document.settings)
    pinned = known.settings if known is not None else {}
    same_host = all(settings.get(name) == pinned.get(name) for name in ("address", "port"))
    if same_host and "host_key" in pinned:
        settings.setdefault("host_key", pinned["host_key"])
    return settings


def _places(tx: Tx, document: SiteDocument, known: bool) -> tuple[Change, list[Places]]:
    wanted = [Places(document.name, place.offer, place.count, place.start or SINCE_EVER, place.until or ALWAYS)
              for place in document.places or ()]
    before = _counts(sites.list_places(tx, site=document.name)) if known else {}
    return _change("places", document.name, before or None, _counts(wanted)), wanted


def _counts(places: Iterable[Places]) -> dict[str, int]:
    """Places of one offer and time written apart are as many as written together."""
    counts: dict[str, int] = {}
    for place in places:
        counts[_place_name(place)] = counts.get(_place_name(place), 0) + place.count
    return counts


def _place_name(place: Places) -> str:
    bounds = "" if place.from_ == SINCE_EVER else f" from {place.from_.isoformat()}"
    return f"{place.offer}{bounds}" + ("" if place.until == ALWAYS else f" until {place.until.isoformat()}")


def _unknown_offers(document: SiteDocument, offers: set[str]) -> list[Problem]:
    return [_problem(place.where, "offer", f"there is no offer {place.offer!r}: apply it before, or in the same files")
            for place in document.places or () if place.offer not in offers]


def _bad_settings(document: SiteDocument, found: Iterable[tuple[Change, object]]) -> list[Problem]:
    """What the site's kind says of its settings. Nothing is connected to; keys and a host's key may still come."""
    row = next(write for _, write in found if isinstance(write, SiteRow))
    stand_in = {name: site_keys.new_key() for name in registry.secrets_of(row.kind)}
    settings = dict(row.settings)
    if "ca_key" in stand_in and "address" in settings:
        settings.setdefault("host_key", site_keys.public_lines(row.name, stand_in)["ca_key"])
    try:
        registry.connect(row.kind, row.name, settings, stand_in).close()
    except SiteError as error:
        return [_problem(document.where, "settings", str(error))]
    return []


def _problem(where: Problem, name: str, message: str) -> Problem:
    return Problem(where.file, where.line, f"{where.field}.{name}", message)


def _applied(site: SiteRow) -> dict[str, Any]:
    settings = {f"settings.{name}": value for name, value in site.settings.items()}
    return {"kind": site.kind, "tier": site.tier, "order": site.order, "labels": dict(site.labels)} | settings


def _plain(offer: Offer) -> dict[str, Any]:
    return {one.name: getattr(offer, one.name) for one in fields(Offer) if one.name != "name"}


def _change(what: What, name: str, before: Mapping[str, Any] | None,
            after: Mapping[str, Any]) -> Change:
    if before is None:
        return Change(what, name, "add", tuple((key, None, value) for key, value in after.items()))
    names: Sequence[str] = [*after, *(key for key in before if key not in after)]
    changed = tuple((key, before.get(key), after.get(key)) for key in names if before.get(key) != after.get(key))
    return Change(what, name, "change" if changed else "same", changed)
