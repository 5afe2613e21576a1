"""Locks between the processes of one site."""

import multiprocessing
from pathlib import Path

from providers.host.onsite import lock


def count(folder: Path, times: int) -> None:
    for _ in range(times):
        with lock.take_turn(folder / "lock"):
            (folder / "count").write_text(str(int((folder / "count").read_text()) + 1))


def test_processes_take_turns_and_the_last_takes_the_file_away(tmp_path: Path) -> None:
    """No count is lost, and nothing named after an account outlives its lock."""
    (tmp_path / "count").write_text("0")
    turns = [multiprocessing.get_context("spawn").Process(target=count, args=(tmp_path, 100)) for _ in range(4)]
    for one in turns:
        one.start()
    for one in turns:
        one.join(60)
    assert (tmp_path / "count").read_text() == "400"
    assert not (tmp_path / "lock").exists()
