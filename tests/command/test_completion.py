"""What bash offers after the tab key, asked of bash."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_tyro_respire
echo "${#COMPREPLY[@]}"
printf '%s\\n' "${COMPREPLY[@]}"
complete -p respire
"""
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    printed = subprocess.run(
        [sys.executable, "-m", "respire", "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
    )
    file = tmp_path_factory.mktemp("bash") / "completion.sh"
    file.write_text(printed.stdout)
    return file


def offered(script: Path, *words: str) -> tuple[list[str], str]:
    """What is offered for the last word, and how the command is completed."""
    asked = subprocess.run(
        ["bash", "-c", ASK, "bash", str(script), "respire", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    count, *words_offered, how = asked.stdout.splitlines()
    return words_offered[: int(count)], how


def test_an_option_is_offered_by_its_name_alone(script: Path) -> None:
    assert offered(script, "predict", "--d")[0] == ["--device"]
    assert offered(script, "single")[0] == ["single-device"]


def test_where_no_option_fits_files_are_offered(script: Path) -> None:
    words, how = offered(script, "import", "csv", "fol")
    assert words == []
    assert how.startswith("complete -o default -F ")
