"""`make demo`: the main job on a real site in a network namespace. Exit 0 when every step held. `clean` removes it.

Whatever ends it, nothing that it started goes on, and a lab in which something did not hold is taken away.
"""

import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path

from tests.demo import world
from tests.demo.report import Report, TooSlow
from tests.lab.place import Unfit, base

NAME = "demo"
ALONE = {"aws": "tests.demo.aws"}
"""Sites whose demo is a module of its own, with `main()`."""
SITES = {"linux": "tests.demo.acts", "slurm": "tests.demo.slurm"}
"""Each module has TITLE, OFFERS, lab(name) and both(stage, report)."""


def home_of(site: str) -> Path:
    """Where the demo of this site keeps what it makes outside its lab."""
    return base().parent / f"tenure-demo-{site}"


def main() -> int:
    asked = (sys.argv[1:] or ["linux"])[0]
    if asked == "clean":
        for site, module in SITES.items():
            world.clean(home_of(site), import_module(module).lab(f"{NAME}{site}"))
        for site in ALONE:
            shutil.rmtree(home_of(site), ignore_errors=True)
        return 0
    if asked in ALONE:
        return int(import_module(ALONE[asked]).main())
    if asked not in SITES:
        print(f"There is no demo of {asked!r}; there is one of {', '.join([*SITES, *ALONE])}.", file=sys.stderr)
        return 2
    shown = import_module(SITES[asked])
    report = Report()
    print(f"Tenure: the life of a voucher {shown.TITLE}")
    report.act(0, "Set-up: a site, Tenure prepared on it, a platform that sends vouchers")
    lab = shown.lab(f"{NAME}{asked}")
    stage, held = None, False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with report.step("lab, `tenure init`, `apply`, `site prepare`, `sender add`, `serve`") as step:
            stage = world.build(home_of(asked), lab, shown.OFFERS)
            step.saw(f"site {stage.place.address}, doors at {stage.tenure.url}, home {stage.tenure.home}")
        shown.both(stage, report)
        held = True
    except Unfit as unfit:
        print(f"\nThis machine cannot host the demo: {unfit}", file=sys.stderr)
    except TooSlow as slow:
        print(f"\nNot shown: this machine was too slow just now: {slow}\nTry again with less else "
              "to do.", file=sys.stderr)
    except Exception as error:  # noqa: BLE001 (whatever it was: the step did not hold, and the reader is told)
        print(f"\nNot held: {type(error).__name__}: {error}\nTenure's own log is {home_of(asked)}/home/serve.log; "
              "`make demo` begins anew.", file=sys.stderr)
    finally:
        if stage is not None:
            world.close(stage)
        if not held:
            lab.down()
    if not held:
        return 1
    print(f"\nEvery step held ({report.held}, {report.seconds:.0f} s). `make clean-lab` takes the lab away.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
