"""What tests of containers do again and again, through an engine in their own process."""

import struct

from labkit.containers import ContainerConfig, HostConfig


def create(engine, *command, name="", without=(), **options):
    fields = {
        key: options.pop(key) for key in list(options) if key in ContainerConfig.__annotations__
    }
    config = ContainerConfig(image="busybox", cmd=list(command) or None, **fields)
    container, _ = engine.create(config, HostConfig(**options), name=name, without=without)
    return container.id


def run(engine, *command, **options):
    """Run to the end; the output and the exit code."""
    container_id = create(engine, *command, **options)
    engine.start(container_id)
    state = engine.wait(container_id, timeout_s=60)
    output = b"".join(line.text for line in engine.logs(container_id)).decode()
    return output, state.exit_code


def shell(engine, script, **options):
    return run(engine, "sh", "-c", script, **options)


def read_frames(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    frames = []
    while data:
        number, length = struct.unpack(">BxxxL", data[:8])
        frames.append((number, data[8 : 8 + length]))
        data = data[8 + length :]
    return frames
