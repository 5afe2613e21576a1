"""`make bench`: our figures beside the raw floor, in one run. Each part is a module that also runs alone."""

import os
import subprocess
import sys
import time

SITES = {
    "slurm": (("tests.bench.slurm", "redeemed → usable, ends and reclaims on a real Slurm cluster"),),
    "aws": (("tests.bench.aws", "what one account costs in calls and seconds, at an emulator of AWS"),),
}
"""Parts of a site other than Linux."""
PARTS = (
    ("tests.bench.linux", "redeemed → usable, provisions and reclaims on the lab"),
    ("tests.bench.ends", "400 accounts ending at once; the sweep's tick"),
    ("tests.bench.bookings", "400 accounts booked for one minute"),
    ("tests.bench.meters", "what metering 400 accounts costs a host"),
    ("tests.bench.accept", "how long a platform waits for its 202"),
    ("tests.bench.stacks", "Pulumi's operations"),
    ("tests.store.measure", "the store alone"),
    ("tests.bench.screen", "one look at the operators' screen"),
)


def main() -> int:
    """Run every part in turn; exit 1 when one did not finish."""
    asked = (sys.argv[1:] or ["linux"])[0]
    if asked != "linux" and asked not in SITES:
        print(f"There are no figures of {asked!r}; there are of {', '.join(['linux', *SITES])}.", file=sys.stderr)
        return 2
    failed = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the first part", flush=True)
    for module, what in SITES.get(asked, PARTS):
        print(f"\n== {what} (python -m {module})", flush=True)
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", module], check=False).returncode != 0:
            failed.append(module)
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
    for module in failed:
        print(f"{module} did not finish", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
