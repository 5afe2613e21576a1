"""Accounts on a site of any kind, as the suite that every kind must pass wants them."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from providers.protocol import PARTS, AlreadyFenced, Armed, Credential, Fact, Refused, Seen, Site, Spec, Usage
from providers.registry import rescues
from tests.lab.shell import until
from tests.providers.shown import Shown

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LATER = 10 * MINUTE
GONE = 1 << 40
"""A generation above any that a test uses."""


def armed(site: Site, account: Spec, generation: int = 1) -> None:
    assert isinstance(site.arm(account, site.now() + LATER, generation), Armed)


def complete(site: Site, account: Spec) -> None:
    """Armed, with all parts; logins closed."""
    armed(site, account)
    for part in PARTS:
        site.parts[part].ensure(account)


def live(site: Site, account: Spec) -> None:
    complete(site, account)
    site.open(account, 5 * MINUTE, 2)


def fence(site: Site, account: Spec, generation: int) -> None:
    (row,) = site.fence([(account.account, generation)], "operator")
    assert row.error is None


def persist(ask: Callable[[], list[Usage]]) -> list[Usage]:
    """Ask until there is something to tell: a moment after the opening."""
    found: list[Usage] = []

    def some() -> bool:
        found[:] = ask()
        return bool(found)

    until(some, "the first interval")
    return list(found)


def rescued(shown: Shown, account: Spec, key: str) -> Credential:
    """May fetch now; a kind that can give nothing after an end says so, and its holder can do nothing then."""
    try:
        return shown.site.rescue(account, key, shown.site.now() + MINUTE)
    except Refused as said:
        if "nothing can be fetched here" in str(said) and not rescues(shown.kind):
            pytest.skip(str(said))
        raise


def ended(site: Site, account: Spec) -> None:
    live(site, account)
    assert isinstance(site.arm(account, site.now() - MINUTE, 3), Armed | AlreadyFenced)


def principals_of(certificate: str) -> list[bytes]:
    read = load_ssh_public_identity(certificate.encode())
    assert isinstance(read, SSHCertificate)
    return read.valid_principals


def passed(site: Site, end: datetime) -> None:
    """Wait until this instant lies behind the site's clock."""
    until(lambda: site.now() > end, f"{end} at the site", 60)


def without(seen: Seen, facts: frozenset[str]) -> dict[str, Fact]:
    """A part's facts but for these."""
    return {fact: value for fact, value in seen.facts.items() if fact not in facts}
