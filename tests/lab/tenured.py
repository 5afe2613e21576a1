"""A lab's site as Tenure's documents describe it: what an operator would write for it."""

from datetime import timedelta
from typing import Any

from tests.lab.host import IMAGE
from tests.lab.place import Place
from tests.lab.program import MODEL, described


def site_document(place: Place, offers: dict[str, int]) -> dict[str, Any]:
    """The site with so many places for each offer."""
    settings = described(place)
    return {
        "name": place.name,
        "kind": "slurm" if "slurm" in settings else "linux",
        "tier": "edge",
        "settings": settings,
        "places": [{"offer": name, "count": count} for name, count in offers.items()],
    }


def offer_document(name: str, lease: timedelta, **changes: Any) -> dict[str, Any]:
    """A small offer of the lab's one image; `changes` replace its fields."""
    return {
        "name": name,
        "containers": 2,
        "cpu": 1,
        "memory": "256MiB",
        "pids": 128,
        "storage": "48MiB",
        "network": {"rate": "20Mbit/s", "egress": "12MiB"},
        "duration": f"{int(lease.total_seconds())}s",
        "images": [IMAGE],
        "models": [MODEL],
        "warn_before": ["5s"],
        "grace": "5s",
        "provision_within": "60s",
        **changes,
    }
