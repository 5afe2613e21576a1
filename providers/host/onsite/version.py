"""Which on-site program this is: the hash of its own bytes, so that an upgrade shows by itself."""

import hashlib
from pathlib import Path


def version() -> str:
    """SHA-256 of the shipped file, or of the sources when run from a folder; its first 16 digits."""
    here = Path(__file__).resolve().parent
    shipped = next((above for above in here.parents if above.is_file()), None)
    if shipped is not None:
        return hashlib.sha256(shipped.read_bytes()).hexdigest()[:16]
    total = hashlib.sha256()
    for source in sorted(here.glob("*.py")):
        total.update(source.name.encode() + b"\0" + source.read_bytes())
    return total.hexdigest()[:16]
