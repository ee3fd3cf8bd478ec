"""labkitd as a process: how it starts, how it ends, what it refuses."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.api import TIMEOUT_S, run
from tests.lab import AS_NOBODY, PROJECT, Lab

pytestmark = pytest.mark.root


class TestDaemonProcess:
    def daemon(
        self, lab: Lab, *arguments: str, through: tuple[str, ...] = (), **options: object
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*through, sys.executable, "-m", "labkit.daemon", "--root", lab.root, *arguments],
            env=lab.env,
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            **options,
        )

    @pytest.mark.parametrize("run_folder", ["run", "another"])
    def test_a_second_daemon_is_refused(self, lab, run_folder):
        with self.daemon(lab, "--run", f"{lab.folder}/{run_folder}") as second:
            _, err = second.communicate(timeout=TIMEOUT_S)
        assert second.returncode == 1
        assert f"labkitd already runs, pid {lab.daemon_pid()}".encode() in err
        assert err.count(b"\n") == 1
        assert lab.answers()

    def test_the_run_folder_of_another_user(self, lab):
        with self.daemon(lab, through=AS_NOBODY) as process:
            _, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 1
        assert b"does not use the run folder" in err
        assert b"it belongs to user 0" in err

    def test_ready_line_restart_and_clean_end(self, make_lab):
        lab = make_lab()
        container_id = run(lab, "sh", "-c", "read x; exit 6", OpenStdin=True)
        lab.stop_daemon()
        assert not os.path.exists(lab.socket)
        assert not os.path.exists(f"{lab.run}/labkitd.pid")
        reader, writer = os.pipe()
        with self.daemon(
            lab, "--run", lab.run, "--ready-fd", str(writer), pass_fds=[writer]
        ) as process:
            os.close(writer)
            ready, _, _ = select.select([reader], [], [], TIMEOUT_S)
            assert ready, "no word from the daemon"
            assert os.read(reader, 100) == b"ready\n"
            used = psutil.Process(process.pid).cpu_times()
            assert used.user + used.system < 2
            assert os.read(reader, 100) == b"", "the descriptor is closed, also in the spawner"
            os.close(reader)
            assert lab.daemon_pid() == process.pid
            assert os.stat(lab.socket).st_mode & 0o777 == 0o660
            _, shown = lab.api("GET", f"/containers/{container_id}/json")
            assert shown["State"]["Status"] == "running", "it outlived its daemon"
            lab.api("DELETE", f"/containers/{container_id}?force=1")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=TIMEOUT_S)
            assert process.returncode == 0
            assert b"Traceback" not in err

    def test_a_stale_socket_and_pid_file_stop_nobody(self, make_lab):
        lab = make_lab()
        lab.kill_daemon()
        assert os.path.exists(lab.socket)
        assert Path(lab.run, "labkitd.pid").exists()
        lab.start_daemon()
        assert lab.answers()
