"""A real MLflow server that a test can take away and bring back."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

PATIENCE_S = 120.0


class TrackingServer:
    """Serves the database and the artifacts in a folder.

    Attributes:
        uri: its address, the same whenever it is up.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Bring it up, and wait until it answers."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
                    *("--port", str(self._port), "--workers", "1"),
                    *("--backend-store-uri", f"sqlite:///{self._folder}/server.db"),
                    *("--artifacts-destination", (self._folder / "artifacts").as_uri()),
                ],
                stdout=log,
                stderr=log,
                # Eight processes for jobs that nobody has.
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )
        patience = time.monotonic() + PATIENCE_S
        while time.monotonic() < patience:
            with suppress(URLError, OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=5)
                return
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            time.sleep(0.2)
        raise TimeoutError("the tracking server did not come up")

    def kill(self) -> None:
        """Take it away, without a word to whoever is connected."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
