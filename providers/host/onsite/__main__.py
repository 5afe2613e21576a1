"""`tenure-site --config PATH serve | reaper | gate | version`: what each login and unit on the host runs."""

import os
import sys

USAGE = "usage: tenure-site --config PATH serve | reaper | gate\n       tenure-site version\n"


def main(argv: list[str]) -> int:
    """Exit 0 done, 1 failed, 2 usage."""
    if argv == ["version"]:
        from .version import version

        sys.stdout.write(version() + "\n")
        return 0
    if len(argv) != 3 or argv[0] != "--config" or argv[2] not in ("serve", "reaper", "gate"):
        sys.stderr.write(USAGE)
        return 2
    if os.geteuid() != 0:
        sys.stderr.write("tenure-site: must run as root\n")
        return 1
    return start(argv[1], argv[2])


def start(path: str, command: str) -> int:
    from . import config
    from .errors import SiteFault

    try:
        loaded = config.load(path)
        if command == "serve":
            from . import serve
            from .version import version

            return serve.main(loaded, version())
        if command == "reaper":
            from . import reaper

            return reaper.main(loaded)
        from . import gate

        return gate.main(loaded)
    except SiteFault as error:
        sys.stderr.write(f"tenure-site: {error}" + (f": {error.remedy}" if error.remedy else "") + "\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
