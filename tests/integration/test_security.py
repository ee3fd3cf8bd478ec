"""What a container may do, tried in containers and in execs."""

import json

import pytest

from labkit.errors import InvalidParameterError
from tests.containers import create, shell

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
