"""`tenure init` and `tenure apply`: a home folder, and the sites and offers in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.entry.cli import output
from orchestrator.entry.cli.opening import actor, home, opened
from orchestrator.entry.cli.output import CommandError, DryRun, Json, Why, cell

if TYPE_CHECKING:
    from orchestrator.flows.documents.apply import Change
    from orchestrator.flows.documents.reading import Documents

SETTINGS = """\
# Settings of Tenure. Each stands here with its default; take the # away to change it.
# database: postgresql://tenure@db.example.net/tenure   # SQLite in this folder when left out
# base_url: http://127.0.0.1:8740                        # the address that holders see, in claim links
# listen: {host: 127.0.0.1, port: 8740}
# stacks: {backend: ""}                                  # Pulumi's state; files in this folder when empty
# callbacks: {allow: []}                                 # private networks that callbacks may reach (CIDRs)
# mail:                                                  # left out: nobody gets mail
#   {host: smtp.example.cn, tls: starttls, user: tenure, password_file: smtp-password, sender: compute@example.cn}
# workers: {provision: 4, reclaim: 2, convert: 2}
# sessions: {longest: PT8H, idle: PT1H}                  # browsers that are signed in
# oidc: {issuer: ""}                                     # an OpenID provider for operators: see docs/operators.md
# metering: {every: PT1H, outages: PT1M}                 # how often sites are asked for usage and for outages
# timezone: Asia/Shanghai
# journal_checkpoint: ""                                 # better on another disk
"""


def add_to(app: typer.Typer) -> None:
    """Put these commands at the top of the tree."""
    app.command(epilog="Example: tenure --home /var/lib/tenure init")(init)
    app.command(epilog="Example: tenure apply -f examples/offers.yaml -f examples/site-memory.yaml --dry-run")(apply)


def init(
    database: Annotated[str | None, typer.Option(help="Database URL, without a password in it.")] = None,
    base_url: Annotated[str | None, typer.Option(help="The address that holders see.")] = None,
    json: Json = False,
) -> None:
    """Make the home folder: settings, keyring, database. What is there already stays as it is."""
    from orchestrator.store import journal

    folder = home()
    new = not (folder / "tenure.yaml").exists()
    if new:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close(folder)
        given = {"database": database, "base_url": base_url}
        lines = [f'{name}: "{value}"\n' for name, value in given.items() if value is not None]
        if any('"' in line[len(name) + 3:-2] or "\n" in line[:-1] for name, line in zip(given, lines, strict=False)):
            raise CommandError("a setting holds a quotation mark or a line break", output.USAGE)
        file = os.open(folder / "tenure.yaml", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as settings:
            settings.write(SETTINGS + "".join(lines))
    elif database is not None or base_url is not None:
        raise CommandError(f"{folder / 'tenure.yaml'} is there already: change it there")
    with _undone_unless_good(folder / "tenure.yaml", new), output.progress("making the database"), \
            opened(make=True) as ctx:
        ctx.store.migrate()
        if new:
            with ctx.store.write() as tx:
                journal.write(tx, "home.made", "tenure", actor())
        keyring = folder / "keyring.json"
        output.answer(json, {"home": str(folder), "new": new, "database": ctx.store.url.render_as_string()},
                      f"{'made' if new else 'found'} {folder}",
                      f"keep a copy of {keyring} elsewhere: without it the database is of no use",
                      "next: tenure apply -f …, or tenure doctor")


def _close(folder: Path) -> None:
    """A folder that was made for Tenure beforehand; one with other things in it stays as its owner has it."""
    if not any(folder.iterdir()):
        folder.chmod(0o700)
    elif folder.stat().st_mode & 0o077:
        output.note(f"others can look into {folder}: chmod 700 {folder}")


@contextmanager
def _undone_unless_good(settings: Path, new: bool) -> Iterator[None]:
    """Settings with which nothing can be opened are not left behind: the next `init` says others."""
    try:
        yield
    except Exception:
        if new:
            settings.unlink(missing_ok=True)
        raise


def apply(
    file: Annotated[list[str], typer.Option("--file", "-f", metavar="FILE|-", help="YAML; may be given again.")],
    why: Why = "", dry_run: DryRun = False, json: Json = False,
) -> None:
    """Make sites, offers, programmes and prices as the files say. What they do not mention stays."""
    from orchestrator.flows.documents.apply import apply as apply_

    with opened() as ctx:
        changes = apply_(ctx, _read(file, ctx.clock()), dry_run, actor(), why)
    if json:
        output.document([{"what": change.what, "name": change.name, "action": change.action, "public": change.public,
                          "fields": [dict(zip(("field", "before", "after"), one, strict=True))
                                     for one in change.fields]} for change in changes])
        return
    for change in changes:
        _tell(change, dry_run)
    if dry_run:
        output.note("nothing was changed (--dry-run)")


def _read(files: list[str], now: Any) -> "Documents":
    from orchestrator.flows.documents.fields import BadDocument, Problem
    from orchestrator.flows.documents.reading import Documents, read
    from providers.registry import KINDS

    found, problems = Documents(), list[Problem]()
    for file in files:
        text = output.text_of(file)
        try:
            found += read(text, "stdin" if file == "-" else file, KINDS, now)
        except BadDocument as error:
            problems += error.problems
    if problems:
        raise BadDocument(problems)
    return found


def _tell(change: "Change", dry_run: bool) -> None:
    """One line for what changes, one for each field that does; a new thing's fields are in its file."""
    if change.what == "keys":
        output.say(f"keys of site {change.name}: {'would be made' if dry_run else 'made and sealed'}")
        if not dry_run:
            for line in change.public.values():
                output.say(f"  {line}")
        return
    words = {"add": "new", "change": "changed", "same": "as it was"}
    output.say(f"{change.what} {change.name}: {words[change.action]}")
    if change.action == "change":
        for name, before, after in change.fields:
            output.say(f"  {name}: {cell(before)} -> {cell(after)}")
