"""Whatever files and options hold, it is read or refused; nothing else is raised."""

import contextlib
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.command.parse import parse
from respire.command.questions import FullOptions
from respire.data.corpora.corpus import open_corpus
from respire.data.corpora.icbhi_format import parse_annotation
from respire.errors import InputError

NUMBER = st.sampled_from(["0", "1", "0.5", "-1", "nan", "inf", "1e999", "9" * 30, "x", "٣", "\0"])
ROWS = st.lists(st.lists(NUMBER | st.text(max_size=4), max_size=5), max_size=4)


@contextlib.contextmanager
def read_or_refused() -> Iterator[None]:
    with contextlib.suppress(InputError):
        yield


@settings(max_examples=300)
@given(ROWS)
def test_any_annotation_is_read_or_refused(rows: list[list[str]]) -> None:
    with read_or_refused():
        for cycle in parse_annotation("\n".join(map(" ".join, rows)), "a.txt", 10.0):
            assert 0 <= cycle.start_s < cycle.end_s <= 10.001


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    file = folder / "101_1b1_Al_sc_Meditron.wav"
    with wave.open(str(file), "wb") as audio:
        audio.setparams((1, 2, 4000, 0, "NONE", ""))
        audio.writeframes(bytes(range(256)) * 40)
    file.with_suffix(".txt").write_text("0.1 0.5 0 0\n")
    return file, file.read_bytes()


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=6),
    st.integers(0, 10284),
    st.binary(max_size=12),
)
def test_any_mutation_of_a_recording_is_read_or_refused(
    recording: tuple[Path, bytes], changes: list[tuple[int, int]], length: int, annotation: bytes
) -> None:
    file, whole = recording
    content = bytearray(whole)
    for at, value in changes:
        content[at] = value
    file.write_bytes(content[:length])
    file.with_suffix(".txt").write_bytes(b"0.1 0.5 0 0\n" + annotation)
    with read_or_refused():
        open_corpus(str(file.parent))


OPTIONS = ["--seed", "--seeds", "--split-seed", "--name", "--data", "--storage"]
OPTIONS += [
    "--recipe.features.window-seconds",
    "--recipe.features.n-mels",
    "--recipe.model.dropout",
]


@settings(max_examples=30)
@given(st.sampled_from(OPTIONS), NUMBER | st.text(max_size=6))
def test_any_value_of_an_option_is_taken_or_refused(option: str, value: str) -> None:
    with read_or_refused(), contextlib.suppress(SystemExit):
        parse(FullOptions, [f"{option}={value}"], "")
