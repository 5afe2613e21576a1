"""Stacks without Pulumi, for tests of the rooms above them."""

from collections.abc import Sequence
from typing import Any

from providers.protocol import PARTS, Site, Spec


class PartsOnly:
    """Every part is ensured or removed at the site, and nothing ever differs."""

    def up(self, account: str, spec: Spec, site: Site) -> object:
        return [site.parts[name].ensure(spec) for name in PARTS]

    def preview(self, account: str, spec: Spec, site: Site) -> Sequence[Any]:
        return []

    def refresh(self, account: str, spec: Spec, site: Site) -> object:
        return None

    def destroy(self, account: str, spec: Spec, site: Site) -> None:
        for name in reversed(PARTS):
            site.parts[name].remove(spec)

    def remove(self, account: str) -> None:
        """Nothing is kept."""
