"""`--cap-add`, `--cap-drop` and `--security-opt` as they are sent."""

import pytest

from labkit.cli.base.errors import UsageError
from labkit.cli.values import security as security_values


@pytest.mark.parametrize(
    ("added", "dropped", "sent"),
    [
        (["net_admin", "CAP_CHOWN"], ["all"], (["CAP_CHOWN", "CAP_NET_ADMIN"], ["ALL"])),
        (["ALL", "CHOWN"], ["KILL"], (["ALL"], ["CAP_KILL"])),
        (["CHOWN"], ["CHOWN", "KILL"], (["CAP_CHOWN"], ["CAP_KILL"])),
    ],
)
def test_capabilities(added, dropped, sent):
    found = security_values.capabilities({"cap_add": added, "cap_drop": dropped})
    assert (found["cap_add"], found["cap_drop"]) == sent


def test_a_profile_is_sent_by_its_text(tmp_path):
    (tmp_path / "p.json").write_text('{\n "defaultAction": "SCMP_ACT_ALLOW"\n}')
    found = security_values.security([f"seccomp={tmp_path}/p.json", "no-new-privileges"])
    text = 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'
    assert found == {"security_opt": [text, "no-new-privileges"]}


def test_unconfined_paths():
    found = security_values.security(["systempaths=unconfined"])
    assert found == {"security_opt": [], "masked_paths": [], "readonly_paths": []}


@pytest.mark.parametrize("text", ["nonsense", "seccomp=/no/such", "seccomp=/etc/hostname"])
def test_what_cannot_be_sent(text):
    with pytest.raises(UsageError):
        security_values.security([text])
