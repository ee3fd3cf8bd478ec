"""The wrappers that can be tried without root."""

import errno
import os
import socket
import subprocess
import threading

import pytest

from labkit.kernel import capabilities, files, messages, mounts, namespaces, processes


def test_a_refused_call_is_an_oserror_with_errno_and_path(tmp_path):
    with pytest.raises(OSError, match="umount2") as caught:
        mounts.unmount(str(tmp_path / "nosuch"))
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)
    assert caught.value.filename == str(tmp_path / "nosuch")
    with pytest.raises(OSError, match="setns"):
        namespaces.setns(-1)


def test_mountinfo_is_parsed_as_proc_writes_it():
    line = r"36 35 98:0 /a\040b /mnt\134c rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    (mount,) = mounts.parse_mountinfo(line + "\n")
    assert mount == mounts.MountPoint(
        *("/a b", "/mnt\\c", ("rw", "noatime"), "ext3", "/dev/root", ("rw", "errors=continue")),
        ("master:1",),
    )
    with open("/proc/self/mountinfo") as file:
        assert any(mount.target == "/" for mount in mounts.parse_mountinfo(file.read()))


def test_flags_are_named():
    assert mounts.flag_names(mounts.MS_NOSUID | mounts.MS_NODEV) == "MS_NOSUID|MS_NODEV"
    assert mounts.flag_names(0) == "0"


def test_capability_masks():
    assert capabilities.mask(["CHOWN", "CAP_SYS_ADMIN"]) == 1 | 1 << 21
    with pytest.raises(ValueError, match="not in"):
        capabilities.mask(["NOSUCH"])


def test_a_process_is_signalled_only_if_it_is_the_one_that_was_meant():
    child = subprocess.Popen(["sleep", "60"])
    started = processes.start_time(child.pid)
    assert not processes.send_signal(child.pid, started + 1, 9)
    assert child.poll() is None
    assert processes.send_signal(child.pid, started, 9)
    assert child.wait() == -9
    assert not processes.send_signal(child.pid, started, 9)
    assert processes.start_time(child.pid) == 0


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "record"
    path.write_bytes(b"old")
    files.write_atomically(str(path), b"new", 0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["record"]


def test_messages_carry_values_and_descriptors():
    ours, theirs = socket.socketpair()
    read_end, write_end = os.pipe()
    value = ("word", 1, [2, b"three"], {"four": None}, "x" * 1_000_000)
    sender = threading.Thread(target=messages.send, args=(ours, value, [write_end]))
    sender.start()
    received, fds = messages.receive(theirs)
    sender.join()
    assert received == value
    os.write(fds[0], b"same pipe")
    assert os.read(read_end, 100) == b"same pipe"
    assert not os.get_inheritable(fds[0])
    ours.close()
    assert messages.receive(theirs) is None
    for fd in (read_end, write_end, *fds):
        os.close(fd)


def test_a_message_cut_off_and_a_message_too_long_are_errors():
    ours, theirs = socket.socketpair()
    ours.sendall(b"\x10\0\0\0half")
    ours.close()
    with pytest.raises(ConnectionError, match="middle"):
        messages.receive(theirs)
    ours, theirs = socket.socketpair()
    ours.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(ConnectionError, match="not labkit"):
        messages.receive(theirs)


def test_a_socket_at_a_long_path(tmp_path):
    folder = tmp_path / ("d" * 120) / ("e" * 120)
    folder.mkdir(parents=True)
    path = str(folder / "a.sock")
    server = messages.listen(path)
    client = messages.connect(path)
    accepted, _ = server.accept()
    messages.send(client, "hello")
    assert messages.receive(accepted) == ("hello", [])
    assert os.stat(path).st_mode & 0o777 == 0o600
    for connection in (client, accepted, server):
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        messages.connect(path)
    with pytest.raises(FileNotFoundError):
        messages.connect(str(folder / "nosuch.sock"))
