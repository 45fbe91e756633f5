"""Real MLflow servers: of runs, that a test can take away and bring back, and of a model."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pandas as pd

PATIENCE_S = 120.0


class _Server:
    """``mlflow ARGUMENTS`` on a free port of this machine.

    Attributes:
        uri: its address, the same whenever it is up.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], settings: dict[str, str]):
        self._log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._arguments, self._settings = arguments, settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Bring it up, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", *self._arguments),
                    *("--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
                ],
                stdout=log,
                stderr=log,
                env=os.environ | self._settings,
                start_new_session=True,
            )
        patience = time.monotonic() + PATIENCE_S
        while self._process.poll() is None and time.monotonic() < patience:
            with suppress(URLError, OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=5)
                return
            time.sleep(0.2)
        self.kill()
        raise TimeoutError(f"the server did not come up:\n{self._log.read_text()}")

    def kill(self) -> None:
        """Take it away, without a word to whoever is connected."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class TrackingServer(_Server):
    """Serves the database and the artifacts in a folder."""

    def __init__(self, folder: Path):
        arguments = (
            *("server", "--backend-store-uri", f"sqlite:///{folder}/server.db"),
            *("--artifacts-destination", (folder / "artifacts").as_uri()),
        )
        # Eight processes for jobs that nobody has.
        super().__init__(folder, arguments, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})


class ModelServer(_Server):
    """Serves a model of an sqlite store, within a ``with``; where nothing else can be reached."""

    def __init__(self, folder: Path, model_uri: str, store: Path):
        settings = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{store}",
            "RESPIRE_GPU": "none",
            # What it starts, it finds beside this Python; and nobody answers beyond this machine.
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
            "no_proxy": "127.0.0.1",
        }
        arguments = ("models", "serve", "--model-uri", model_uri, "--env-manager", "local")
        super().__init__(folder, arguments, settings)

    def __enter__(self) -> "ModelServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def answers(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What it answers rows whose ``audio`` is base64, as JSON has bytes."""
        asked = json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split"))})
        request = urllib.request.Request(
            f"{self.uri}/invocations", asked.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            told: dict[str, Any] = json.load(response)
        return pd.DataFrame(told["predictions"])
