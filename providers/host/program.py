"""The on-site program as it is shipped: its sources in a folder that bears their hash.

A folder and no archive: Python keeps compiled files beside the sources, so that a login or a fence starts in half the
time; and since the folder's name follows from what is in it, a running program never has its files replaced.
"""

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("onsite")
PACKAGE = "onsite"


@functools.cache
def sources() -> Mapping[str, bytes]:
    """File name → content, the same wherever it is read."""
    return {path.name: path.read_bytes() for path in sorted(SOURCE.glob("*.py"))}


def version() -> str:
    """What the program says of itself in its hello, which it finds the same way (`onsite/version.py`)."""
    total = hashlib.sha256()
    for name, content in sources().items():
        total.update(name.encode() + b"\0" + content)
    return total.hexdigest()[:16]
