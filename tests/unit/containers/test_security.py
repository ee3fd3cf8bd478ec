"""Capabilities and security options: what is kept, what is refused, what is only warned of."""

import pytest

from labkit.containers import HostConfig
from labkit.containers.given import security
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities, processes
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


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """A kernel with AppArmor; the text is of its file of profiles."""

    def load(text):
        (tmp_path / "profiles").write_text(text)
        monkeypatch.setattr(security, "APPARMOR_PROFILES", str(tmp_path / "profiles"))

    return load


@pytest.mark.parametrize(
    ("loaded", "options", "privileged", "profile"),
    [
        ("", [], False, ""),
        ("/usr/bin/man (enforce)\n", [], False, ""),
        ("labkit-default (enforce)\n", [], False, "labkit-default"),
        ("labkit-default (enforce)\n", [], True, ""),
        ("labkit-default (enforce)\n", ["apparmor=unconfined"], False, ""),
        ("labkit-default (enforce)\n", ["apparmor:unconfined"], False, ""),
        ("labkit-default (enforce)\nmine (complain)\n", ["apparmor=mine"], False, "mine"),
        ("labkit-default (enforce)\nmine (complain)\n", ["apparmor=mine"], True, "mine"),
        # Gone since the container was created: the start fails, it does not run unconfined.
        ("labkit-default (enforce)\n", ["apparmor=gone"], False, "gone"),
    ],
)
def test_the_profile_of_apparmor(profiles, loaded, options, privileged, profile):
    profiles(loaded)
    host = HostConfig(security_opt=options, privileged=privileged)
    assert security.apparmor_profile(host) == profile


def test_a_profile_that_is_not_loaded_is_refused(profiles):
    profiles("labkit-default (enforce)\n")
    assert security.check(HostConfig(security_opt=["apparmor=labkit-default"])) == []
    with pytest.raises(InvalidParameterError, match="no profile of that name is loaded"):
        security.check(HostConfig(security_opt=["apparmor=strict"]))


def test_where_cpus_tell_how_hot_they_run_that_is_covered(tmp_path):
    for name in ("cpu10", "cpu2", "cpufreq"):
        (tmp_path / name / "thermal_throttle").mkdir(parents=True)
    (tmp_path / "cpu0").mkdir()
    expected = [f"{tmp_path}/{name}/thermal_throttle" for name in ("cpu2", "cpu10")]
    assert security.thermal_paths(str(tmp_path)) == expected


@pytest.mark.parametrize(("own", "asked", "score"), [(0, 0, None), (-500, 0, 0), (0, 7, 7)])
def test_no_container_inherits_the_score_that_protects_labkitd(monkeypatch, own, asked, score):
    monkeypatch.setattr(processes, "oom_score", lambda: own)
    assert security.oom_score(HostConfig(oom_score_adj=asked)) == score


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
    assert usual.masked_paths == [*MASKED_PATHS, *security.thermal_paths()]
    assert (privileged.masked_paths, privileged.security_opt) == (None, ["label=disable"])
    assert unmasked.masked_paths == unmasked.readonly_paths == []
