"""Things at a site that no live account of ours owns: listed, and removed only when asked."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, journal
from providers.protocol import Leftover, NeedsHuman, Site

log = logging.getLogger(__name__)

ABOVE_ALL = 2**31 - 1
"""Generation with which an unknown account is removed: whatever made it is not allowed to come back."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """One account id of which the site has traces. `why`: we never knew it, or it was reclaimed (elsewhere)."""

    account: str
    why: Literal["unknown", "reclaimed", "elsewhere"]
    leftovers: tuple[Leftover, ...]


def orphans(ctx: Context, site_name: str) -> list[Orphan]:
    """What is there without a live account. Changes nothing. Raises SiteError."""
    site = ctx.sites.get(site_name)
    # The site first: an account's row is there before its first trace at the site, so a new one is never an orphan.
    there = site.accounts()
    with ctx.store.read() as tx:
        live = accounts.ids_live_at(tx, site_name)
        known = {id: accounts.get(tx, id) for id in there if id not in live}
    found = []
    for id, account in known.items():
        why: Literal["unknown", "reclaimed", "elsewhere"] = "unknown"
        if account is not None:
            why = "reclaimed" if account.site == site_name else "elsewhere"
        found.append(Orphan(id, why, tuple(site.leftovers(id))))
    return found


def remove(ctx: Context, site_name: str, ids: Collection[str], *, actor: str, why: str = "") -> list[Orphan]:
    """Remove these orphans, and no others, and look again: what is still there afterwards is answered.

    RuleError `not_orphan` when one of them belongs to a live account, or is not there.
    """
    known = {orphan.account: orphan for orphan in orphans(ctx, site_name)}
    strange = sorted(set(ids) - known.keys())
    if strange:
        raise RuleError("not_orphan", f"site {site_name}: {', '.join(strange)}: not an orphan there")
    site = ctx.sites.get(site_name)
    for id in sorted(ids):
        _remove(ctx, site, known[id], actor, why)
    return [orphan for orphan in orphans(ctx, site_name) if orphan.account in ids]


def _remove(ctx: Context, site: Site, orphan: Orphan, actor: str, why: str) -> None:
    generation = ABOVE_ALL
    if orphan.why == "reclaimed":
        with ctx.store.read() as tx:
            generation = accounts.record(tx, orphan.account).account.generation
    fenced = effect("orphans.fence", site.fence, [(orphan.account, generation)], "end")
    if fenced[0].error is not None:
        raise fenced[0].error
    effect("orphans.clean", site.clean, orphan.account, generation)
    left = site.leftovers(orphan.account)
    if left:
        raise NeedsHuman(f"site {site.name}: of {orphan.account} there is still {left[0].kind} {left[0].what}",
                         remedy="remove it at the site by hand")
    commit("orphans.journal", ctx.store, lambda tx: journal.write(
        tx, "orphan.removed", orphan.account, actor, why, site=site.name, was=orphan.why))
