"""Talking to the lab's on-site program as root at the site, without SSH: one `serve` over pipes."""

import json
import select
import subprocess
from types import TracebackType
from typing import Any

from tests.lab import program
from tests.lab.place import Place


class Answered(Exception):
    """The site answered with an error; `kind` is later, human, refused or stale."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Client:
    """One `serve`. Use it as a context manager."""

    def __init__(self, place: Place) -> None:
        self.process = subprocess.Popen(
            [*place.inside, *program.argv(place, "serve")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.number = 0
        self.hello: dict[str, Any] = self.read(20)["hello"]

    def call(self, op: str, within: float = 120, **arguments: Any) -> Any:
        """Send one request and give its `ok`; Answered when it is an error."""
        assert self.process.stdin is not None
        self.number += 1
        self.process.stdin.write(json.dumps({"id": self.number, "op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.read(within)
        if "error" in answer:
            raise Answered(answer["error"]["kind"], answer["error"]["message"])
        assert answer["id"] == self.number
        return answer["ok"]

    def read(self, within: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"the on-site program said nothing for {within:g} s or ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
