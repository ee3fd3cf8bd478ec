"""`python -m tests.storm`: run a storm, and say what it has broken."""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

from tests import host_power, leaks
from tests.lab import Lab, new_lab, remove_template
from tests.storm.checks import left, lost
from tests.storm.clients import Client, Weather
from tests.storm.weather import Storm

DISK_BYTES = 256 << 20


def storm(operations: int, clients_count: int, seed: int, minutes: float = 0) -> list[str]:
    """Run it; what is wrong afterwards."""
    lab, beside = _labs()
    weather = Weather()
    Path(lab.folder, "secret").write_text("hidden")
    clients = [Client(lab, weather, number, seed) for number in range(clients_count)]
    share = operations // clients_count
    threads = [threading.Thread(target=client.run, args=[share]) for client in clients]
    striking = Storm(lab, beside, weather, seed)
    began = time.monotonic()
    for thread in (*threads, striking):
        thread.start()
    told = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(5)
        took = time.monotonic() - began
        print(f"{weather.done} operations in {took:.0f} s, {striking.strikes}", flush=True)
        for text in (*weather.defects, *striking.failed_starts)[told:]:
            print(f"  {text}", flush=True)
        told = len(weather.defects) + len(striking.failed_starts)
        if minutes and took > 60 * minutes:
            weather.is_over.set()
    weather.is_over.set()
    striking.join()
    wrong = [f"defect: {text}" for text in weather.defects]
    wrong += [f"failed start: {text}" for text in striking.failed_starts]
    wrong += [f"lost: {text}" for text in lost(lab, clients, weather)]
    wrong += [f"left: {text}" for text in left(lab, clients)]
    log = Path(lab.folder, "labkitd.log").read_text(errors="replace")
    Path(f"/tmp/{leaks.RUN_NAME}-storm.log").write_text(log)
    for one in (lab, beside):
        try:
            one.close()
        except AssertionError as error:
            wrong.append(f"left: {error}")
    print("\n".join(f"{count:6} {what}" for what, count in sorted(weather.answers.items())))
    tracebacks = log.count("Traceback")
    print(f"{weather.done} operations, seed {seed}, {striking.strikes}, {tracebacks} tracebacks")
    return wrong


def _labs() -> tuple[Lab, Lab]:
    """Two running engines: ordinary users' with LABKIT_TEST_ROOTLESS, which have no disks."""
    if host_power.IS_LEFT_OUT:
        return new_lab(), new_lab()
    labs = Lab(disk_bytes=DISK_BYTES), Lab(named_by_root=True)
    for one in labs:
        one.start_daemon()
    return labs


def main() -> int:
    """0 if nothing was lost or left."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="end earlier, after that time")
    arguments = parser.parse_args()
    os.environ[leaks.MARKER] = leaks.RUN_NAME
    before = leaks.measure()
    try:
        wrong = storm(arguments.operations, arguments.clients, arguments.seed, arguments.minutes)
    finally:
        remove_template()
    log = f"/tmp/{leaks.RUN_NAME}-storm.log"
    if not wrong:
        os.unlink(log)
    ours = (leaks.RUN_NAME, *leaks.ENGINE_NAMES)
    lines = [line for line in leaks.left_behind(before) if log not in line]
    wrong += [f"left: {line}" for line in lines if any(name in line for name in ours)]
    for line in dict.fromkeys(wrong):
        print(line)
    print(f"{len(wrong)} wrong; the daemon's log: {log}" if wrong else "nothing lost, nothing left")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
