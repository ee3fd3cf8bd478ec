"""Saying all cases to one engine, several at a time, and leaving nothing of them there."""

import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import quote

from tests import host_power, leaks
from tests.lab import ask
from tests.matrix.answers import lines
from tests.matrix.cases import Case, Step
from tests.matrix.images import REPOSITORY, Images, running_images
from tests.matrix.speakers import Speaker

AT_A_TIME = 3
UNTIL_S = 15.0
UNORDERED = ("diff",)
"""What dockerd lists in another order each time."""
HEAD_START_S = 1.0
"""What a command in the background gets before the next is said."""

Answers = dict[str, list[str] | None]
"""By `case: line`: what came back; None where the speaker has no words for the command."""


def hold(speaker: Speaker, cases: Iterable[Case]) -> Answers:
    """Say every case; the answers, in the cases' order."""
    answers: Answers = {}
    with running_images() as images, ThreadPoolExecutor(AT_A_TIME) as pool:
        for each in pool.map(lambda case: _one(speaker, images, case), cases):
            answers |= each
    return answers


def _one(speaker: Speaker, images: Images, case: Case) -> Answers:
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as folder:
        host_power.let_in(folder)
        os.mkdir(f"{folder}/folder")
        for name in ("file", "folder/inner"):
            with open(f"{folder}/{name}", "w") as file:
                file.write("text\n")
        signs: Mapping[str, str] = {"@": case.tag, "%": folder}
        if any(REPOSITORY in step.line for step in case.steps):
            signs = {**images.signs(case.tag), **signs}
        try:
            return _steps(speaker, case, signs)
        finally:
            _clear(speaker.socket, case.tag)


def _steps(speaker: Speaker, case: Case, signs: Mapping[str, str]) -> Answers:
    answers: Answers = {}
    later: dict[str, Future[list[str] | None]] = {}
    with ThreadPoolExecutor() as background:

        def answer(step: Step) -> list[str] | None:
            came = speaker.say(step.spoken(signs), step.text_in)
            if came is None:
                return None
            found = lines(came, signs)
            return sorted(found) if step.words[0] in UNORDERED else found

        for step in case.steps:
            if step.background:
                later[step.key] = background.submit(answer, step)
                time.sleep(HEAD_START_S)
            elif step.until is not None:
                _repeat(speaker, step, signs)
            else:
                answers[step.key] = answer(step)
                if answers[step.key] is None:
                    break  # what follows stands on it
        return answers | {name: future.result() for name, future in later.items()}


def _repeat(speaker: Speaker, step: Step, signs: Mapping[str, str]) -> None:
    deadline = time.monotonic() + UNTIL_S
    while came := speaker.say(step.spoken(signs), step.text_in):
        if came.out.decode().strip() == step.until:
            return
        assert time.monotonic() < deadline, (step.line, came)
        time.sleep(0.05)


def _clear(socket: str, tag: str) -> None:
    """Remove what the case made: said a second time, it must find the engine as it was."""

    def with_tag(path: str, filter_name: str = "name") -> str:
        return path + quote(f'{{"{filter_name}":["{tag}"]}}')

    _, containers = ask(socket, "GET", with_tag("/containers/json?all=1&filters="))
    for container in containers:
        ask(socket, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
    _, volumes = ask(socket, "GET", with_tag("/volumes?filters="))
    for volume in volumes["Volumes"] or ():
        ask(socket, "DELETE", f"/volumes/{volume['Name']}")
    _, images = ask(socket, "GET", with_tag("/images/json?filters=", "label"))
    for image in images:
        ask(socket, "DELETE", f"/images/{image['Id']}?force=1")
