"""The files of cluster/, parsed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(params=["gpu", "gcp", "local"])
def cluster(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each file of Ray's cluster launcher."""
    return yaml.safe_load((ROOT / f"cluster/{request.param}.yaml").read_text())


@pytest.fixture
def stub(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    """Puts shell scripts in the place of commands; gives the environment that finds them."""
    folder = tmp_path / "stubs"
    folder.mkdir()

    def put(name: str, body: str) -> dict[str, str]:
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
        return {"HOME": str(tmp_path), "PATH": f"{folder}:{os.environ['PATH']}"}

    return put
