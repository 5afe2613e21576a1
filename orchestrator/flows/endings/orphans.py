"""Things at a site that no live account of ours owns: listed, and removed only when asked."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from orchestrator.flows.context import Context
from orchestrator.flows.effects import commit, effect
from orchestrator.lifecycle.errors import RuleError
from orchestrator.store import accounts, journal
from providers.protocol import Leftover, NeedsHuman, Site

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
    chosen = [known[id] for id in sorted(ids)]
    site = ctx.sites.get(site_name)
    batch = _batch(ctx, chosen)
    errors = {row.account: row.error for row in effect("orphans.fence", site.fence, batch, "end")}
    errors |= {row.account: row.error for row in effect("orphans.clean", site.clean, [
        one for one in batch if errors[one[0]] is None])}
    for orphan in chosen:
        if errors[orphan.account] is None:
            _gone(ctx, site, orphan, actor, why)
    for error in errors.values():
        if error is not None:
            raise error
    return [orphan for orphan in orphans(ctx, site_name) if orphan.account in ids]


def _batch(ctx: Context, chosen: list[Orphan]) -> list[tuple[str, int]]:
    """Each with the generation that its site has to hold from now on."""
    with ctx.store.read() as tx:
        return [(one.account, ABOVE_ALL if one.why != "reclaimed" else
                 accounts.record(tx, one.account).account.generation) for one in chosen]


def _gone(ctx: Context, site: Site, orphan: Orphan, actor: str, why: str) -> None:
    left = site.leftovers(orphan.account)
    if left:
        raise NeedsHuman(f"site {site.name}: of {orphan.account} there is still {left[0].kind} {left[0].what}",
                         remedy="remove it at the site by hand")
    commit("orphans.journal", ctx.store, lambda tx: journal.write(
        tx, "orphan.removed", orphan.account, actor, why, site=site.name, was=orphan.why))
