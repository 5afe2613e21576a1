"""`make demo`: the main job on a real site in a network namespace. Exit 0 when every step held. `clean` removes it."""

import sys

from tests.demo import acts, world
from tests.demo.report import Report
from tests.lab.place import Unfit, base

NAME = "demo"
FOLDER = base().parent / "tenure-demo"


def main() -> int:
    if sys.argv[1:] == ["clean"]:
        world.clean(FOLDER, NAME)
        return 0
    report = Report()
    print("Tenure: the life of a voucher on a real Linux site (network namespace, sshd, podman, btrfs, nftables, tc)")
    report.act(0, "Set-up: a site, Tenure prepared on it, a platform that sends vouchers")
    stage = None
    try:
        with report.step("lab, `tenure init`, `apply`, `site prepare`, `sender add`, `serve`") as step:
            stage = world.build(FOLDER, NAME, world.OFFERS)
            step.saw(f"site {stage.place.address}, doors at {stage.tenure.url}, home {stage.tenure.home}")
        acts.both(stage, report)
    except Unfit as unfit:
        print(f"\nThis machine cannot host the demo: {unfit}", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 (whatever it was: the step did not hold, and the reader is told)
        print(f"\nNot held: {type(error).__name__}: {error}\nTenure's own log is {FOLDER}/home/serve.log; "
              "`make demo` begins anew, `make clean-lab` takes the lab away.", file=sys.stderr)
        return 1
    finally:
        if stage is not None:
            world.close(stage)
    print(f"\nEvery step held ({report.held}, {report.seconds:.0f} s). `make clean-lab` takes the lab away.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
