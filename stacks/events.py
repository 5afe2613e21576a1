"""Reads the engine's event log: what a preview, an update or a refresh changes, resource by resource."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Op = Literal["create", "update", "replace", "delete"]

STEPS: dict[str, Op] = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "discard-replaced": "replace",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that is not as it should be, or was made so. `details` are sentences for an operator."""

    resource: str
    op: Op
    details: tuple[str, ...] = ()


def changes(log: Path) -> list[Change]:
    """What the engine did or would do; one entry a resource, in the order of the log."""
    steps = (event["resourcePreEvent"]["metadata"] for event in _events(log) if "resourcePreEvent" in event)
    return _merged(_change(step, STEPS.get(step["op"])) for step in steps)


def refreshed(log: Path) -> list[Change]:
    """What a refresh found to be otherwise at the site; a fact that cannot change in place makes it a replacement."""
    steps = (event["resOutputsEvent"]["metadata"] for event in _events(log) if "resOutputsEvent" in event)
    return _merged(_change(step, _found(step)) for step in steps)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    with log.open() as lines:
        for line in lines:
            yield json.loads(line)


def _found(step: dict[str, Any]) -> Op | None:
    detailed = step.get("detailedDiff") or {}
    if not detailed:
        return None
    return "replace" if any(diff["diffKind"].endswith("-replace") for diff in detailed.values()) else "update"


def _change(step: dict[str, Any], op: Op | None) -> Change | None:
    if op is None or not step["type"].startswith("tenure:"):
        return None
    return Change(step["urn"].rpartition("::")[2], op, tuple(_details(step)))


def _details(step: dict[str, Any]) -> Iterator[str]:
    old, new = step.get("old") or {}, step.get("new") or {}
    for path, diff in sorted((step.get("detailedDiff") or {}).items()):
        name = path.removeprefix("drift.")
        if path.startswith("drift."):
            # A refresh has it in what it found, a preview in what it starts from.
            before, after = ((state.get("outputs") or {}) for state in (old, new))
            drift = after.get("drift") or before.get("drift") or {}
            made = (before.get("facts") or {}).get(name, "absent")
            yield f"{name}: made as {made!r}, seen as {drift.get(name)!r}"
        else:
            before, after = ((state.get("inputs") or {}).get(name) for state in (old, new))
            yield f"{name}: {before!r} -> {after!r}"
        if diff["diffKind"].endswith("-replace"):
            yield f"{name} cannot change in place"


def _merged(found: Iterable[Change | None]) -> list[Change]:
    """A replacement is three steps of the engine, and one change to us."""
    merged: dict[str, Change] = {}
    for change in found:
        if change is None:
            continue
        known = merged.get(change.resource)
        if known is None or (not known.details and change.details):
            merged[change.resource] = change
    return list(merged.values())
