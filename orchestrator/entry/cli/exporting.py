"""`tenure account export`: an operator's copy of an ended account's files, as one tar."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, opened
from orchestrator.entry.cli.output import USAGE, CommandError, Json, Why
from orchestrator.lifecycle.sizes import show_size


def add_to(app: typer.Typer) -> None:
    """Put it under `tenure account`."""
    app.command(epilog="Example: tenure account export a2k4mzq7xw --to rescued.tar.gz --why 'the key was lost'")(export)


def export(
    id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    to: Annotated[str | None, typer.Option(help="A new file (ACCOUNT.tar if left out; .gz or .tgz is compressed), or - "
                                                "for stdout.")] = None,
    include: Annotated[list[str] | None, typer.Option(help="Only this path below the home; again for more.")] = None,
    why: Why = "", json: Json = False,
) -> None:
    """Copy the files of a fenced account, as one tar whose names begin with the account's id. A reclaim goes first:
    `tenure hold ACCOUNT` keeps it off."""
    target = to or f"{id}.tar"
    if target == "-" and json:
        raise CommandError("--to - writes the tar to stdout: there is no place for --json", USAGE)
    with opened() as ctx, output.progress(f"exporting {id}") as progress:
        from orchestrator.flows.endings import export as flow

        with _written(target) as file:
            done = 0

            def put(piece: bytes) -> None:
                nonlocal done
                file.write(piece)
                done += len(piece)
                progress.what = f"exporting {id}: {show_size(done >> 20 << 20)}"

            made = flow.export(ctx, id, include or [], put, actor=actor(), why=why)
    if target != "-":
        output.answer(json, {"account": id, "file": target, "bytes": made.size, "sha256": made.digest},
                      f"{target}: {made.size} bytes of tar, SHA-256 {made.digest}")


@contextmanager
def _written(target: str) -> Iterator[IO[bytes]]:
    """Where the tar goes: the file appears once it is whole, and replaces none."""
    if target == "-":
        if sys.stdout.isatty():
            raise CommandError("a tar is not for a terminal: give --to FILE, or a pipe", USAGE)
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    path, part = Path(target), Path(f"{target}.part")
    if path.exists():
        raise CommandError(f"{target}: is there already: name another file")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CommandError(f"{part}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as plain:
            if target.endswith((".gz", ".tgz")):
                with gzip.GzipFile(path.stem, "wb", compresslevel=6, fileobj=plain) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield plain
            plain.flush()
            os.fsync(plain.fileno())
        os.link(part, path)
    except OSError as error:
        raise CommandError(f"{error.filename or target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
