"""Looking at a site as a whole: what is left of an account, who is there, what was used, and what is missing."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from providers.aws.edge import Aws
from providers.aws.ground import Ground, Piece
from providers.aws.part import AwsPart
from providers.protocol import PARTS, Finding, Leftover, NeedsHuman, PartName, SiteError

MOST_SKEW = 2.0


def listings(account: str, of: Iterable[tuple[str, Callable[[str], list[Leftover]]]]) -> list[Leftover]:
    """Service by service. A listing that fails is a leftover of its own: nobody knows what it would have shown."""
    def one(named: tuple[str, Callable[[str], list[Leftover]]]) -> list[Leftover]:
        kind, left = named
        try:
            return left(account)
        except SiteError as failed:
            return [Leftover(kind, f"could not be listed: {failed}", unlisted=True)]

    with ThreadPoolExecutor(6, "leftovers") as pool:
        return [item for some in pool.map(one, of) for item in some]


def findings(aws: Aws, ground: Ground, parts: Mapping[PartName, AwsPart]) -> list[Finding]:
    """Who we are, the clock, what `prepare` makes, then each of the five parts: green, or what is missing."""
    site = aws.settings.site
    try:
        caller = aws.caller
    except SiteError as failed:
        return [Finding("reachable", False, str(failed), _remedy(failed, "see that AWS can be reached from here"))]
    found = [_clock(aws), Finding("principal", caller.split(":")[1] == aws.partition, caller,
                                  f"use credentials of partition {aws.partition}")]
    for piece in ground.pieces:
        found.append(_asked(piece.what, partial(_there, piece), f"tenure site prepare {site}"))
    for name in PARTS:
        found.append(replace(_asked(name, parts[name].fit, parts[name].remedy), part=name))
    return found


def _there(piece: Piece) -> tuple[bool, str]:
    there = piece.there()
    return there, "there" if there else "missing"


def _asked(subject: str, ask: Callable[[], tuple[bool, str]], remedy: str) -> Finding:
    try:
        ok, seen = ask()
    except SiteError as failed:
        return Finding(subject, False, str(failed), _remedy(failed, remedy))
    return Finding(subject, ok, seen, remedy)


def _remedy(failed: SiteError, otherwise: str) -> str:
    return failed.remedy if isinstance(failed, NeedsHuman) else otherwise


def _clock(aws: Aws) -> Finding:
    offset = (aws.clock.now() - datetime.now(UTC)).total_seconds()
    return Finding("clock", abs(offset) <= MOST_SKEW, f"{offset:+.3f} s off ours", "set this machine's clock (NTP)")
