"""AWS's emulator (moto) as a process of its own on loopback, for the AWS kind's tests, demo and benchmark.

It stands for AWS's answers only: it knows no date condition, no boundary and no time, so nothing here proves a fence.
Where it ignores a limit that it is told, or says another word than AWS, it is put right in `main`.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3

from tests.drive import free_port, until

KEYS = {"access_key_id": "AKIAEMULATED", "secret_access_key": "nothing-secret"}


class Moto:
    """One server; its process is ours and nobody else's."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port = port
        self.process = process
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, region: str = "eu-central-1", **more: object) -> dict[str, object]:
        """A site's settings that point to it."""
        return {"region": region, "endpoint_url": self.url, "vcpus": 64, "storage_gib": 1000, **more}

    def client(self, service: str, region: str = "eu-central-1") -> Any:
        """Straight to a service, past our own code."""
        if (service, region) not in self._clients:
            self._clients[service, region] = boto3.client(
                service, region_name=region, endpoint_url=self.url,
                aws_access_key_id=KEYS["access_key_id"], aws_secret_access_key=KEYS["secret_access_key"])
        return self._clients[service, region]

    def run_no_job(self) -> None:
        """Jobs are over as soon as they are submitted; otherwise the emulator looks for a Docker to run them."""
        with urlopen(f"{self.url}/moto-api/config", data=b'{"batch": {"use_docker": false}}', timeout=10) as answer:
            answer.read()


@contextmanager
def moto(log: Path | None = None) -> Iterator[Moto]:
    """A server that answers, ended with its own pid."""
    port = free_port()
    command = [sys.executable, "-m", __name__, "-H", "127.0.0.1", "-p", str(port)]
    with open(log or "/dev/null", "ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=Path(__file__).parents[2])
    server = Moto(port, process)
    try:
        until("the emulator answers", lambda: _answers(server), within=60, every=0.1)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _answers(server: Moto) -> bool | None:
    assert server.process.poll() is None, f"moto_server ended with {server.process.returncode}"
    try:
        with urlopen(f"{server.url}/moto-api/data.json", timeout=2):
            return True
    except OSError:
        return None


def main() -> None:
    """The server's process. Batch changes `maxvCpus` when asked, and says what AWS says of a name that is taken."""
    from moto.batch.exceptions import ClientException
    from moto.batch.models import BatchBackend
    from moto.server import main as serve

    create, update = BatchBackend.create_compute_environment, BatchBackend.update_compute_environment

    def created(batch: BatchBackend, compute_environment_name: str, *rest: Any, **more: Any) -> Any:
        if batch.get_compute_environment(compute_environment_name) is not None:
            raise ClientException("Object already exists")
        return create(batch, compute_environment_name, *rest, **more)

    def updated(batch: BatchBackend, compute_environment_name: str, state: str | None, compute_resources: Any,
                service_role: str | None) -> tuple[str, str]:
        answer = update(batch, compute_environment_name, state, compute_resources, service_role)
        found = batch.get_compute_environment(compute_environment_name)
        assert found is not None
        found.compute_resources = {**(found.compute_resources or {}), **(compute_resources or {})}
        return answer

    BatchBackend.create_compute_environment = created  # type: ignore[method-assign,assignment]
    BatchBackend.update_compute_environment = updated  # type: ignore[method-assign,assignment]
    serve()


if __name__ == "__main__":
    main()
