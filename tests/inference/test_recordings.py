"""What is found, how it is cut, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from tiny_fit import RECIPE

from respire.errors import InputError
from respire.inference.recordings import (
    Recording,
    cut,
    device_in_name,
    find_recordings,
    windows_over,
)
from respire.labels import UNKNOWN


def noise(file: Path, seconds: float = 3.0, rate: int = 4000, channels: int = 1) -> Path:
    shape = (round(seconds * rate), channels)
    sf.write(file, np.random.default_rng(0).normal(0, 0.1, shape), rate)
    return file


@given(st.integers(1, 10**6), st.integers(160, 80_000))
def test_windows_overlap_by_half_and_reach_the_end(length: int, window: int) -> None:
    starts, ends = np.array(windows_over(length, window)).T
    assert starts[0] == 0
    assert ends[-1] == length
    assert set(np.diff(starts)) <= {window // 2}
    assert set((ends - starts)[:-1]) <= {window}
    assert ends[-1] - starts[-1] <= window
    # None is wholly within the one before it.
    assert len(starts) == 1 or ends[-1] > ends[-2]


@pytest.mark.parametrize(
    ("file", "device"),
    [
        ("a/101_1b1_Al_sc_Meditron.wav", "Meditron"),
        ("s3://b/101_1b1_Al_sc_Walkman.flac?region=x", "Walkman"),
        ("breath.wav", ""),
        ("my_breath.wav", ""),
        ("P01_visit_2_left_lung.wav", ""),  # five parts, and none of ICBHI's
    ],
)
def test_a_device_is_that_of_an_icbhi_name(file: str, device: str) -> None:
    assert device_in_name(file) == device


def test_folders_are_searched_and_files_taken_as_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    names = ("a.wav", "below/b.flac", "below/101_1b1_Al_sc_Meditron.wav")
    for name in names:
        noise(tmp_path / name)
    (tmp_path / "a.txt").write_text("no recording")
    (tmp_path / "._a.wav").write_text("macOS")
    found = find_recordings([tmp_path, tmp_path / "a.txt"], "Walkman", annotations=True)
    assert [Path(one.file).name for one in found] == [
        *("a.wav", "101_1b1_Al_sc_Meditron.wav", "b.flac", "a.txt")
    ]
    assert [one.device for one in found] == ["Walkman", "Meditron", "Walkman", "Walkman"]
    assert found[0].annotation == str(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no such file"):
        find_recordings([tmp_path / "c.wav"])


def test_a_recording_that_is_named_twice_is_heard_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        noise(tmp_path / name)
    found = find_recordings(["b.wav", ".", tmp_path / "a.wav", "./b.wav"])
    assert [one.file for one in found] == ["b.wav", "./a.wav"]


@pytest.mark.parametrize("name", ["a b.wav", "50%.wav", "#1?x.wav"])
def test_a_file_is_heard_by_its_uri_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    noise(tmp_path / name)
    (tmp_path / name).with_suffix(".txt").write_text("0.5\t1.0\t1\t0\n")
    (recording,) = find_recordings([f"file://{tmp_path}/{name}"], annotations=True)
    (row,) = cut(recording, RECIPE).to_pylist()
    assert (row["recording"], row["start_s"]) == (Path(name).stem, [0.5])


def test_a_name_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    named = os.fsencode(tmp_path) + b"/m\xfcller.wav"
    noise(tmp_path / "a.wav").rename(os.fsdecode(named))
    with pytest.raises(InputError, match=r"m\\xfcller.wav: its name is no UTF-8; rename it"):
        find_recordings([tmp_path])


def test_any_rate_and_channels_become_windows_without_labels(tmp_path: Path) -> None:
    file = noise(tmp_path / "stereo.wav", 2.6, 44100, 2)
    (row,) = cut(Recording(str(file)), RECIPE).to_pylist()
    assert row["start_s"] == [0, 0.5, 1.0, 1.5, 2.0]
    assert row["samples"] == [4000, 4000, 4000, 4000, 2400]
    assert set(row["label"]) == {UNKNOWN}


def test_annotated_cycles_have_their_times_and_labels(tmp_path: Path) -> None:
    file = noise(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text("0.5\t1.0\t1\t0\n1.0\t2.5\t0\t1\n")
    (recording,) = find_recordings([file], annotations=True)
    (row,) = cut(recording, RECIPE).to_pylist()
    assert (row["start_s"], row["end_s"]) == ([0.5, 1.0], [1.0, 2.5])
    assert (row["label"], row["samples"]) == ([1, 2], [2000, 6000])


MANIFEST = """recording,group,start_s,end_s,label,label_state,device
a.wav,1,1.5,2.5,normal,,Eko CORE-500
a.wav,1,0.25,1.0,both,,Eko CORE-500
below/101_1b1_Al_sc_Meditron.wav,2,0.0,1.0,wheeze,,
below/101_1b1_Al_sc_Meditron.wav,2,1.0,2.0,,unresolved,
b.flac,1,0.0,0.5,crackle,,
c.wav,3,0.0,1.0,,not-annotated,
"""


def test_a_manifest_says_which_cycles_are_heard_and_of_which_device(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "all.csv").write_text(MANIFEST)
    heard = find_recordings([tmp_path / "all.csv"], "Walkman")
    names = ["a.wav", "below/101_1b1_Al_sc_Meditron.wav", "b.flac", "c.wav"]
    assert [one.file for one in heard] == [str(tmp_path / name) for name in names]
    assert [one.device for one in heard] == ["Eko CORE-500", "Meditron", "Walkman", "Walkman"]
    assert [one.cycles for one in heard] == [((0.25, 1.0), (1.5, 2.5)), ((0, 1),), ((0, 0.5),), ()]
    assert [one.device for one in find_recordings([tmp_path / "all.csv"])][2:] == ["", ""]
    with pytest.raises(InputError, match="no-such-manifest"):
        find_recordings([tmp_path / "no-such-manifest.csv"])


def silent(file: Path) -> None:
    sf.write(file, np.zeros(4000), 4000)


def cancelling(file: Path) -> None:
    left = np.random.default_rng(0).normal(0, 0.1, 4000)
    sf.write(file, np.stack([left, -left], 1), 4000)


def short(file: Path) -> None:
    noise(file, 0.1)


def not_a_number(file: Path) -> None:
    sf.write(file, np.full(4000, np.nan), 4000, subtype="FLOAT")


def text(file: Path) -> None:
    file.write_text("these are not the sounds of lungs")


BAD = {
    "silent": (silent, r"without sound \(silent\)"),
    "cancelling": (cancelling, r"without sound \(channels cancel\)"),
    "short": (short, "lasts 0.1 s"),
    "NaN": (not_a_number, "not finite"),
    "text": (text, "not decodable as audio"),
}


@pytest.mark.parametrize("how", BAD)
def test_what_is_bad_is_refused_by_its_name(how: str, tmp_path: Path) -> None:
    write, said = BAD[how]
    file = tmp_path / "bad.wav"
    write(file)
    with pytest.raises(InputError, match=f"bad.wav.*{said}"):
        cut(Recording(str(file)), RECIPE)
