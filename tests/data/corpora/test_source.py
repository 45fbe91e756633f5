"""Folders as users have them: each real recording once, whatever else lies in them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from respire.data.corpora import icbhi
from respire.data.corpora.source import Source
from respire.errors import InputError

NAMES = ("101_1b1_Al_sc_Meditron", "102_1b1_Ar_mc_AKGC417L")
needs_any_name = pytest.mark.skipif(sys.platform == "darwin", reason="names there are UTF-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recordings in two folders."""
    for name, place in zip(NAMES, (tmp_path / "data", tmp_path / "data/more"), strict=True):
        place.mkdir(exist_ok=True)
        sf.write(place / f"{name}.wav", np.zeros(4000), 4000)
        (place / f"{name}.txt").write_text("0.0 0.5 0 0\n0.5 1.0 1 1\n")
    return tmp_path / "data"


def parent(folder: Path) -> None:
    (folder / "more/up").symlink_to(folder, target_is_directory=True)


def grandparent(folder: Path) -> None:
    (folder / "more/up").symlink_to(folder.parent, target_is_directory=True)


def itself(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")


def each_other(folder: Path) -> None:
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")


def nothing(folder: Path) -> None:
    (folder / f"{NAMES[0]}.flac").symlink_to("gone.flac")


def the_same_folder(folder: Path) -> None:
    (folder / "again").symlink_to(folder / "more", target_is_directory=True)


def the_same_files(folder: Path) -> None:
    (folder / "again").mkdir()
    for suffix in (".wav", ".txt"):
        (folder / "again" / f"{NAMES[0]}{suffix}").symlink_to(folder / f"{NAMES[0]}{suffix}")


def hidden(folder: Path) -> None:
    (folder / f"._{NAMES[0]}.wav").write_bytes(b"a resource fork")
    (folder / f"._{NAMES[0]}.txt").write_bytes(b"\xff")
    (folder / ".trash").mkdir()
    sf.write(folder / ".trash" / f"{NAMES[0]}.wav", np.zeros(4000), 4000)


def notes(folder: Path) -> None:
    (folder / "notes_on_the_bad_files.txt").write_text("the second one is torn")
    (folder / "2019_notes_on_the_day.txt").write_text("it rained")
    (folder / "filename_format.txt").write_bytes(b"\xff\xfe\x00")


def a_folder_like_a_recording(folder: Path) -> None:
    (folder / "103_1b1_Al_sc_Meditron.wav").mkdir()
    (folder / "103_1b1_Al_sc_Meditron.txt").mkdir()


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / f"{NAMES[0]}.flac")


@pytest.mark.parametrize(
    "add",
    [
        *(parent, grandparent, itself, each_other, nothing, the_same_folder, the_same_files),
        *(hidden, notes, a_folder_like_a_recording, a_pipe),
    ],
)
def test_each_recording_is_found_once_whatever_else_lies_there(
    folder: Path, add: Callable[[Path], None]
) -> None:
    add(folder)
    found = icbhi.read_catalogue(str(folder))
    assert found.cycles["recording"].tolist() == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert (found.skipped, found.warnings) == ((), ())


def test_what_only_a_link_leads_to_is_found_under_its_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/all").symlink_to(folder, target_is_directory=True)
    audio = icbhi.read_catalogue(str(tmp_path / "linked")).cycles["audio"].unique()
    where = tmp_path / "linked/all"
    assert audio.tolist() == [f"{where / NAMES[0]}.wav", f"{where / 'more' / NAMES[1]}.wav"]


def denied(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Folders of these names cannot be listed, which root, who may run this, always can."""
    scandir = os.scandir

    def refused(path: str) -> object:
        if Path(path).name in names:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)


def test_a_folder_of_the_systems_that_cannot_be_listed_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lost+found").mkdir()
    denied(monkeypatch, "lost+found")
    found = icbhi.read_catalogue(str(folder))
    assert (len(found.cycles), found.warnings) == (4, ())


def test_any_other_folder_that_cannot_be_listed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied(monkeypatch, "more")
    found = icbhi.read_catalogue(str(folder))
    assert len(found.cycles) == 2
    (warning,) = found.warnings
    assert warning.startswith(f"{folder / 'more'}: cannot be listed (Permission denied)")


def test_the_data_sets_own_folder_that_cannot_be_listed_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied(monkeypatch, "data")
    with pytest.raises(InputError, match=r"data: cannot be listed .*--data"):
        Source.at(str(folder))


@needs_any_name
def test_foreign_files_whose_names_are_no_text_do_not_matter(folder: Path) -> None:
    for name in (b"caf\xe9.txt", b"caf\xe9.pdf", b"101_1b1_Al_sc_caf\xe9.txt"):
        (folder / os.fsdecode(name)).write_text("un caf\u00e9")
    assert len(icbhi.read_catalogue(str(folder)).cycles) == 4


@needs_any_name
@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"caf\xe9/103_1b1_Al_sc_Meditron.wav"])
def test_a_recording_whose_name_is_no_text_is_refused_by_it(folder: Path, name: bytes) -> None:
    file = folder / os.fsdecode(name)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes((folder / f"{NAMES[0]}.wav").read_bytes())
    with pytest.raises(InputError, match=r"caf\\xe9.* is no UTF-8 text; rename it") as refused:
        icbhi.read_catalogue(str(folder))
    assert str(refused.value).isprintable()
    found = icbhi.read_catalogue(str(folder), skip_bad=True)
    assert found.skipped == (str(refused.value),)
    assert len(found.cycles) == 4
