"""`python -m tests.build.record`: ask docker's classic builder, and write `answers.json`."""

import json
import tempfile
from pathlib import Path

from tests.build.cases import ANSWERS, Builder, cases, write_context
from tests.lab import remove_template
from tests.oracle import running_oracle


def main() -> None:
    """Record all answers."""
    found = {}
    with running_oracle() as oracle:
        builder = Builder(oracle.docker_host.removeprefix("unix://"))
        for case in cases():
            with tempfile.TemporaryDirectory() as folder:
                write_context(case, Path(folder))
                found[case.name] = builder.answer(Path(folder))
            if bool(found[case.name].get("fails")) != case.fails:
                print(f"{case.name}: docker's answer is not what the case says")
    remove_template()
    lines = [f'"{name}": {json.dumps(answer, sort_keys=True)}' for name, answer in found.items()]
    ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
