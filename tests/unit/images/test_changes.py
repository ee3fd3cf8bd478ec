"""`import --change`: the instructions of a Dockerfile that change a configuration."""

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import changes
from labkit.images import shell_words as words
from labkit.images.models import Healthcheck, RuntimeConfig


def after(*instructions: str) -> RuntimeConfig:
    config = RuntimeConfig()
    changes.apply(instructions, config)
    return config


def test_commands_have_an_exec_form_and_a_shell_form() -> None:
    assert after('CMD ["sh", "-l"]').cmd == ["sh", "-l"]
    assert after("CMD echo 'hi  there'").cmd == ["/bin/sh", "-c", "echo 'hi  there'"]
    assert after("ENTRYPOINT [broken").entrypoint == ["/bin/sh", "-c", "[broken"]
    assert after("CMD []").cmd == []


def test_the_last_command_counts() -> None:
    assert after('CMD ["a"]', 'cmd ["b"]').cmd == ["b"]


def test_environment_is_put_in_and_replaced() -> None:
    assert after('ENV A=b C="d e" F=g\\ h').env == ["A=b", "C=d e", "F=g h"]
    assert after("ENV A the rest of it").env == ["A=the rest of it"]
    assert after("ENV A=1", "ENV B=$A-${A} A=2").env == ["A=2", "B=1-1"]


def test_the_rest() -> None:
    config = after(
        "WORKDIR /a",
        "WORKDIR b/../c",
        "USER 1000:1000",
        "EXPOSE 80 53/UDP 8000-8002",
        'VOLUME ["/data", "/log s"]',
        "VOLUME /more",
        'LABEL a=1 "b c"="d"',
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN  a",
        "ONBUILD COPY . /",
    )
    assert config.working_dir == "/a/c"
    assert config.user == "1000:1000"
    assert list(config.exposed_ports or {}) == [
        *("80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp")
    ]
    assert list(config.volumes or {}) == ["/data", "/log s", "/more"]
    assert config.labels == {"a": "1", "b c": "d"}
    assert config.stop_signal == "SIGINT"
    assert config.on_build == ["RUN  a", "COPY . /"]


def test_healthchecks() -> None:
    judged = after("HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f http://x || exit 1")
    assert judged.healthcheck == Healthcheck(
        test=["CMD-SHELL", "curl -f http://x || exit 1"], interval=90 * 10**9, retries=2
    )
    judged = after('HEALTHCHECK cmd ["/check", "--deep"]')
    assert judged.healthcheck == Healthcheck(test=["CMD", "/check", "--deep"])
    assert after("HEALTHCHECK NONE").healthcheck == Healthcheck(test=["NONE"])


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("FROM x", "FROM is not a valid change command"),
        ("RUN true", "RUN is not a valid change command"),
        ("", "is not a valid change command"),
        ("CMD", "CMD requires at least one argument"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ENV A", "ENV A: ENV must have two arguments"),
        ("ENV A=b c", 'can\'t find = in "c"'),
        ("ENV =x", "ENV names can not be blank"),
        ("EXPOSE here:80:80", "invalid containerPort: here:80:80"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("EXPOSE 80/icmp", "invalid proto: icmp"),
        ("EXPOSE 9-8", "invalid containerPort"),
        ('LABEL a="b', "a quote is not closed"),
        ("USER ${A", "closing brace"),
        ("HEALTHCHECK curl x", 'Unknown type "curl" in HEALTHCHECK'),
        ("HEALTHCHECK --every=1s CMD true", "unknown flag: --every; known are interval"),
        ("HEALTHCHECK --interval CMD true", "missing a value on flag: --interval"),
        ("HEALTHCHECK --interval=soon CMD true", 'invalid duration "soon" for --interval'),
        ("HEALTHCHECK --retries=1 NONE", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("STOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE"),
    ],
)
def test_a_bad_instruction_is_named(instruction: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        after(instruction)


def test_words_as_a_dockerfile_has_them() -> None:
    assert after("ENV\tA=1\tB='2 3'").env == ["A=1", "B=2 3"]
    assert after('LABEL "a b"=c').labels == {"a b": "c"}
    assert after("STOPSIGNAL SIGRTMIN+3").stop_signal == "SIGRTMIN+3"
    assert after("HEALTHCHECK CMD\ttrue").healthcheck == Healthcheck(test=["CMD-SHELL", "true"])
    exposed = after("EXPOSE 0 100:81 127.0.0.1:80:8080/udp [::1]:1:7").exposed_ports
    assert list(exposed or {}) == ["0/tcp", "81/tcp", "8080/udp", "7/tcp"]


def test_pairs() -> None:
    assert words.pairs("ENV", "a=1 b='2 3' c=\"4 5\" d=6\\ 7") == [
        ("a", "1"),
        ("b", "'2 3'"),
        ("c", '"4 5"'),
        ("d", "6\\ 7"),
    ]
    assert words.pairs("ENV", "a the rest = all") == [("a", "the rest = all")]


def test_words() -> None:
    expander = words.Expander({"HOME": "/root", "N": "x y"})
    assert expander.split("a  'b $HOME' \"c $HOME\" $N d\\'e") == [
        *("a", "b $HOME", "c /root", "x y", "d'e")
    ]
    assert expander.split(r'"\$HOME \" \\ \n" \$HOME') == [r'$HOME " \ \n', "$HOME"]
    assert expander.split("$UNSET''x") == ["x"]
    assert expander.expand(" some words $HOME ") == "some words /root"
