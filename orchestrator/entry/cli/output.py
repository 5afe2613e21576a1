"""What commands say: one JSON document or readable text on stdout, progress and questions on stderr."""

import csv
import dataclasses
import io
import json as jsonlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.lifecycle import times
from orchestrator.lifecycle.contract import OPEN_END

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Why = Annotated[str, typer.Option(help="For the journal; no names.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, change nothing.")]

_where = times.zone()


def show_times_in(zone: str) -> None:
    """The zone of the home's settings: for what is read and shown from here on."""
    global _where
    _where = times.zone(zone)


def zone() -> tzinfo:
    """It."""
    return _where


def when(text: str, now: datetime) -> datetime:
    """An instant as an operator writes it. Raises RuleError `bad_time`."""
    return times.parse(text, now, _where)


def shown(at: datetime | None) -> str:
    """An instant as an operator reads it; `open` for the end of what has none."""
    return "open" if at is not None and at >= OPEN_END else times.show(at, _where)


DONE, FAILED, USAGE, STUCK = 0, 1, 2, 3
PATIENCE = 2.0
"""Seconds after which something that still runs says so; off a terminal again after twice as long, and so on."""


class CommandError(Exception):
    """An expected failure: one line for the operator, with what to do."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def plain(value: Any) -> Any:
    """The value as JSON has it: instants with the operator's offset, spans in seconds, dataclasses as objects."""
    if isinstance(value, datetime):
        return value.astimezone(_where).isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def document(value: Any) -> None:
    """The one JSON document of a command."""
    sys.stdout.write(jsonlib.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """One line on stdout, exactly as given."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line on stderr: what an operator should see, but a program not read."""
    sys.stderr.write(times.civil(text, _where) + "\n")
    sys.stderr.flush()


def answer(json: bool, value: Any, *lines: str) -> None:
    """The result of a command that changes something: the JSON document, or these lines."""
    if json:
        document(value)
        return
    for line in lines:
        say(line)


def count(many: int, noun: str) -> str:
    """`1 account`, `2 accounts`."""
    return f"{many} {noun}{'' if many == 1 else 's'}"


def secret(json: bool, value: Any, shown: str, remark: str) -> None:
    """A secret that is told this once: alone on stdout, so that it can go to a file; the remark goes to stderr."""
    answer(json, value, shown)
    if not json:
        note(remark)


def plain_fields(item: Any) -> dict[str, Any]:
    """A dataclass's fields as they are, for `rows`."""
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}


def text_of(file: str) -> str:
    """What a file, or stdin for `-`, says."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: is not UTF-8 text") from error


def lines_of(file: str, most: int) -> list[str]:
    """The lines of a file, or of stdin for `-`; blank ones and comments left out. For what must not stand in argv."""
    lines = [line.strip() for line in text_of(file).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise CommandError(f"{'stdin' if file == '-' else file} has no line to read", USAGE)
    if len(lines) > most:
        raise CommandError(f"{file} has {len(lines)} lines; at most {most} at once", USAGE)
    return lines


def rows(json: bool, items: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    """A list: JSON array of all fields, or a table of the named columns (headings are the fields' names)."""
    if json:
        document(list(items))
    elif not items:
        note(empty)
    else:
        table([[cell(item.get(column)) for column in columns] for item in items],
              [column.replace("_", " ") for column in columns])


def sheet(json: bool, written: str, out: Path | None) -> None:
    """CSV as it is, on stdout or in a file; or the same as a JSON array."""
    if out is not None:
        # With a byte order mark: without one, spreadsheets take UTF-8 for something else.
        out.write_text(written, encoding="utf-8-sig")
    if json:
        document(list(csv.DictReader(io.StringIO(written))))
    elif out is None:
        say(written.rstrip("\n"))
    else:
        note(f"wrote {out}")


def table(body: Sequence[Sequence[str]], heads: Sequence[str]) -> None:
    """A table on a terminal; elsewhere tab-separated lines that `cut` and `awk` can read."""
    if not sys.stdout.isatty():
        for line in [heads, *body]:
            say("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        shown.add_column(head, overflow="fold")
    for line in body:
        shown.add_row(*(_no_markup(text) for text in line))
    Console().print(shown)


def facts(json: bool, item: Mapping[str, Any]) -> None:
    """One thing: JSON object, or a line for each field."""
    if json:
        document(item)
        return
    width = max(len(name) for name in item)
    for name, value in item.items():
        say(f"{name.replace('_', ' '):<{width}}  {cell(value)}")


def cell(value: Any) -> str:
    """A value for people."""
    match value:
        case None | "" | () | []:
            return "-"
        case datetime():
            return shown(value)
        case timedelta():
            return times.show_span(value)
        case Decimal():
            return f"{value:,f}"
        case bool():
            return "yes" if value else "no"
        case Enum():
            return str(value.value)
        case list() | tuple():
            return ", ".join(cell(item) for item in value)
        case Mapping():
            return "-" if not value else ", ".join(f"{key}={cell(item)}" for key, item in value.items())
        case _:
            return times.civil(str(value), _where)


def _no_markup(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def confirm(question: str, yes: bool, otherwise: str = "add --yes") -> None:
    """Go on only after a yes. Without a terminal nobody can say it: `otherwise` is what to do then."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody is there to ask: {otherwise}", USAGE)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")


class Progress:
    """What a long command says while it runs: a live line on a terminal, plain lines elsewhere."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.over = threading.Event()

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count

    def run(self) -> None:
        """Silent while patience lasts; then until over."""
        if self.over.wait(PATIENCE):
            return
        if sys.stderr.isatty():
            self._live()
            return
        waited = PATIENCE
        while True:
            note(f"{self._text()}: still running after {waited:.0f}s")
            if self.over.wait(waited):
                return
            waited *= 2

    def _text(self) -> str:
        return f"{self.what} {self.done}/{self.total}" if self.total else self.what

    def _live(self) -> None:
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            while not self.over.wait(0.1):
                status.update(_no_markup(self._text()))


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Around anything that may take longer than two seconds."""
    shown = Progress(what, total)
    thread = threading.Thread(target=shown.run, name="progress", daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        shown.over.set()
        thread.join()
