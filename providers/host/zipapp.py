"""The on-site program as one file, the same bytes from the same sources wherever it is built."""

import functools
import hashlib
import io
import zipfile
from pathlib import Path

SOURCE = Path(__file__).with_name("onsite")
MAIN = b"import sys\n\nfrom onsite.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
EPOCH = (1980, 1, 1, 0, 0, 0)


@functools.cache
def build() -> bytes:
    """The archive. Stored, not compressed: it starts sooner, and no version of zlib changes its bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "__main__.py", MAIN)
        for path in sorted(SOURCE.rglob("*.py")):
            _add(archive, f"onsite/{path.relative_to(SOURCE).as_posix()}", path.read_bytes())
    return out.getvalue()


def version() -> str:
    """The archive's sha256, its first 16 digits: what the on-site program says of itself in its hello."""
    return hashlib.sha256(build()).hexdigest()[:16]


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, content)
