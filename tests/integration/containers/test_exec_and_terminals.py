"""exec, terminals, pause and restart policies of real containers."""

import os
import signal
import socket
import time

import pytest

from labkit.containers.inside.execs import ExecConfig
from labkit.containers.records.model import RestartPolicy
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError, StartError
from tests.containers import create, execute, read_all, wait_until

pytestmark = pytest.mark.root


def started(engine, *command, **options):
    container_id = create(engine, *(command or ("sleep", "60")), **options)
    engine.start(container_id)
    return container_id


def read_until(connection, wanted):
    connection.settimeout(20)
    data = b""
    while wanted not in data:
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


# exec


def test_exec_sees_what_the_container_sees(engine):
    container_id = started(engine, "sh", "-c", "echo mine > /tmp/x; exec sleep 60", env=["A=1"])
    links = "for n in /proc/self/ns/*; do readlink $n; done"
    script = f"{links}; cat /tmp/x; hostname; echo $A $HOME; cat /proc/1/comm"
    output, code = execute(engine, container_id, "sh", "-c", script)
    assert code == 0
    lines = output.split()
    pid = engine.get(container_id).state.pid
    kinds = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
    expected = {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds}
    assert expected <= set(lines)
    assert lines[-5:] == ["mine", container_id[:12], "1", "/root", "sleep"]


def test_exec_has_the_container_s_limits_and_no_more_power(engine):
    container_id = started(engine)
    script = "grep -E 'CapEff|CapBnd|Seccomp:' /proc/self/status"
    output, _ = execute(engine, container_id, "sh", "-c", script)
    mask = "00000000a80425fb"
    assert output.split() == ["CapEff:", mask, "CapBnd:", mask, "Seccomp:", "2"]
    config = ExecConfig(cmd=["sleep", "60"])
    made = engine.execs.create(container_id, config)
    engine.execs.start(made.id, None, b"")
    assert engine.layout.usage(container_id).pids == 2
    assert engine.execs.of(engine.parts.lookup.find(container_id)) == [made.id]


def test_exec_privileged_user_folder_and_environment(engine):
    container_id = started(engine, env=["A=1", "B=2"])
    output, _ = execute(
        engine, container_id, "grep", "CapEff", "/proc/self/status", privileged=True
    )
    assert int(output.split()[1], 16) > 0xA80425FB
    script = "echo $(id -u) $(pwd) $A $B"
    options = {"user": "daemon", "working_dir": "/etc", "env": ["B=3"]}
    output, _ = execute(engine, container_id, "sh", "-c", script, **options)
    assert output.split() == ["1", "/etc", "1", "3"]


def test_exec_exit_codes_and_failures(engine):
    container_id = started(engine)
    assert execute(engine, container_id, "sh", "-c", "exit 9")[1] == 9
    assert execute(engine, container_id, "sh", "-c", "kill -9 $$")[1] == 137
    for command, code in ((["nosuch"], 127), (["/etc/passwd"], 126)):
        made = engine.execs.create(container_id, ExecConfig(cmd=command))
        with pytest.raises(StartError) as caught:
            engine.execs.start(made.id, None, b"")
        assert (caught.value.exit_code, made.exit_code) == (code, code)
    with pytest.raises(InvalidParameterError, match="No exec command"):
        engine.execs.create(container_id, ExecConfig())
    with pytest.raises(ConflictError, match="already run"):
        engine.execs.start(made.id, None, b"")
    with pytest.raises(NotFoundError, match="No such exec instance"):
        engine.execs.get("nosuch")


def test_exec_stdin_and_the_container_goes_on(engine):
    container_id = started(engine)
    assert execute(engine, container_id, "cat", stdin=b"in and out") == ("in and out", 0)
    assert engine.get(container_id).state.status == "running"


def test_exec_ends_with_its_container(engine):
    container_id = started(engine)
    made = engine.execs.create(container_id, ExecConfig(cmd=["sleep", "60"], attach_stdout=True))
    ours, theirs = socket.socketpair()
    engine.execs.start(made.id, theirs.fileno(), b"")
    theirs.close()
    engine.kill(container_id)
    assert read_all(ours) == b""
    engine.wait(container_id, timeout_s=30)
    with made.changed:
        assert made.changed.wait_for(lambda: made.exit_code is not None, 10)
    assert made.exit_code == 137


def test_exec_needs_a_running_container(engine):
    container_id = create(engine, "true")
    with pytest.raises(ConflictError, match="is not running"):
        engine.execs.create(container_id, ExecConfig(cmd=["true"]))


def test_no_descriptor_of_the_engine_is_open_in_an_exec(engine):
    container_id = started(engine)
    output, _ = execute(engine, container_id, "ls", "-l", "/proc/self/fd")
    open_files = [line.split(" -> ")[1] for line in output.splitlines() if " -> " in line]
    # ls itself has the folder open that it reads.
    others = [name for name in open_files if not name.startswith("/proc/")]
    assert [name.split(":")[0] for name in others] == ["/dev/null", "pipe", "pipe"]


# Terminals


def test_a_terminal_of_its_own(engine):
    container_id = create(
        engine, "sh", tty=True, open_stdin=True, stdin_once=True, console_size=(33, 99)
    )
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    ours.sendall(b"tty; stty size; ls -l /dev/console; echo $TERM\n")
    output = read_until(ours, b"xterm\r\n").decode()
    assert "/dev/pts/0\r\n33 99\r\n" in output
    engine.resize(container_id, 40, 120)
    ours.sendall(b"stty size; exit 3\n")
    output = read_until(ours, b"40 120").decode()
    read_all(ours)
    assert engine.wait(container_id, timeout_s=30).exit_code == 3


def test_ctrl_c_reaches_the_foreground_process(engine):
    container_id = create(engine, "sh", tty=True, open_stdin=True)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    read_until(ours, b"# ")
    ours.sendall(b"awk '{ print \"answer:\" $0 }'\n")
    read_until(ours, b"\r\n")
    ours.sendall(b"hello\n")
    read_until(ours, b"answer:hello\r\n")  # it is in the foreground
    ours.sendall(b"\x03")
    read_until(ours, b"# ")
    ours.sendall(b"echo code $?\n")
    read_until(ours, b"code 130")
    engine.kill(container_id)


def test_detach_keys_leave_it_running(engine):
    container_id = create(engine, "cat", tty=True, open_stdin=True)
    ours, theirs = socket.socketpair()
    keys = b"\x10\x11"
    engine.attach(
        container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True, detach_keys=keys
    )
    theirs.close()
    engine.start(container_id)
    ours.sendall(b"hello\n")
    read_until(ours, b"hello")
    ours.sendall(keys[:1])
    ours.sendall(keys[1:])
    read_all(ours)
    assert engine.get(container_id).state.status == "running"


def test_exec_with_a_terminal(engine):
    container_id = started(engine)
    output, code = execute(
        engine, container_id, "sh", "-c", "tty; stty size", tty=True, console_size=(10, 20)
    )
    assert (output, code) == ("/dev/pts/0\r\n10 20\r\n", 0)


# Pause


def test_pause_takes_the_cpu_away_and_unpause_gives_it_back(engine):
    container_id = started(engine, "sh", "-c", "while :; do :; done")
    time.sleep(0.2)
    engine.pause(container_id)
    assert engine.get(container_id).state.status == "paused"
    before = engine.layout.usage(container_id).cpu_ns
    time.sleep(0.3)
    assert engine.layout.usage(container_id).cpu_ns == before
    with pytest.raises(ConflictError, match="already paused"):
        engine.pause(container_id)
    with pytest.raises(ConflictError, match="paused"):
        engine.execs.create(container_id, ExecConfig(cmd=["true"]))
    engine.unpause(container_id)
    wait_until(lambda: engine.layout.usage(container_id).cpu_ns > before)
    with pytest.raises(ConflictError, match="is not paused"):
        engine.unpause(container_id)


def test_a_paused_container_can_be_stopped_and_removed(engine):
    stopped, removed = started(engine), started(engine)
    for container_id in (stopped, removed):
        engine.pause(container_id)
    engine.stop(stopped, timeout_s=0)
    assert engine.get(stopped).state.status == "exited"
    engine.remove(removed, force=True)


def test_killing_what_is_paused_does_not_stumble_over_its_end(engine):
    """Thawed, it dies at once, and its group may go while the engine still looks at it."""
    container_id = create(engine, "sleep", "60")
    for _ in range(20):
        engine.start(container_id)
        engine.pause(container_id)
        engine.kill(container_id)
        assert engine.wait(container_id, timeout_s=20).exit_code == 137


def test_a_paused_container_is_paused_after_the_daemon(open_engine):
    engine = open_engine()
    container_id = started(engine)
    engine.pause(container_id)
    engine.close()
    engine = open_engine()
    assert engine.get(container_id).state.status == "paused"
    engine.unpause(container_id)
    assert engine.get(container_id).state.status == "running"


# Restart policies


def policy(name, most=0):
    return RestartPolicy(name=name, maximum_retry_count=most)


def test_on_failure_restarts_so_often_and_no_more(engine):
    container_id = started(
        engine, "sh", "-c", "echo run; exit 3", restart_policy=policy("on-failure", 2)
    )
    wait_until(lambda: engine.get(container_id).state.status == "exited")
    container = engine.get(container_id)
    assert (container.restart_count, container.state.exit_code) == (2, 3)
    assert len(list(engine.logs(container_id))) == 3


def test_on_failure_leaves_a_success_alone(engine):
    container_id = started(engine, "true", restart_policy=policy("on-failure"))
    wait_until(lambda: engine.get(container_id).state.status == "exited")
    assert engine.get(container_id).restart_count == 0


def test_always_restarts_until_its_user_stops_it(engine):
    container_id = started(engine, "sh", "-c", "echo run", restart_policy=policy("always"))
    wait_until(lambda: engine.get(container_id).restart_count >= 2)
    engine.stop(container_id, timeout_s=0)
    count = engine.get(container_id).restart_count
    time.sleep(1.5)
    assert engine.get(container_id).restart_count == count
    assert engine.get(container_id).state.status == "exited"


def test_killed_from_outside_it_is_restarted_killed_by_its_user_it_is_not(engine):
    container_id = started(engine, restart_policy=policy("always"))
    first = engine.get(container_id).state.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: engine.get(container_id).state.pid not in (0, first))
    engine.kill(container_id)
    engine.wait(container_id, timeout_s=20)
    time.sleep(0.5)
    assert engine.get(container_id).state.status == "exited"


def test_always_and_unless_stopped_after_the_daemon(open_engine):
    engine = open_engine()
    always = started(engine, restart_policy=policy("always"))
    stopped = started(engine, restart_policy=policy("unless-stopped"))
    for container_id in (always, stopped):
        engine.stop(container_id, timeout_s=0)
    engine.close()
    engine = open_engine()
    assert engine.get(always).state.status == "running"
    assert engine.get(stopped).state.status == "exited"


def test_policies_docker_refuses(engine):
    for wrong in (policy("nosuch"), policy("always", 3), policy("on-failure", -1)):
        with pytest.raises(InvalidParameterError, match="invalid restart policy"):
            create(engine, "true", restart_policy=wrong)
    with pytest.raises(InvalidParameterError, match="AutoRemove"):
        create(engine, "true", restart_policy=policy("always"), auto_remove=True)


# Names and restarts by hand


def test_rename_and_restart(engine):
    container_id = started(engine, "sh", "-c", "echo run; exec sleep 60", name="first")
    engine.rename("first", "second")
    with pytest.raises(NotFoundError):
        engine.get("first")
    create(engine, "true", name="first")
    with pytest.raises(ConflictError, match="already in use"):
        engine.rename("second", "first")
    before = engine.get("second").state.pid
    engine.restart("second", timeout_s=0)
    assert engine.get(container_id).state.pid != before


def test_events_of_a_life(engine):
    listening = engine.events.listen(silence_s=0.2)
    container_id = started(engine, "sh", "-c", "exit 4", name="told")
    engine.wait(container_id, timeout_s=20)
    engine.remove(container_id)
    events = []
    for event in listening:
        if event is None:
            break
        if event.kind == "container":
            events.append(event)
    listening.close()
    assert [event.action for event in events] == ["create", "start", "die", "destroy"]
    assert events[2].attributes["exitCode"] == "4"
    assert {event.attributes["name"] for event in events} == {"told"}
