"""What results of the lab disk say of themselves."""

from labkit.course.limits.disk_result import MIB, DiskRates, DiskSample, DiskWeights, Transfer


def weights(first_mib: int, second_mib: int) -> DiskWeights:
    half = (first_mib * MIB // 2, second_mib * MIB // 2)
    whole = (first_mib * MIB, second_mib * MIB)
    samples = (DiskSample(0.0, (0, 0)), DiskSample(1.0, half), DiskSample(2.0, whole))
    return DiskWeights((600, 300), samples)


def rates(version: int, cached_on_disk_s: float, direct_s: float = 3.0) -> DiskRates:
    size = 15 * MIB
    return DiskRates(
        5,
        version,
        (
            Transfer(True, False, size, 0.02, 0.03),
            Transfer(True, True, size, direct_s, direct_s),
            Transfer(False, False, size, 0.01, 0.02),
            Transfer(False, True, size, 0.01, cached_on_disk_s),
        ),
    )


def test_weights_hold_within_five_percent() -> None:
    assert weights(2000, 1000).holds
    assert weights(2000, 1040).holds
    assert not weights(2000, 1060).holds
    assert not weights(1000, 1000).holds
    figure = weights(2000, 1000).plot()
    assert figure.png.startswith(b"\x89PNG")
    assert "--blkio-weight 600: 1000 MiB/s, 66.7%" in figure.alt


def test_what_is_cached_is_limited_by_version_2_alone() -> None:
    assert rates(1, cached_on_disk_s=0.02).holds
    assert not rates(1, cached_on_disk_s=3.0).holds
    assert rates(2, cached_on_disk_s=3.1).holds
    assert not rates(2, cached_on_disk_s=0.02).holds
    assert not rates(1, 0.02, direct_s=3.5).holds
    assert not rates(1, 0.02, direct_s=2.5).holds
    assert "version 2" in rates(2, 3.0).table().caption
    assert "version 1" in rates(1, 0.02).table().caption
    assert rates(2, 3.0).table().column("expected there") == (
        "as fast as it can",
        "5",
        "as fast as it can",
        "5",
    )
    assert "direct, with the limit: the program saw 5.0 MiB/s" in rates(1, 0.02).plot().alt
