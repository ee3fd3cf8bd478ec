"""Whether containers reach the outside: other firewalls, and a test with one packet."""

from collections.abc import Iterator

from labkit.doctor.finding import LIMITED, OK, UNKNOWN, Finding, Situation
from labkit.errors import LabkitError

UNTRIED = "-"
"""The beginning of a result whose trial could not be made here."""


def check_forwarding(situation: Situation) -> Iterator[Finding]:
    """Every chain of another firewall that drops packets by default, and a test with a packet."""
    if not situation.is_root:
        yield Finding("other firewalls", UNKNOWN, "not checked: that needs root")
        return
    # The doctor runs before an installation too, so it needs only the standard library.
    from labkit.networks.passage import obstacles  # noqa: PLC0415

    try:
        found = obstacles()
    except LabkitError as error:
        yield Finding("other firewalls", UNKNOWN, f"could not be checked: {error}")
        return
    # The test's packet is one of IPv4, which every network has.
    blocking = [one.where for one in found if not one.has_way and 4 in one.versions]
    for one in found:
        if one.has_way:
            yield Finding("other firewalls", OK, f"{one.where} drops, and lets labkit through")
    result = situation.trials.get("outward", f"{UNTRIED}{situation.untried}")
    if result.startswith(UNTRIED):
        yield from _not_tried(blocking, result.removeprefix(UNTRIED))
    elif not result:
        yield Finding("packets of containers", OK, "leave this machine: one was tried")
    else:
        where = " and ".join(blocking) or "no chain of nft or iptables that labkit can read"
        yield Finding(
            "packets of containers",
            LIMITED,
            f"do not leave this machine ({result}): {where} drops them",
            "let the links of labkit's networks through there, or end that firewall",
        )


def _not_tried(blocking: list[str], why: str) -> Iterator[Finding]:
    for where in blocking:
        detail = f"{where} drops; labkit asks to be let through when a container needs a network"
        yield Finding("other firewalls", OK, detail)
    yield Finding("packets of containers", UNKNOWN, f"not tried: {why}")
