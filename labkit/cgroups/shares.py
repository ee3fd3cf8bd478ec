"""CPU shares (cgroup v1, 2 to 262144) as a CPU weight (cgroup v2, 1 to 10000): three ways.

In v1 `cpu.shares` is used as it is, so `-c 1024` against `-c 512` is 2:1.  v2 has another scale, so
the engine must translate.  The kernel divides CPU time in proportion to the weights
(Documentation/admin-guide/cgroup-v2.rst, "Weights"), so only a translation that is itself
proportional keeps the ratio that the user asked for.

    shares                  1024 : 512
    weight_from_shares       100 : 50    2.00 to 1   labkit
    linear_weight             39 : 20    1.95 to 1   runc before 1.3.2, crun before 1.23
    quadratic_weight         100 : 59    1.69 to 1   runc from 1.3.2, crun from 1.23
"""

from math import ceil, log2

MINIMUM_SHARES, MAXIMUM_SHARES = 2, 262144
MINIMUM_WEIGHT, MAXIMUM_WEIGHT = 1, 10000
DEFAULT_SHARES, DEFAULT_WEIGHT = 1024, 100


def clamp_shares(shares: int) -> int:
    """Return cgroup v1's value for `shares`: the kernel silently keeps 2 to 262144."""
    return min(max(shares, MINIMUM_SHARES), MAXIMUM_SHARES)


def weight_from_shares(shares: int) -> int:
    """Return labkit's weight: in proportion, so that the default 1024 is the default 100."""
    weight = round(shares * DEFAULT_WEIGHT / DEFAULT_SHARES)
    return min(max(weight, MINIMUM_WEIGHT), MAXIMUM_WEIGHT)


def shares_range(version: int) -> tuple[int, int]:
    """Return the least and the most shares that a cgroup version distinguishes."""
    if version == 1:
        return MINIMUM_SHARES, MAXIMUM_SHARES
    shares = DEFAULT_SHARES / DEFAULT_WEIGHT
    return round(MINIMUM_WEIGHT * shares), int(MAXIMUM_WEIGHT * shares)


def linear_weight(shares: int) -> int:
    """The straight line from (2, 1) to (262144, 10000) that runc and crun used for years.

    It maps the ends onto the ends, but the default 1024 onto 39 instead of 100: a container loses
    to every process outside that has the default weight.
    """
    span = (MAXIMUM_WEIGHT - MINIMUM_WEIGHT) / (MAXIMUM_SHARES - MINIMUM_SHARES)
    return int(MINIMUM_WEIGHT + (clamp_shares(shares) - MINIMUM_SHARES) * span)


def quadratic_weight(shares: int) -> int:
    """The curve through (2, 1), (1024, 100) and (262144, 10000) of runc 1.3.2 and crun 1.23.

    A parabola in the logarithms: the default and both ends are right, but it is proportional
    nowhere.
    """
    power_of_two = log2(clamp_shares(shares))
    exponent = (power_of_two**2 + 125 * power_of_two) / 612 - 7 / 34
    # Rounded before ceil: 1024 shares are 100.00000000000004 in floating point.
    return min(ceil(round(10**exponent, 6)), MAXIMUM_WEIGHT)


def io_weight_from_blkio(weight: int) -> int:
    """Return `io.weight` (1 to 10000) for `--blkio-weight` (10 to 1000), as runc does."""
    return 1 + (weight - 10) * 9999 // 990
