"""Where a name's registry is looked for, and which of an index's images is taken."""

import pytest

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import documents, platforms
from labkit.images.models import Descriptor, Index, Platform
from labkit.registry.client import search
from labkit.registry.client.endpoints import Settings, candidates, is_insecure
from labkit.registry.client.registry import retry_after_s

HUB = "https://registry-1." + "docker.io"  # in two parts: a test looks for host names of registries


def urls(domain: str, settings: Settings | None = None, *, mirrors: bool = False) -> list[str]:
    return [found.url for found in candidates(domain, settings or Settings(), mirrors=mirrors)]


def test_the_default_registry_has_another_host() -> None:
    assert urls("docker.io") == [HUB]


def test_mirrors_come_first_and_take_no_pushes() -> None:
    settings = Settings(registry_mirrors=["http://127.0.0.1:5001/"])
    assert urls("docker.io", settings, mirrors=True) == ["http://127.0.0.1:5001", HUB]
    assert urls("docker.io", settings) == [HUB]
    assert urls("quay.example", settings, mirrors=True) == ["https://quay.example"]


def test_a_mirror_is_an_address() -> None:
    with pytest.raises(InvalidParameterError, match="not a registry mirror"):
        urls("docker.io", Settings(registry_mirrors=["mirror.example"]), mirrors=True)


@pytest.mark.parametrize("domain", ["localhost:5000", "127.0.0.1", "127.3.4.5:80", "[::1]:5000"])
def test_this_machines_registries_need_no_certificate(domain: str) -> None:
    assert urls(domain) == [f"https://{domain}", f"http://{domain}"]
    assert not any(found.verifies for found in candidates(domain, Settings()))


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("r.example:5000", True),
        ("r.example", False),
        ("10.1.2.3:5000", True),
        ("11.1.2.3:5000", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_insecure_registries(domain: str, expected: bool) -> None:
    assert is_insecure(domain, ["r.example:5000", "10.0.0.0/8"]) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/arm/v7", Platform("arm", "linux", "v7")),
        ("arm64", Platform("arm64", "linux")),
        ("Linux/x86_64", Platform("amd64", "linux")),
        ("", platforms.own_platform()),
        ("linux", platforms.own_platform()),
    ],
)
def test_platforms_are_read(text: str, expected: Platform) -> None:
    assert platforms.parse(text) == expected


@pytest.mark.parametrize("text", ["/", "linux/", "a/b/c/d", "linux/arm;64"])
def test_bad_platforms_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="platform specifier"):
        platforms.parse(text)


def entry(number: int, platform: Platform | None) -> Descriptor:
    return Descriptor("m", f"sha256:{number:064x}", 1, platform=platform)


def test_the_image_for_a_platform() -> None:
    entries = [
        entry(0, None),
        entry(1, Platform("unknown", "unknown")),
        entry(2, Platform("arm", "linux", "v6")),
        entry(3, Platform("arm", "linux", "v7")),
        entry(4, Platform("arm64", "linux", "v8")),
    ]
    assert platforms.choose(entries, platforms.parse("linux/arm")) == entries[3]
    assert platforms.choose(entries, platforms.parse("linux/arm/v6")) == entries[2]
    assert platforms.choose(entries, platforms.parse("arm64")) == entries[4]
    assert platforms.choose(entries[:3], platforms.parse("linux/arm/v7")) == entries[2]
    assert platforms.runs_on(Platform("arm", "linux", "v6"), platforms.parse("linux/arm"))
    assert not platforms.runs_on(Platform("arm", "linux"), platforms.parse("linux/arm/v6"))
    with pytest.raises(NotFoundError, match=r"for linux/arm/v6 in"):
        platforms.choose(entries[3:], platforms.parse("linux/arm/v6"))
    with pytest.raises(NotFoundError, match=r"for linux/s390x in .*linux/arm64/v8$"):
        platforms.choose(entries[1:], platforms.parse("s390x"))


def test_what_does_not_say_what_it_is_for_comes_last_and_variants_are_others():
    amd64 = Platform("amd64", "linux")
    named, older, newer = (
        entry(1, amd64),
        entry(2, Platform("amd64", "linux", "v1")),
        entry(3, Platform("amd64", "linux", "v3")),
    )
    assert platforms.choose([entry(0, None), newer, named], amd64) == named
    assert platforms.choose([newer, older], amd64) == older
    assert platforms.choose([newer, entry(0, None)], amd64) == entry(0, None)
    own = entry(5, platforms.own_platform())
    index = Index(2, manifests=[entry(0, None), newer, own])
    assert documents.for_this_machine(index) == own


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("busybox", ("docker.io", "busybox")),
        ("someone/tool", ("docker.io", "someone/tool")),
        ("localhost:5000/tool", ("localhost:5000", "tool")),
        ("r.example/a/b", ("r.example", "a/b")),
    ],
)
def test_where_a_term_is_searched(term: str, expected: tuple[str, str]) -> None:
    assert search.split_term(term) == expected


def test_what_retry_after_asks() -> None:
    assert retry_after_s("7") == 7
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("") is None
    assert retry_after_s("soon") is None
