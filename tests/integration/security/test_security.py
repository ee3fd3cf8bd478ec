"""What a container may do, tried in containers and in execs."""

import json

import pytest

from labkit.containers.given import security
from labkit.errors import InvalidParameterError
from labkit.kernel import capabilities
from tests.containers import create, execute, run, shell

pytestmark = pytest.mark.root

NO_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


def test_a_capability_more_and_one_less(engine):
    script = "hostname other && hostname; chown 1 /etc/passwd"
    output, code = shell(engine, script, cap_add=["SYS_ADMIN"], cap_drop=["CHOWN"])
    assert output.splitlines()[0] == "other"
    assert "Operation not permitted" in output
    assert code == 1


def test_no_new_privileges_holds_back_a_setuid_program(engine):
    copied = "cp /bin/busybox /tmp/passwd; chmod 4755 /tmp/passwd"
    script = f"{copied}; su nobody -s /bin/sh -c '/tmp/passwd nosuch'"
    powerless = "must be suid to work properly"
    assert powerless not in shell(engine, script)[0]
    assert powerless in shell(engine, script, security_opt=["no-new-privileges"])[0]


def test_a_profile_of_one_s_own(engine):
    option = f"seccomp={json.dumps(NO_MKDIR)}"
    output, code = shell(engine, "mkdir /x", security_opt=[option])
    assert (code, "Operation not supported" in output) == (1, True)


def test_nothing_is_made_of_what_is_refused(engine):
    before = len(engine.list())
    with pytest.raises(InvalidParameterError, match="CAP_FLY"):
        create(engine, "true", cap_add=["FLY"])
    assert len(engine.list()) == before


ETC = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


def test_nothing_is_left_to_write_in_a_read_only_root(engine):
    script = "; ".join(f"echo '# mine' >> {path}" for path in ETC)
    output, code = shell(engine, script, readonly_rootfs=True)
    assert (output.count("Read-only file system"), code) == (3, 1)
    assert shell(engine, f"{script}; tail -qn1 {' '.join(ETC)}") == ("# mine\n" * 3, 0)


@pytest.fixture
def protected():
    """labkitd is protected from the lack of memory, as its unit asks for."""
    if not capabilities.permitted() & capabilities.mask(["SYS_RESOURCE"]):
        pytest.skip("needs CAP_SYS_RESOURCE")
    with open("/proc/self/oom_score_adj", "r+") as file:
        before = file.read()
        file.write("-500")
    yield
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(before)


def test_no_container_is_protected_as_labkitd_is(protected, engine):
    look = ("cat", "/proc/self/oom_score_adj")
    assert run(engine, *look) == ("0\n", 0)
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    assert execute(engine, container_id, *look) == ("0\n", 0)
    engine.kill(container_id)


def test_apparmor_confines_a_container_and_what_enters_it(engine):
    if security.APPARMOR_DEFAULT not in security.loaded_apparmor_profiles():
        pytest.skip("needs AppArmor")
    look = ("cat", "/proc/self/attr/current")
    confined = f"{security.APPARMOR_DEFAULT} (enforce)\n"
    assert run(engine, *look) == (confined, 0)
    assert run(engine, *look, user="1000") == (confined, 0)
    assert run(engine, *look, security_opt=["no-new-privileges"]) == (confined, 0)
    assert run(engine, *look, security_opt=["apparmor=unconfined"]) == ("unconfined\n", 0)
    assert run(engine, *look, privileged=True) == ("unconfined\n", 0)
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    assert execute(engine, container_id, *look) == (confined, 0)
    assert execute(engine, container_id, *look, privileged=True) == (confined, 0)
    engine.kill(container_id)
    # A wall of its own: where the read-only mounts are left out it still stands.
    attempt = "echo x > /proc/sys/vm/panic_on_oom"
    output, code = shell(engine, attempt, without=["readonly_paths"])
    assert ("Permission denied" in output, code) == (True, 1)
