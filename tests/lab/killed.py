"""The on-site program doing one request, and dying with SIGKILL before its n-th side effect.

`python -m tests.lab.killed CONFIG N REQUEST`: exit 0 when the request had fewer side effects than N. Each program
started and each change of a file or folder counts as one, but for empty folders that go; nothing of the program itself
is replaced.
"""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

EFFECTS = ("rename", "mkdir", "unlink", "chown", "chmod", "truncate", "symlink")


def main(config_path: str, fatal: int, request: str) -> int:
    from providers.host.onsite import config, serve

    loaded = config.load(config_path)
    counter = itertools.count(1)

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*words: Any, **options: Any) -> Any:
            if next(counter) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*words, **options)

        return wrapped

    subprocess.run = counted(subprocess.run)
    for name in EFFECTS:
        setattr(os, name, counted(getattr(os, name)))
    answer = serve.answer(loaded, request)
    sys.stdout.write(f"{answer}\n")
    return 0 if "ok" in answer else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
