"""The on-site program's configuration over a folder of the test's own: for what needs no host."""

import json
from pathlib import Path
from typing import Any

from providers.host.onsite import config, site


def raw(folder: Path) -> dict[str, Any]:
    return {
        "site": "here",
        "state": str(folder / "state"),
        "run": "/run/tl-pure",
        "pool": str(folder / "pool"),
        "uid_min": 900_000,
        "uid_max": 900_009,
        "group": "holders",
        "principals": str(folder / "principals"),
        "net_range": "10.9.0.0/28",
        "nft_table": "pure",
        "cgroup": "pure",
    }


def make(folder: Path, **more: Any) -> config.Config:
    """A configuration whose folders are there, with `more` keys."""
    path = folder / "site.json"
    path.write_text(json.dumps(raw(folder) | more))
    loaded = config.load(path)
    (folder / "principals").mkdir()
    site.folders(loaded)
    return loaded
