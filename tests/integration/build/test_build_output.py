"""`labkit build -o` and the options that docker's command has beside it."""

import io
import json
import tarfile

import pytest

from tests.lab import running_lab

pytestmark = pytest.mark.root

TEXT = "FROM scratch\nCOPY folder /folder\nCOPY --chmod=0751 file /\n"


@pytest.fixture(scope="module")
def lab():
    with running_lab() as lab:
        yield lab


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "context"
    (path / "folder").mkdir(parents=True)
    (path / "Dockerfile").write_text(TEXT)
    (path / "file").write_text("one\n")
    (path / "folder" / "below").write_text("two\n")
    (path / "folder" / "link").symlink_to("below")
    return path


@pytest.mark.parametrize("form", ["{place}", "type=local,dest={place}"])
def test_the_result_as_a_folder(lab, folder, tmp_path, form):
    place = tmp_path / "made" / "out"
    lab.cli("build", "-o", form.format(place=place), str(folder), check=True)
    assert (place / "file").read_text() == "one\n"
    assert (place / "file").stat().st_mode & 0o777 == 0o751
    assert (place / "folder" / "link").readlink().name == "below"
    assert not lab.cli("ps", "-aq", check=True).stdout


def test_the_result_as_archives(lab, folder, tmp_path):
    flags = ["-o", f"type=tar,dest={tmp_path}/files.tar", "-o", f"type=oci,dest={tmp_path}/oci.tar"]
    lab.cli("build", *flags, "-o", "type=image", "-t", "out:1", str(folder), check=True)
    with tarfile.open(tmp_path / "files.tar") as archive:
        assert archive.extractfile("file").read() == b"one\n"
    with tarfile.open(tmp_path / "oci.tar") as archive:
        assert {"oci-layout", "manifest.json"} <= set(archive.getnames())
    done = lab.cli("build", "-o", "-", str(folder), text=False, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert "folder/below" in archive.getnames()


@pytest.mark.parametrize("form", ["type=nosuch", "type=local", "type=tar,wrong=1"])
def test_wrong_outputs_are_refused_before_the_build(lab, folder, form):
    done = lab.cli("build", "-o", form, str(folder))
    assert done.returncode == 125
    assert 'for "-o, --output" flag' in done.stderr


def test_facts_and_options_without_effect(lab, folder, tmp_path):
    flags = ["--rm", "--force-rm", "--compress", "--metadata-file", f"{tmp_path}/facts"]
    lab.cli("build", *flags, "--iidfile", f"{tmp_path}/id", "-t", "a:1", str(folder), check=True)
    facts = json.loads((tmp_path / "facts").read_text())
    assert facts["containerimage.config.digest"] == (tmp_path / "id").read_text()
    assert facts["image.name"] == "docker.io/library/a:1"
