"""cluster/data.py: the published data set, where every node reads it."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from respire.errors import InputError
from respire.runtime.storage import Storage

RECORDINGS = 3


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A small data set, laid out as the published one."""
    folder = tmp_path / "cache/icbhi"
    (folder / "ICBHI_final_database").mkdir(parents=True)
    for number in range(RECORDINGS):
        name = folder / f"ICBHI_final_database/{number}_1b1_Al_sc_Meditron"
        name.with_suffix(".wav").write_bytes(bytes([number]) * 1000)
        name.with_suffix(".txt").write_text("0 1 0 0\n")
    (folder / "ICBHI_challenge_train_test.txt").write_text("0_1b1_Al_sc_Meditron\ttest\n")
    return folder


@pytest.fixture
def downloads() -> list[Path]:
    return []


@pytest.fixture
def script(
    root: Path, published: Path, downloads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The script as a module; what it downloads is the small data set."""
    spec = spec_from_file_location("put_data", root / "cluster/data.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def download() -> Path:
        downloads.append(published)
        return published

    monkeypatch.setattr(module, "download", download)
    monkeypatch.setattr(module, "RECORDINGS", RECORDINGS)
    return module


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_data_set_arrives_as_published(
    script: ModuleType, published: Path, tmp_path: Path, scheme: str
) -> None:
    script.put(Storage.at(f"{scheme}{tmp_path}/shared/icbhi"))
    assert contents(tmp_path / "shared/icbhi") == contents(published)


def test_what_is_there_is_neither_downloaded_nor_copied(
    script: ModuleType,
    downloads: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = Storage.at(tmp_path / "shared")
    script.put(target)
    assert "0 files are there, copying 7" in capsys.readouterr().out
    script.put(target)
    assert "all 3 recordings are there, nothing to do" in capsys.readouterr().out
    assert len(downloads) == 1


def test_a_copy_of_ones_own_counts_whatever_its_folders(
    script: ModuleType, published: Path, downloads: list[Path], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for file in published.rglob("*_Meditron.*"):
        (own / file.name).write_bytes(file.read_bytes())
    script.put(Storage.at(own))
    assert downloads == []


def test_a_copy_that_was_killed_is_completed(
    script: ModuleType, published: Path, tmp_path: Path
) -> None:
    target = tmp_path / "shared"
    script.put(Storage.at(target))
    kept = target / "ICBHI_final_database/0_1b1_Al_sc_Meditron.wav"
    kept.write_bytes(b"untouched")
    (target / "ICBHI_final_database/2_1b1_Al_sc_Meditron.txt").unlink()
    script.put(Storage.at(target))
    assert contents(target) == contents(published) | {
        kept.relative_to(target).as_posix(): b"untouched"
    }


def test_no_file_is_seen_in_part(script: ModuleType, tmp_path: Path) -> None:
    script.put(Storage.at(tmp_path / "shared"))
    assert not list((tmp_path / "shared").rglob("*.partial"))


def test_a_target_that_cannot_be_written_is_told(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        script.put(Storage.at(tmp_path / "file/icbhi"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "where every node reads them"),
        ([], 2, "--data is not given, nor is RESPIRE_DATA set"),
        (["--data", "nonsense://x"], 2, "error: nonsense://x: no such storage"),
    ],
)
def test_the_command_line(root: Path, arguments: list[str], code: int, said: str) -> None:
    variables = {key: value for key, value in os.environ.items() if key != "RESPIRE_DATA"}
    done = subprocess.run(
        [sys.executable, str(root / "cluster/data.py"), *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in " ".join((done.stdout + done.stderr).split())
