"""Offers and sites as operators write them in YAML, checked field by field; programmes are read beside them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from yaml.nodes import MappingNode, Node

from orchestrator.flows.documents.fields import (
    BadDocument,
    Fields,
    Problem,
    Source,
    documents,
    free,
    items,
    many,
    raw,
    table,
    text,
    truth,
    whole,
)
from orchestrator.flows.documents.programmes import prices_of, programme_of
from orchestrator.flows.documents.values import at_least as _at_least
from orchestrator.flows.documents.values import instant as _instant
from orchestrator.flows.documents.values import matching as _matching
from orchestrator.flows.documents.values import name as _name
from orchestrator.flows.documents.values import one_of as _one_of
from orchestrator.flows.documents.values import span as _span
from orchestrator.lifecycle import sizes, times
from orchestrator.lifecycle.errors import RuleError
from orchestrator.lifecycle.offer import MAX_DURATION, Offer, Tier
from orchestrator.lifecycle.price import Prices
from orchestrator.lifecycle.programme import Programme
from providers import registry

TIERS: Mapping[str, Tier] = {"hub": "hub", "city": "city", "edge": "edge"}
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,254}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_HOST_KEY = re.compile(r"(?:\S+ )?(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521))"
                       r" ([A-Za-z0-9+/]{40,}={0,3})(?: \S+)?")


@dataclass(frozen=True, slots=True)
class Place:
    """So many accounts of an offer at a site; `start` and `until` None: at any time."""

    offer: str
    count: int
    start: datetime | None
    until: datetime | None
    where: Problem = field(compare=False)
    """Where it stands, as a problem yet without a message."""


@dataclass(frozen=True, slots=True)
class SiteDocument:
    """A site as written. `settings` is what its kind's `connect` takes; `places` None: not spoken of."""

    name: str
    kind: str
    tier: Tier
    order: int
    labels: Mapping[str, str]
    settings: Mapping[str, Any]
    places: tuple[Place, ...] | None
    where: Problem = field(compare=False)


@dataclass(frozen=True, slots=True)
class Documents:
    """Everything that one or more files say."""

    offers: tuple[Offer, ...] = ()
    sites: tuple[SiteDocument, ...] = ()
    programmes: tuple[Programme, ...] = ()
    prices: tuple[Prices, ...] = ()

    def __add__(self, other: "Documents") -> "Documents":
        return Documents(self.offers + other.offers, self.sites + other.sites, self.programmes + other.programmes,
                         self.prices + other.prices)


def read(written: str, file: str, kinds: Collection[str], now: datetime) -> Documents:
    """What the file says; `kinds` are the kinds of site that exist. Raises BadDocument with every problem."""
    source = Source(file)
    offers: list[Offer] = []
    sites: list[SiteDocument] = []
    programmes: list[Programme] = []
    prices: list[Prices] = []
    for root in documents(written, file):
        top = Fields(source, root, "")
        for node, path in items(source, top.node_of("offers"), "offers"):
            offer = _offer(Fields(source, node, path), kinds)
            offers += [offer] if offer else []
        for node, path in items(source, top.node_of("sites"), "sites"):
            site = _site(Fields(source, node, path), kinds, now)
            sites += [site] if site else []
        for node, path in items(source, top.node_of("programmes"), "programmes"):
            programme = programme_of(Fields(source, node, path), now)
            programmes += [programme] if programme else []
        for node, path in items(source, top.node_of("prices"), "prices"):
            listed = prices_of(Fields(source, node, path))
            prices += [listed] if listed else []
        top.close()
    if not source.problems:
        source.problems += _twice(file, "offers", [offer.name for offer in offers])
        source.problems += _twice(file, "sites", [site.name for site in sites])
        source.problems += _twice(file, "programmes", [programme.name for programme in programmes])
        source.problems += _twice(file, "prices", [listed.name for listed in prices])
        if not offers and not sites and not programmes and not prices:
            source.problems.append(Problem(file, 1, "", "says nothing: write `offers:`, `sites:`, `programmes:` or "
                                                        "`prices:` with a list"))
    if source.problems:
        raise BadDocument(source.problems)
    return Documents(tuple(offers), tuple(sites), tuple(programmes), tuple(prices))


def _twice(file: str, what: str, names: Sequence[str]) -> list[Problem]:
    return [Problem(file, 1, what, f"{name} is written twice")
            for name in sorted(set(names)) if names.count(name) > 1]


def _offer(fields: Fields, kinds: Collection[str]) -> Offer | None:
    network = fields.inner("network")
    if network is None:
        fields.wrong(fields.node, "network", "is missing (write `network: {rate: 20Mbit/s, egress: 10GiB}`)")
    at = fields.inner("at") or Fields(fields.source, MappingNode("", [], fields.node.start_mark), fields.at("at"))
    values: dict[str, Any] = {
        "name": fields.need("name", _name),
        "containers": fields.need("containers", whole(1, 1000)),
        "cpu_milli": fields.need("cpu", _cpu),
        "memory": fields.need("memory", _at_least(sizes.size, 4 << 20, "4MiB")),
        "pids": fields.need("pids", whole(16, 1_000_000)),
        "storage": fields.need("storage", _at_least(sizes.size, 1 << 20, "1MiB")),
        "rate": network and network.need("rate", _at_least(sizes.rate, 8_000, "8kbit/s")),
        "egress": network and network.need("egress", _at_least(sizes.size, 1 << 10, "1KiB")),
        "duration": fields.need("duration", _span(1, MAX_DURATION)),
        "images": fields.need("images", many(_matching(_IMAGE, "an image's name, as podman takes it"))),
        "models": fields.take("models", many(_matching(_WORD, "a model folder's name")), ()),
        "accelerators": fields.take("chips", table(whole(1, 1024)), {}),
        "set_aside": fields.take("set_aside", truth, None),
        "precision": fields.take("precision", many(_matching(_WORD, "a precision such as fp16")), ()),
        "warn_before": fields.take("warn_before", many(_span(1, MAX_DURATION)), None),
        "grace": fields.take("grace", _span(0, MAX_DURATION), None),
        "provision_within": fields.take("provision_within", _span(1, timedelta(days=1)), None),
        "kinds": at.take("kinds", many(_one_of(sorted(kinds))), ()),
        "tiers": at.take("tiers", many(_one_of(list(TIERS))), ()),
        "labels": at.take("labels", table(text), {}),
    }
    if not fields.close(network, at):
        return None
    if not values["images"]:
        fields.wrong(fields.line("images"), "images", "names no image: no container could ever run")
    late = [before for before in values["warn_before"] or () if before >= values["duration"]]
    if late:
        fields.wrong(fields.line("warn_before"), "warn_before", f"{times.show_span(late[0])} before the end is not "
                     f"within a duration of {times.show_span(values['duration'])}")
    # What is not given is left to the offer's own defaults.
    return Offer(**{name: value for name, value in values.items() if value is not None}) if fields.sound else None


def _site(fields: Fields, kinds: Collection[str], now: datetime) -> SiteDocument | None:
    name = fields.need("name", _name)
    kind = fields.need("kind", _one_of(sorted(kinds)))
    tier = fields.take("tier", _one_of(list(TIERS)), "edge")
    order = fields.take("order", whole(0, 1_000_000), 100)
    labels: Mapping[str, str] = fields.take("labels", table(text), {})
    settings: dict[str, Any] = dict(fields.take("settings", table(free), {}))
    if (host_key := fields.take("host_key", _host_key, None)) is not None:
        settings["host_key"] = host_key
    address: dict[str, Any] = fields.take("address", _address, {})
    settings.update(address)
    places = None
    if fields.has("places"):
        places = tuple(place for node, path in items(fields.source, fields.node_of("places"), fields.at("places"))
                       if (place := _place(Fields(fields.source, node, path), now)))
    if not fields.close():
        return None
    if registry.is_host(kind) and "address" not in settings:
        fields.wrong(fields.node, "address", "is missing (write `address: host` or `address: host:port`)")
        return None
    return SiteDocument(name, kind, TIERS[tier], order, labels, settings, places, _where(fields))


def _place(fields: Fields, now: datetime) -> Place | None:
    offer = fields.need("offer", _name)
    count = fields.need("count", whole(0, 1_000_000))
    start = fields.take("from", _instant(now), None)
    until = fields.take("until", _instant(now), None)
    if not fields.close():
        return None
    if start and until and start >= until:
        fields.wrong(fields.line("until"), "until", f"is not after `from` ({times.show(start)})")
        return None
    return Place(offer, count, start, until, _where(fields))


def _where(fields: Fields) -> Problem:
    return Problem(fields.source.file, fields.node.start_mark.line + 1, fields.path, "")


def _cpu(node: Node) -> int:
    """Thousandths of a core of `1.5`."""
    try:
        milli = Decimal(raw(node)) * 1000
    except InvalidOperation as error:
        raise RuleError("bad_field", f"{raw(node)!r} is not a number of cores (for example 1.5)") from error
    if not milli.is_finite() or milli != milli.to_integral_value() or not 10 <= milli <= 1_024_000:
        raise RuleError("bad_field", f"{raw(node)} is not within 0.01 and 1024 cores, in steps of 0.001")
    return int(milli)


def _address(node: Node) -> dict[str, Any]:
    host, _, port = text(node).rpartition(":") if re.search(r":\d+$", text(node)) else (text(node), "", "22")
    if not _HOST.fullmatch(host) or not 0 < int(port) < 65536:
        raise RuleError("bad_field", f"{text(node)!r} is not `host` or `host:port`")
    return {"address": host.strip("[]"), "port": int(port)}


def _host_key(node: Node) -> str:
    match = _HOST_KEY.fullmatch(text(node))
    if match is None:
        raise RuleError("bad_field", f"{text(node)[:40]!r} is not a host key: write `ssh-ed25519 AAAA…`, as in "
                                     "/etc/ssh/ssh_host_ed25519_key.pub or from `ssh-keyscan`")
    return f"{match[1]} {match[2]}"

