"""The OCI documents: what others write is read, what labkit writes says no more than it must."""

import json

import msgspec
import pytest

from labkit.images import models
from labkit.images.layout import DamagedStoreError, decode

DIGEST = "sha256:" + "a" * 64


def test_a_config_with_fields_labkit_does_not_know_is_read() -> None:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": None,
            "Cmd": ["sh"],
            "ExposedPorts": {"80/tcp": {}},
            "OnBuild": [],
            "WorkingDir": "/x",
        },
        "container_config": {"Hostname": ""},
        "docker_version": "20.10",
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    }
    config = msgspec.json.decode(json.dumps(document), type=models.ImageConfig)
    assert config.config
    assert config.config.cmd == ["sh"]
    assert config.config.env is None
    assert config.config.exposed_ports == {"80/tcp": {}}
    assert config.rootfs.diff_ids == [DIGEST]


def test_what_is_written_has_the_specifications_names_and_no_empty_fields() -> None:
    config = models.RuntimeConfig(working_dir="/x", stop_signal="SIGINT", volumes={"/v": {}})
    assert json.loads(msgspec.json.encode(config)) == {
        "WorkingDir": "/x",
        "StopSignal": "SIGINT",
        "Volumes": {"/v": {}},
    }
    descriptor = models.Descriptor(models.LAYER_GZIP, DIGEST, 7, platform=models.Platform("a", "l"))
    assert json.loads(msgspec.json.encode(descriptor)) == {
        "mediaType": models.LAYER_GZIP,
        "digest": DIGEST,
        "size": 7,
        "platform": {"architecture": "a", "os": "l"},
    }


@pytest.mark.parametrize(
    "digest", ["sha256:../../etc/passwd", "sha256:" + "a" * 63, "md5:" + "a" * 64, f"{DIGEST}\n"]
)
def test_a_digest_that_is_none_does_not_become_a_file_name(digest: str) -> None:
    data = json.dumps({"mediaType": "x", "digest": digest, "size": 1}).encode()
    with pytest.raises(DamagedStoreError, match="not a valid Descriptor"):
        decode(data, models.Descriptor, "a test")
