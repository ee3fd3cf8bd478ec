"""Capabilities and security options: what is kept, what is refused, what is only warned of."""

import pytest

from labkit.containers import HostConfig, security
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities
from labkit.runtime.spec import DEFAULT_CAPABILITIES, MASKED_PATHS


@pytest.mark.parametrize(
    ("added", "dropped", "kept"),
    [
        ((), (), set(DEFAULT_CAPABILITIES)),
        (("net_admin",), (), {*DEFAULT_CAPABILITIES, "NET_ADMIN"}),
        (("CAP_NET_ADMIN",), ("cap_mknod",), {*DEFAULT_CAPABILITIES, "NET_ADMIN"} - {"MKNOD"}),
        ((), ("ALL",), set()),
        (("CHOWN",), ("all",), {"CHOWN"}),
        (("ALL",), ("SYS_ADMIN",), set(capabilities.NAMES) - {"SYS_ADMIN"}),
    ],
)
def test_capabilities(added, dropped, kept):
    host = HostConfig(cap_add=list(added), cap_drop=list(dropped))
    assert security.check(host) == []
    assert set(security.kept_capabilities(host)) == kept


def test_an_added_capability_opens_its_calls():
    assert security.seccomp_program(HostConfig()) != security.seccomp_program(
        HostConfig(cap_add=["SYS_ADMIN"])
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"cap_add": ["FLY"]}, 'invalid CapAdd: unknown capability: "CAP_FLY"'),
        ({"cap_drop": ["CAP_FLY"]}, 'invalid CapDrop: unknown capability: "CAP_FLY"'),
        ({"security_opt": ["x=y"]}, "x=y"),
        ({"security_opt": ["nonsense"]}, "nonsense"),
        ({"security_opt": ["no-new-privileges=maybe"]}, "maybe"),
        ({"security_opt": ["seccomp={"]}, "Decoding seccomp profile failed"),
        ({"security_opt": ['seccomp={"defaultAction": "SCMP_ACT_FLY"}']}, "SCMP_ACT_FLY"),
        ({"security_opt": ['seccomp={"syscalls": []}']}, "defaultAction"),
    ],
)
def test_what_is_refused(asked, words):
    with pytest.raises(InvalidParameterError) as refusal:
        security.check(HostConfig(**asked))
    assert words in str(refusal.value)


def test_what_has_no_effect_is_said():
    (warning,) = security.check(HostConfig(security_opt=["apparmor=strict"]))
    assert "apparmor=strict has no effect" in warning
    assert security.check(HostConfig(security_opt=["apparmor=unconfined", "label=disable"])) == []


@pytest.mark.parametrize(
    ("options", "forbidden"),
    [
        ([], False),
        (["no-new-privileges"], True),
        (["no-new-privileges:true"], True),
        (["no-new-privileges=0"], False),
    ],
)
def test_no_new_privileges(options, forbidden):
    assert security.no_new_privileges(HostConfig(security_opt=options)) is forbidden


def test_what_is_inspected():
    usual, privileged, unmasked = HostConfig(), HostConfig(privileged=True), HostConfig()
    unmasked.masked_paths = unmasked.readonly_paths = []
    for host in (usual, privileged, unmasked):
        security.fill_in(host)
    assert usual.masked_paths == list(MASKED_PATHS)
    assert (privileged.masked_paths, privileged.security_opt) == (None, ["label=disable"])
    assert unmasked.masked_paths == unmasked.readonly_paths == []
