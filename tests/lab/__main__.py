"""`python -m tests.lab up|down|reboot|status [NAME]`, `down --all`. Exit 0 done, 1 not possible, 2 usage."""

import argparse
import json
import sys
import time

from tests.lab.lab import Lab
from tests.lab.place import Unfit, check, every
from tests.lab.slurm import of


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="A real Linux site on this machine.")
    parser.add_argument("action", choices=("up", "down", "reboot", "status"))
    parser.add_argument("name", nargs="?", default="lab")
    parser.add_argument("--all", action="store_true", help="down: every lab under the base folder")
    options = parser.parse_args(argv)
    try:
        check(options.name)
    except ValueError as error:
        parser.error(str(error))
    begun = time.monotonic()
    try:
        act(options.action, of(options.name), options.all)
    except Unfit as error:
        print(error, file=sys.stderr)
        return 1
    if options.action != "status":
        print(f"{options.action}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
    return 0


def act(action: str, lab: Lab, everything: bool) -> None:
    begun = time.monotonic()
    if action == "up":
        lab.up(lambda text: print(f"{time.monotonic() - begun:6.2f} s  {text}", file=sys.stderr))
    elif action == "down":
        for one in [of(place.name) for place in every()] if everything else [lab]:
            one.down()
    elif action == "reboot":
        lab.reboot()
    if action in ("up", "status"):
        print(json.dumps(lab.status(), indent=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
