"""The devices that a cgroup v2 may use: not a file, but a small eBPF program on the group.

The kernel calls the program for every mknod(2) and open(2) of a device by a process of the group
and of those below it, with a `struct bpf_cgroup_dev_ctx` (linux/bpf.h): one word that holds the
kind of device and the requested access, then the major and the minor number.  The program returns
1 to allow it, and 0 for EPERM.  See Documentation/admin-guide/cgroup-v2.rst, "Device controller",
and bpf(2).

The rules have the format of cgroup v1's `devices.allow`: `c 1:3 rwm`, `c 136:* rwm`.
"""

import os
from collections.abc import Iterable
from ctypes import (
    Structure,
    addressof,
    byref,
    c_uint,
    c_uint32,
    c_uint64,
    create_string_buffer,
    sizeof,
)
from struct import pack

from labkit.kernel import libc

BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2
"""The kernel also runs the programs of the groups above this one, and all must allow."""
INSTRUCTION_SIZE = 8

KINDS = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}
ALL_ACCESS = 7

# Operation codes: a class, a size or an operation, and the operand's place (linux/bpf_common.h).
LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W: destination = *(u32 *)(source + offset)
MOVE = 0xBF  # BPF_ALU64 | BPF_MOV | BPF_X
MOVE_NUMBER = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
AND_NUMBER = 0x57  # BPF_ALU64 | BPF_AND | BPF_K
SHIFT_RIGHT_NUMBER = 0x77  # BPF_ALU64 | BPF_RSH | BPF_K
JUMP_NOT_EQUAL = 0x55  # BPF_JMP | BPF_JNE | BPF_K: unless equal skip `offset` instructions
EXIT = 0x95  # BPF_JMP | BPF_EXIT: return register 0

# Registers: 0 holds the answer, 1 first the context; the prologue fills the others as named.
ANSWER, CONTEXT, KIND, WANTED, MAJOR, MINOR = range(6)


class _Load(Structure):
    """The part of `union bpf_attr` that BPF_PROG_LOAD needs."""

    _fields_ = (
        ("prog_type", c_uint32),
        ("insn_cnt", c_uint32),
        ("insns", c_uint64),
        ("license", c_uint64),
    )


class _Attach(Structure):
    """The part of `union bpf_attr` for BPF_PROG_ATTACH."""

    _fields_ = (
        ("target_fd", c_uint32),
        ("attach_bpf_fd", c_uint32),
        ("attach_type", c_uint32),
        ("attach_flags", c_uint32),
    )


def device_program(rules: Iterable[str]) -> bytes:
    """Return the program that allows what any one of the rules allows, and nothing else."""
    access: dict[tuple[str, str], int] = {}
    for rule in rules:
        kind, numbers, letters = rule.split()
        bits = sum(ACCESS[letter] for letter in set(letters))
        # As in v1: several rules for the same numbers are one rule.
        access[kind, numbers] = access.get((kind, numbers), 0) | bits
    if access.get(("a", "*:*")) == ALL_ACCESS:
        # This must be the end: the kernel refuses a program with unreachable instructions.
        return _instruction(MOVE_NUMBER, ANSWER, number=1) + _instruction(EXIT)
    program = [
        _instruction(LOAD_WORD, KIND, CONTEXT, offset=0),
        _instruction(MOVE, WANTED, KIND),
        _instruction(AND_NUMBER, KIND, number=0xFFFF),
        _instruction(SHIFT_RIGHT_NUMBER, WANTED, number=16),
        _instruction(LOAD_WORD, MAJOR, CONTEXT, offset=4),
        _instruction(LOAD_WORD, MINOR, CONTEXT, offset=8),
    ]
    for (kind, numbers), allowed in access.items():
        program += _allow(kind, numbers, allowed)
    program += [_instruction(MOVE_NUMBER, ANSWER, number=0), _instruction(EXIT)]
    return b"".join(program)


def _allow(kind: str, numbers: str, allowed: int) -> list[bytes]:
    """Answer 1 if the rule has this device and allows the access; else continue after it."""
    major, _, minor = numbers.partition(":")
    tests = [] if kind == "a" else [(KIND, KINDS[kind])]
    tests += [(register, int(n)) for register, n in ((MAJOR, major), (MINOR, minor)) if n != "*"]
    program = []
    if refused := ALL_ACCESS & ~allowed:
        program += [
            _instruction(MOVE, ANSWER, WANTED),
            _instruction(AND_NUMBER, ANSWER, number=refused),
        ]
        tests.append((ANSWER, 0))
    for index, (register, number) in enumerate(tests):
        # A test that fails skips the tests after it and the two instructions that allow.
        skipped = len(tests) - index - 1 + 2
        program.append(_instruction(JUMP_NOT_EQUAL, register, offset=skipped, number=number))
    return [*program, _instruction(MOVE_NUMBER, ANSWER, number=1), _instruction(EXIT)]


def _instruction(
    code: int, destination: int = 0, source: int = 0, *, offset: int = 0, number: int = 0
) -> bytes:
    """One `struct bpf_insn`."""
    return pack("<BBhi", code, source << 4 | destination, offset, number)


def attach_device_program(directory: str, program: bytes) -> None:
    """Attach the program to a v2 group, which keeps it until its end; OSError as from bpf(2)."""
    code = create_string_buffer(program, len(program))
    # The kernel requires a program's licence; this program uses none of its helpers.
    licence = create_string_buffer(b"Apache-2.0")
    load = _Load(
        BPF_PROG_TYPE_CGROUP_DEVICE,
        len(program) // INSTRUCTION_SIZE,
        addressof(code),
        addressof(licence),
    )
    program_fd = _bpf(BPF_PROG_LOAD, load, directory)
    try:
        group_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            place = _Attach(group_fd, program_fd, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI)
            _bpf(BPF_PROG_ATTACH, place, directory)
        finally:
            os.close(group_fd)
    finally:
        os.close(program_fd)


def _bpf(command: int, attributes: Structure, directory: str) -> int:
    size = c_uint(sizeof(attributes))
    return libc.syscall(
        "bpf", libc.SYS_BPF, c_uint(command), byref(attributes), size, path=directory
    )
