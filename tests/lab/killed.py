"""The on-site program doing one request, and dying with SIGKILL before its n-th side effect.

`python -m tests.lab.killed CONFIG N REQUEST`: exit 0 when the request had fewer side effects than N. Each program
started that does more than look, each line of a batch given to one, and each change of a file or folder counts as one,
but for empty folders that go; nothing of the program itself is replaced.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tests.lab.place import Place

EFFECTS = ("rename", "mkdir", "unlink", "chown", "chmod", "truncate", "symlink")
LOOKS = frozenset({"list", "show", "inspect-internal", "find", "squeue", "sinfo", "sacct"})
"""Words of a command that changes nothing: to die before it is to die before what comes next."""
BATCHES = ("sacctmgr", "ip")
"""Programs that do what they are given line by line."""
MOST = 60
"""More side effects than any one request has."""


def dies(place: Place, fatal: int, op: str, **arguments: Any) -> bool:
    """Do the request at the lab's site, to be killed before its side effect number `fatal`; whether that came."""
    config, request = place.path("etc/config.json"), json.dumps({"id": 1, "op": op, **arguments})
    argv = [*place.inside, sys.executable, "-m", "tests.lab.killed", str(config), str(fatal), request]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in (0, -signal.SIGKILL), ran.stdout + ran.stderr
    return ran.returncode != 0


def main(config_path: str, fatal: int, request: str) -> int:
    from providers.host.onsite import config, serve

    loaded = config.load(config_path)
    counter, start = itertools.count(1), subprocess.run

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*words: Any, **options: Any) -> Any:
            if next(counter) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*words, **options)

        return wrapped

    def started(argv: Sequence[str], **options: Any) -> Any:
        if LOOKS & set(argv):
            return start(argv, **options)
        lines = (options.get("input") or "").splitlines(keepends=True) if argv[0] in BATCHES else []
        for done in range(max(1, len(lines))):
            if next(counter) == fatal:
                if done:
                    start(argv, **{**options, "input": "".join(lines[:done])})
                os.kill(os.getpid(), signal.SIGKILL)
        return start(argv, **options)

    subprocess.run = started  # type: ignore[assignment]
    for name in EFFECTS:
        setattr(os, name, counted(getattr(os, name)))
    answer = serve.answer(loaded, request)
    sys.stdout.write(f"{answer}\n")
    return 0 if "ok" in answer else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
