"""Shares to weights: ours is 2:1 for 2:1, the two others are what they are."""

import pytest

from labkit.cgroups import shares


@pytest.mark.parametrize("scale", [1, 2, 10, 100])
def test_labkit_keeps_two_to_one(scale: int) -> None:
    first = shares.weight_from_shares(1024 * scale)
    second = shares.weight_from_shares(512 * scale)
    assert first == 2 * second or first == shares.MAXIMUM_WEIGHT


@pytest.mark.parametrize(
    ("asked", "weight"), [(1, 1), (2, 1), (512, 50), (1024, 100), (2048, 200), (262144, 10000)]
)
def test_labkits_weights(asked: int, weight: int) -> None:
    assert shares.weight_from_shares(asked) == weight


@pytest.mark.parametrize(
    ("asked", "weight"), [(2, 1), (512, 20), (1024, 39), (262144, 10000), (1, 1)]
)
def test_the_linear_weights(asked: int, weight: int) -> None:
    assert shares.linear_weight(asked) == weight


@pytest.mark.parametrize(
    ("asked", "weight"), [(2, 1), (512, 59), (1024, 100), (262144, 10000), (1, 1)]
)
def test_the_quadratic_weights(asked: int, weight: int) -> None:
    assert shares.quadratic_weight(asked) == weight


@pytest.mark.parametrize(("asked", "kept"), [(1, 2), (512, 512), (10**6, 262144)])
def test_the_kernel_keeps_shares_in_range(asked: int, kept: int) -> None:
    assert shares.clamp_shares(asked) == kept
