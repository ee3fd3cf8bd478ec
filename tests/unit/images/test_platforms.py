"""The words for platforms."""

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import platforms
from labkit.images.models import Platform


def test_a_word_alone_is_a_system_or_an_architecture_that_is_known():
    own = platforms.own_platform()
    assert platforms.parse("aarch64") == Platform("arm64", own.os)
    assert platforms.parse("windows") == Platform(own.architecture, "windows")
    words = "unknown operating system or architecture: invalid argument"
    with pytest.raises(InvalidParameterError, match=words):
        platforms.parse("foo")
    assert platforms.parse("linux/foo") == Platform("foo", "linux")
