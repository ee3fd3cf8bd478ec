"""The device filter: a program of a few instructions, run here by an interpreter of those few."""

from struct import unpack_from

import pytest

from labkit.cgroups import devices
from labkit.errors import InvalidParameterError
from labkit.kernel import bpf

MKNOD, READ, WRITE = 1, 2, 4
BLOCK, CHARACTER = 1, 2


def answer(program: bytes, kind: int, access: int, major: int, minor: int) -> int:
    """What the kernel would make of the program for one use of a device."""
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers = [0] * 11
    at = 0
    while True:
        code, pair, offset, number = unpack_from("<BBhi", program, at * bpf.INSTRUCTION_SIZE)
        destination, source = pair & 0xF, pair >> 4
        at += 1
        match code:
            case bpf.LOAD_WORD:
                assert source == bpf.CONTEXT
                registers[destination] = context[offset]
            case bpf.MOVE:
                registers[destination] = registers[source]
            case bpf.MOVE_NUMBER:
                registers[destination] = number
            case bpf.AND_NUMBER:
                registers[destination] &= number
            case bpf.SHIFT_RIGHT_NUMBER:
                registers[destination] >>= number
            case bpf.JUMP_NOT_EQUAL:
                at += offset if registers[destination] != number else 0
            case bpf.EXIT:
                return registers[0]
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


DEFAULT = bpf.device_program(devices.rules(()))


@pytest.mark.parametrize(
    ("device", "allowed"),
    [
        ((CHARACTER, READ, 1, 3), 1),
        ((CHARACTER, READ | WRITE, 1, 3), 1),
        ((CHARACTER, WRITE, 136, 77), 1),
        ((CHARACTER, MKNOD, 99, 99), 1),
        ((BLOCK, MKNOD, 254, 0), 1),
        ((BLOCK, READ, 254, 0), 0),
        ((BLOCK, READ, 1, 3), 0),
        ((BLOCK, MKNOD | READ, 254, 0), 0),
        ((CHARACTER, READ, 1, 1), 0),
        ((CHARACTER, READ, 10, 229), 0),
        ((CHARACTER, WRITE, 1, 2), 0),
    ],
)
def test_the_default_list(device: tuple[int, int, int, int], allowed: int) -> None:
    assert answer(DEFAULT, *device) == allowed


def test_a_rule_allows_its_letters_alone() -> None:
    program = bpf.device_program(["b 7:* r"])
    assert answer(program, BLOCK, READ, 7, 3) == 1
    assert answer(program, BLOCK, WRITE, 7, 3) == 0
    assert answer(program, BLOCK, READ | WRITE, 7, 3) == 0
    assert answer(program, CHARACTER, READ, 7, 3) == 0
    assert answer(program, BLOCK, READ, 8, 3) == 0


def test_two_rules_for_the_same_numbers_add_up() -> None:
    program = bpf.device_program(["b 7:0 r", "b 7:0 w"])
    assert answer(program, BLOCK, READ | WRITE, 7, 0) == 1


def test_everything_and_nothing() -> None:
    assert answer(bpf.device_program([devices.EVERYTHING]), BLOCK, 7, 254, 0) == 1
    assert answer(bpf.device_program([]), CHARACTER, READ, 1, 3) == 0


def test_a_rule_for_both_kinds_is_written_out_for_each() -> None:
    """v1 takes a line that begins with `a` for everything, whatever follows."""
    assert devices.rules(["a 7:* r"])[-2:] == ("b 7:* r", "c 7:* r")
    assert devices.rules([devices.EVERYTHING])[-1] == devices.EVERYTHING


@pytest.mark.parametrize("rule", ["a *:* rwm", "c 1:3 r", "b 8:* rw", "c *:* m"])
def test_rules_that_are(rule: str) -> None:
    devices.check(rule)


@pytest.mark.parametrize(
    "rule",
    ["", "c 1:3", "d 1:3 r", "c 1 r", "c 1:3 x", "c 1:3 rwmr", "c -1:3 r", "c 9999999999:1 r", " "],
)
def test_rules_that_are_none(rule: str) -> None:
    with pytest.raises(InvalidParameterError, match="device cgroup rule"):
        devices.check(rule)
