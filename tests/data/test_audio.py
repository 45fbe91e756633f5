from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from mono import read_audio
from pyarrow import fs

from respire.data.audio import no_sound, read_header
from respire.errors import InputError

SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)


def written(path: Path, form: str, subtype: str = "PCM_16", endian: str = "FILE") -> Path:
    sf.write(path, SOUND, 8000, format=form, subtype=subtype, endian=endian)
    return path


def refusals(path: Path) -> str:
    """What both readers say."""
    said = []
    for read in (
        lambda: read_header(fs.LocalFileSystem(), str(path)),
        lambda: read_audio(str(path)),
    ):
        with pytest.raises(InputError) as refused:
            read()
        said.append(str(refused.value))
    return " | ".join(said)


@pytest.mark.parametrize(
    ("form", "endian"),
    [("WAV", "FILE"), ("WAV", "BIG"), ("RF64", "FILE"), ("W64", "FILE"), ("AIFF", "FILE")],
)
def test_a_whole_file_is_read_and_a_truncated_one_is_torn(
    tmp_path: Path, form: str, endian: str
) -> None:
    path = written(tmp_path / "a.wav", form, endian=endian)
    assert read_header(fs.LocalFileSystem(), str(path)) == (2.0, 8000)
    np.testing.assert_allclose(read_audio(str(path))[0], SOUND, atol=1e-4)
    content = path.read_bytes()
    path.write_bytes(content[: round(0.55 * len(content))])
    assert refusals(path).count("torn") == 2


def test_an_encoding_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", "WAV", "GSM610")
    assert refusals(path).count("its encoding, GSM 6.10, cannot be read") == 2


def test_a_wav_whose_recorder_left_sizes_of_0_is_named_itself(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", "WAV")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    path.write_bytes(content)
    assert refusals(path).count(f"{path}: its header says that it holds no audio") == 2


def test_a_flac_that_does_not_tell_its_length_is_named_as_such(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", "FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    said = refusals(path)
    assert "torn" not in said
    assert said.count("not say how long it is") == 2


def test_integers_kept_as_floats_are_refused_with_their_peak(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, np.array([0.0, 12345.0, -3.0]), 8000, subtype="FLOAT")
    with pytest.raises(InputError, match="up to 12345, far beyond 1"):
        read_audio(str(path))
    sf.write(path, 1.5 * SOUND / SOUND.max(), 8000, subtype="FLOAT")
    assert read_audio(str(path))[0].max() == pytest.approx(1.5)


def test_what_cannot_be_heard_is_said() -> None:
    noise = SOUND[:, None]
    assert no_sound(np.hstack([noise, -noise])) == "channels cancel"
    assert no_sound(np.zeros((9, 2))) == "silent"
    assert no_sound(np.full((9, 1), 0.1)) == "constant"
    assert no_sound(np.hstack([noise, 0 * noise])) is None
    assert no_sound(noise) is None
