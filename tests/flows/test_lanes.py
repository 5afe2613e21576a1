"""Lanes: keys never wait for each other, a key's threads are bounded, and a refusal clears the queue."""

import threading
from collections.abc import Sequence

from orchestrator.flows.lanes import Lanes


def test_one_key_that_hangs_holds_up_no_other() -> None:
    """The other key's work is done while the first still hangs."""
    gate, done = threading.Event(), threading.Event()

    def work(key: str, batch: Sequence[int]) -> bool:
        if key == "slow":
            gate.wait(30)
        else:
            done.set()
        return False

    lanes: Lanes[str, int] = Lanes(work, lambda key, batch: None)
    lanes.put("slow", [1])
    lanes.put("quick", [2])
    assert done.wait(30)
    gate.set()
    assert lanes.idle(30)


def test_what_comes_while_a_batch_runs_goes_together_in_the_next() -> None:
    """One call for all that has waited."""
    gate, begun, batches = threading.Event(), threading.Event(), []

    def work(key: str, batch: Sequence[int]) -> bool:
        batches.append(list(batch))
        begun.set()
        gate.wait(30)
        return False

    lanes: Lanes[str, int] = Lanes(work, lambda key, batch: None)
    lanes.put("a", [1])
    assert begun.wait(30)
    lanes.put("a", [2])
    lanes.put("a", [3])
    gate.set()
    assert lanes.idle(30)
    assert batches == [[1], [2, 3]]


def test_with_two_threads_a_batch_that_hangs_holds_up_no_later_one() -> None:
    """The second batch of the same key is done while the first hangs."""
    gate, first, second = threading.Event(), threading.Event(), threading.Event()

    def work(key: str, batch: Sequence[int]) -> bool:
        if batch[0] == 1:
            first.set()
            gate.wait(30)
        else:
            second.set()
        return False

    lanes: Lanes[str, int] = Lanes(work, lambda key, batch: None, width=2)
    lanes.put("a", [1])
    assert first.wait(30)
    lanes.put("a", [2])
    assert second.wait(30)
    gate.set()
    assert lanes.idle(30)


def test_after_a_refusal_what_waits_is_refused_and_not_tried() -> None:
    """A site that does not answer costs one time-out, not one for each batch."""
    gate, begun = threading.Event(), threading.Event()
    refused: list[int] = []
    tried: list[int] = []

    def work(key: str, batch: Sequence[int]) -> bool:
        tried.extend(batch)
        begun.set()
        gate.wait(30)
        return True

    lanes: Lanes[str, int] = Lanes(work, lambda key, batch: refused.extend(batch))
    lanes.put("a", [1])
    assert begun.wait(30)
    lanes.put("a", [2, 3])
    gate.set()
    assert lanes.idle(30)
    assert (tried, refused) == ([1], [2, 3])


def test_a_fault_of_ours_does_not_end_the_lane() -> None:
    """The next batch is worked on."""
    seen: list[int] = []

    def work(key: str, batch: Sequence[int]) -> bool:
        seen.extend(batch)
        raise ZeroDivisionError

    lanes: Lanes[str, int] = Lanes(work, lambda key, batch: None)
    for number in (1, 2):
        lanes.put("a", [number])
        assert lanes.idle(30)
    assert seen == [1, 2]
