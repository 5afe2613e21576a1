"""Where stacks' states lie. In files, what the CLI would take a whole process for is done here; elsewhere, by the CLI.

The layout of files is the CLI's own: `.pulumi/stacks/tenure/ACCOUNT.json`, the state before the last step beside it as
`.bak`. Nothing here changes a state that exists.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from providers.resident import PROJECT
from stacks.errors import StackBroken, StackFailed


class Files:
    """States in a directory of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root / ".pulumi"
        self.url = f"file://{quote(str(root))}?metadata=skip"
        """For the CLI. It is not to write its `.attrs` beside each file: unlike the state they are not written in one
        piece, and a run killed there leaves a stack that cannot be read."""

    def prepare(self) -> None:
        """The directory, and the note by which the CLI knows its layout."""
        (self._root / "stacks" / PROJECT).mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(self._root / "meta.yaml", "version: 1\n")

    def exists(self, account: str) -> bool:
        return self.path(account).exists()

    def create(self, account: str) -> None:
        """An empty state, as `pulumi stack init` writes it before it has asked for any secret."""
        empty = {"version": 3, "checkpoint": {"stack": f"organization/{PROJECT}/{account}"}}
        write_new(self.path(account), json.dumps(empty))

    def check(self, account: str) -> None:
        """Raise StackBroken where the state was cut short or lost, before anything is built upon it."""
        path = self.path(account)
        backup = path.with_name(path.name + ".bak")
        if not path.exists() and backup.exists():
            raise StackBroken(
                f"stack {account}: its state {path} is gone, but {backup} is there", remedy=mend(path, backup)
            )
        if path.exists():
            self.read(account)
        # From a time when something else ran this stack. Nothing but size and time stands in it.
        path.with_name(path.name + ".attrs").unlink(missing_ok=True)

    def read(self, account: str) -> dict[str, Any]:
        """The state as written, or StackBroken."""
        path = self.path(account)
        backup = path.with_name(path.name + ".bak")
        try:
            state = json.loads(path.read_bytes())
            checkpoint: dict[str, Any] = state["checkpoint"]
        except (ValueError, KeyError, TypeError) as error:
            raise StackBroken(
                f"stack {account}: its state {path} is cut short or not JSON ({error}); the one before it is {backup}",
                remedy=mend(path, backup),
            ) from error
        return checkpoint

    def remove(self, account: str) -> None:
        """Forget a stack that holds nothing any more, its backups and history too. Already gone is success."""
        if self.exists(account) and (self.read(account).get("latest") or {}).get("resources"):
            raise StackFailed(f"stack {account} still holds resources; destroy it first")
        for place in ("stacks", "history", "backups", "locks"):
            self._sweep(self._root / place / PROJECT, account)
        self._sweep(self._root / "locks" / "organization" / PROJECT, account)

    def _sweep(self, folder: Path, account: str) -> None:
        if (folder / account).is_dir():
            shutil.rmtree(folder / account)
        for ending in (".json.bak", ".json.bak.attrs", ".json.attrs", ".json"):
            # The state itself goes last: a run cut off in between is simply run again.
            (folder / f"{account}{ending}").unlink(missing_ok=True)

    def path(self, account: str) -> Path:
        return self._root / "stacks" / PROJECT / f"{account}.json"


def files_of(backend_url: str) -> Files | None:
    """The directory behind a file:// URL; None for any other backend."""
    url = urlsplit(backend_url)
    if url.scheme != "file":
        return None
    if url.netloc or not url.path.startswith("/"):
        raise StackFailed(f"state backend {backend_url!r}: give an absolute path, as in file:///var/lib/tenure/stacks")
    return Files(Path(unquote(url.path)))


def mend(path: Path, backup: Path) -> str:
    """What an operator does about a state that cannot be read."""
    return (
        f"put a whole state back: from a backup of your own, or `cp {backup} {path}` (the state one step before; what "
        f"that step made is found again by its name on the next up)"
    )


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, in one piece or not at all; one that is there stays as it is."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(file.name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(file.name)
