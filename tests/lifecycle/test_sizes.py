"""Sizes with units, as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lifecycle import sizes
from orchestrator.lifecycle.errors import RuleError


@pytest.mark.parametrize(("read", "text", "value"), [
    (sizes.size, "48MiB", 50331648), (sizes.size, "100GiB", 107374182400), (sizes.size, "1 kB", 1000),
    (sizes.rate, "20Mbit/s", 20_000_000), (sizes.rate, "1Gbit/s", 10**9),
    (sizes.duration, "24h", 86400), (sizes.duration, "90m", 5400), (sizes.duration, "30s", 30),
    (sizes.duration, "7d", 604800)])
def test_a_size_is_read(read: object, text: str, value: int) -> None:
    """In bytes, bits per second and seconds."""
    assert read(text) == value  # type: ignore[operator]


@pytest.mark.parametrize("read", [sizes.size, sizes.rate, sizes.duration])
@pytest.mark.parametrize("text", ["", "0MiB", "0s", "-1h", "1.5GiB", "1", "MiB", "1mib", "1MiB ", " 1MiB", "1  MiB",
                                  "٣h", "9" * 16 + "s", "999999999999999PiB", 48, None, True, ["1h"], "1h\n"])
def test_anything_else_is_refused(read: object, text: object) -> None:
    """Zero, fractions, signs, wrong units and what is not text."""
    with pytest.raises(RuleError) as refused:
        read(text)  # type: ignore[operator]
    assert refused.value.code == "bad_size"


@given(st.integers(1, 2**62))
def test_a_size_shown_is_the_size(value: int) -> None:
    """What is shown can be read back, when it is no longer than what is read."""
    shown = sizes.show_size(value)
    if len(shown) <= 15:
        assert sizes.size(shown) == value


@given(st.integers(1, 10**14))
def test_a_rate_shown_is_the_rate(value: int) -> None:
    """In the largest unit that loses nothing."""
    assert sizes.rate(sizes.show_rate(value)) == value
