"""The checks of a Dockerfile: which rule each text breaks, where, and in whose words."""

import json

import pytest

from labkit.build.context.contexts import Source
from labkit.build.dockerfile.checks import RULES, Base, Subject, Warned, check
from labkit.build.dockerfile.parser import parse
from labkit.buildkit import linting
from labkit.patterns import Patterns

BASE = Base(frozenset({"FROM_BASE"}), "linux/amd64")


def checked(text: str, *skipped: str, experimental: bool = False) -> list[Warned]:
    subject = Subject(
        parse(text.encode()),
        text.split("\n"),
        {"TARGETPLATFORM": "linux/amd64", "TARGETARCH": "amd64", "BUILDPLATFORM": "linux/amd64"},
        Patterns(["ignored", "logs/*"]),
        {
            "busybox": BASE,
            "scratch": Base(frozenset(), ""),
            "arm": BASE._replace(platform="linux/arm64"),
        }.get,
        "linux/amd64",
    )
    return check(subject, skipped, experimental=experimental)


BROKEN = {
    "FROM busybox AS One": [("StageNameCasing", 1, "Stage name 'One' should be lowercase")],
    "FROM busybox AS one\nFROM busybox AS one": [
        ("DuplicateStageName", 2, 'Duplicate stage name "one", stage names should be unique')
    ],
    "FROM busybox as one": [("FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match")],
    "from busybox AS one": [("FromAsCasing", 1, "'AS' and 'from' keywords' casing do not match")],
    "FROM busybox\nRUN a \\\n\n  b": [("NoEmptyContinuation", 2, "Empty continuation line")],
    "FROM busybox\nrun a\nRUN b": [
        (
            "ConsistentInstructionCasing",
            2,
            "Command 'run' should match the case of the command majority (uppercase)",
        )
    ],
    "from busybox\nrun a\nRUN b": [
        (
            "ConsistentInstructionCasing",
            3,
            "Command 'RUN' should match the case of the command majority (lowercase)",
        )
    ],
    "FROM busybox AS context": [
        (
            "ReservedStageName",
            1,
            'Stage name should not use the same name as reserved stage "context"',
        )
    ],
    "FROM busybox\nCMD a b": [
        (
            "JSONArgsRecommended",
            2,
            "JSON arguments recommended for CMD to prevent unintended behavior related to OS "
            "signals",
        )
    ],
    "FROM busybox\nMAINTAINER a": [
        (
            "MaintainerDeprecated",
            2,
            "Maintainer instruction is deprecated in favor of using label",
        )
    ],
    "ARG A=busybox\nFROM ${A}$B": [("UndefinedArgInFrom", 2, "FROM argument 'B' is not declared")],
    "FROM busybox\nWORKDIR a": [
        (
            "WorkdirRelativePath",
            2,
            'Relative workdir "a" can have unexpected results if the base image changes',
        )
    ],
    "FROM busybox\nCOPY $A /x": [("UndefinedVar", 2, "Usage of undefined variable '$A'")],
    'FROM busybox\nCMD ["a"]\nCMD ["b"]': [
        (
            "MultipleInstructionsDisallowed",
            2,
            "Multiple CMD instructions should not be used in the same stage because only the last "
            "one will be used",
        )
    ],
    "FROM busybox\nENV A b": [
        (
            "LegacyKeyValueFormat",
            2,
            '"ENV key=value" should be used instead of legacy "ENV key value" format',
        )
    ],
    "FROM --platform=$TARGETPLATFORM busybox": [
        (
            "RedundantTargetPlatform",
            1,
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
            "default behavior",
        )
    ],
    "FROM busybox\nARG DB_PASSWORD": [
        (
            "SecretsUsedInArgOrEnv",
            2,
            'Do not use ARG or ENV instructions for sensitive data (ARG "DB_PASSWORD")',
        )
    ],
    "ARG T\nFROM busybox:$T": [
        (
            "InvalidDefaultArgInFrom",
            2,
            "Default value for ARG busybox:$T results in empty or invalid base image name",
        )
    ],
    "FROM --platform=linux/amd64 busybox": [
        (
            "FromPlatformFlagConstDisallowed",
            1,
            'FROM --platform flag should not use constant value "linux/amd64"',
        )
    ],
    "FROM arm": [
        (
            "InvalidBaseImagePlatform",
            1,
            'Base image arm was pulled with platform "linux/arm64", expected "linux/amd64" for '
            "current build",
        )
    ],
    "FROM busybox\nADD logs/a ignored /x/": [
        (
            "CopyIgnoredFile",
            2,
            'Attempting to Add file "logs/a" that is excluded by .dockerignore',
        ),
        (
            "CopyIgnoredFile",
            2,
            'Attempting to Add file "ignored" that is excluded by .dockerignore',
        ),
    ],
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.items())
def test_a_rule_is_broken(text: str, expected: list[tuple[str, int, str]]) -> None:
    found = [(each.rule, each.fault.first, each.fault.message) for each in checked(text)]
    assert found == expected
    names = {rule for rule, _, _ in expected}
    assert checked(text, *(name.lower() for name in names)) == checked(text, "all") == []


def test_every_rule_has_a_text_that_breaks_it() -> None:
    broken = {rule for faults in BROKEN.values() for rule, _, _ in faults}
    assert broken == {name for name, rule in RULES.items() if not rule.is_experimental}


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\nFROM busybox AS one\nRUN a \\\n  # comment\n  b\n",
        "from busybox as one\nrun a\n",
        'FROM busybox\nSHELL ["sh"]\nCMD a b\n',
        "FROM busybox\nWORKDIR /a\nWORKDIR b\n",
        "FROM busybox AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n",
        "FROM busybox\nARG A\nENV B=$A C=$FROM_BASE D=$PATH E=${F:-x} G='$H' I=\\$J\n",
        "FROM unknown\nENV B=$A\n",
        "FROM busybox\nRUN echo $A\n",
        "FROM busybox\nENV PUBLIC_KEY=a MONKEY=b\n",
        "ARG T=1\nFROM busybox:$T\n",
        "ARG T\nFROM busybox:${T:-1}\n",
        "FROM --platform=$BUILDPLATFORM busybox\n",
        "FROM --platform=linux/amd64 busybox AS build-amd64\n",
        "FROM busybox\nCOPY --from=0 ignored /x\nCOPY <<EOF /y\n\nEOF\n",
        "FROM busybox\nRUN <<EOF\na\n\nb\nEOF\n",
        'FROM busybox AS a\nCMD ["a"]\nFROM busybox\nCMD ["a"]\n',
    ],
)
def test_no_rule_is_broken(text: str) -> None:
    assert checked(text) == []


def test_descriptions_are_checked_if_asked_for() -> None:
    text = "# other words\nARG A\n# one is for tests\nFROM busybox AS one\n"
    assert checked(text) == []
    (found,) = checked(text, experimental=True)
    assert (found.rule, found.fault.first) == ("InvalidDefinitionDescription", 2)


def test_the_answer_to_check_has_the_lines() -> None:
    text = "FROM busybox as one\n"
    source = Source(text.encode(), "Dockerfile")
    answer = linting.answer(source, checked(text))
    (warning,) = json.loads(answer["result.json"])["warnings"]
    assert warning["url"] == "https://docs.docker.com/go/dockerfile/rule/from-as-casing/"
    assert warning["location"]["ranges"] == [{"start": {"line": 1}, "end": {"line": 1}}]
    assert b"1 | >>> FROM busybox as one" in answer["result.txt"]
    assert answer["result.statuscode"] == b"1"
    assert linting.answer(source, [])["result.statuscode"] == b"0"
