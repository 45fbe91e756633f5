from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs

from respire.data.audio import read_header
from respire.data.corpora.icbhi_format import (
    DEVICES,
    LOCATIONS,
    MODES,
    parse_annotation,
    parse_name,
)
from respire.errors import InputError


def refusal_of(rows: str) -> str:
    """The one-line message that refuses the annotation of a 2 s recording."""
    with pytest.raises(InputError) as refused:
        parse_annotation(rows, "NAME.txt", duration_s=2.0)
    assert "\n" not in str(refused.value)
    assert "--skip-bad" in str(refused.value)
    return str(refused.value)


def noise(path: Path) -> Path:
    """An 8 s recording."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    sf.write(path, samples, 4000, subtype="PCM_16")
    return path


def read(path: Path) -> float:
    return read_header(fs.LocalFileSystem(), str(path))[0]


@given(
    patient=st.integers(0, 999_999_999),
    session=st.from_regex(r"[0-9]{1,2}[bp][0-9]", fullmatch=True),
    location=st.sampled_from(LOCATIONS),
    mode=st.sampled_from(MODES),
    device=st.sampled_from(DEVICES),
    suffix=st.sampled_from(["", ".wav", ".txt"]),
)
def test_a_name_says_what_it_was_made_of(
    patient: int, session: str, location: str, mode: str, device: str, suffix: str
) -> None:
    made_of = (patient, session, location, mode, device)
    assert parse_name("_".join(map(str, made_of)) + suffix) == made_of


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("101_1b1_Al_sc_Eko", "unknown device 'Eko' (known: AKGC417L, Meditron"),
        ("101_1b1_Xx_sc_Meditron", "unknown location 'Xx'"),
        ("101_1b1_Al_xx_Meditron", "unknown mode 'xx'"),
        ("101_Al_sc_Meditron", "not a recording's name"),
        ("P101_1b1_Al_sc_Meditron", "not a recording's name"),
        ("recording", "not a recording's name"),
    ],
)
def test_a_name_that_does_not_parse_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_name(f"below/{name}.wav")
    assert str(refused.value).startswith(f"below/{name}.wav: {complaint}")
    assert "--skip-bad" in str(refused.value)


def test_rows_become_cycles_labelled_by_crackle_and_wheeze() -> None:
    rows = "0.0\t0.5\t0\t0\r\n0.5 1.0 1 0\n\n1.1\t1.5\t0\t1\n1.5\t2.0\t1\t1"
    assert parse_annotation(rows, "NAME.txt", duration_s=2.0) == [
        (0.0, 0.5, 0),
        (0.5, 1.0, 1),
        (1.1, 1.5, 2),
        (1.5, 2.0, 3),
    ]


@pytest.mark.parametrize(
    ("second_row", "complaint"),
    [
        ("0.5\t1.0\t1", "3 columns instead of 4"),
        ("0.5\t1.0\t1\t0\t0", "5 columns instead of 4"),
        ("0,5\t1,0\t1\t0", "'0,5' and '1,0' must be seconds"),
        ("0.5\tnan\t1\t0", "must be finite"),
        ("-0.5\t1.0\t1\t0", "not negative"),
        ("0.5\t1.0\t2\t0", "must be 0 or 1"),
        ("0.5\t1.0\t1\tno", "must be 0 or 1"),
        ("1.0\t0.5\t1\t0", "not after its start"),
        ("0.5\t0.5\t1\t0", "not after its start"),
        ("0.4\t1.0\t1\t0", "before the previous cycle's end at 0.5 s"),
        ("0.5\t2.1\t1\t0", "beyond the recording's 2 s"),
        ("0.5\t0.5002\t1\t0", "less than one sample"),
    ],
)
def test_a_bad_row_is_refused_by_file_and_number(second_row: str, complaint: str) -> None:
    message = refusal_of(f"0.0\t0.5\t0\t0\n{second_row}\n")
    assert message.startswith("NAME.txt, row 2: ")
    assert complaint in message


def test_rows_are_numbered_as_in_the_file() -> None:
    assert refusal_of("0.0\t0.5\t0\t0\n\n0.5\n").startswith("NAME.txt, row 3: ")


def test_an_empty_annotation_is_refused() -> None:
    assert refusal_of("\n").startswith("NAME.txt: no cycles")


def test_a_cycle_may_outlast_its_recording_by_the_rounding_of_a_millisecond_and_no_more() -> None:
    assert len(parse_annotation("0.0\t2.0004\t0\t0\n", "NAME.txt", duration_s=2.0)) == 1
    assert "beyond the recording's 2 s" in refusal_of("0.0\t2.0006\t0\t0\n")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_recordings_length_is_its_headers(tmp_path: Path, suffix: str) -> None:
    assert read(noise(tmp_path / f"audio{suffix}")) == 8


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("kept", [0, 30, 0.5, 0.99])
def test_torn_audio_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    audio = noise(tmp_path / f"audio{suffix}")
    whole = audio.read_bytes()
    audio.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=f"audio{suffix}: (torn|audio cannot be read or is torn)"):
        read(audio)


def test_chunks_around_the_audio_do_not_make_a_wav_torn(tmp_path: Path) -> None:
    audio = noise(tmp_path / "audio.wav")
    plain = audio.read_bytes()
    odd_chunk = b"LIST" + (5).to_bytes(4, "little") + b"INFO!\0"
    audio.write_bytes(plain[:12] + odd_chunk + plain[12:] + odd_chunk)
    assert read(audio) == 8
