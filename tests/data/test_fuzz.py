"""Whatever files and options hold, it is read or refused; nothing else is raised."""

import contextlib
import io
import wave
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.command.imports import ImportOptions
from respire.command.parse import parse
from respire.command.predictions import PredictOptions
from respire.command.questions import FullOptions
from respire.data.corpora.corpus import import_manifest, open_corpus
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
    file = folder / NAME
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


NAME = "101_1b1_Al_sc_Meditron.wav"
VALUES: dict[str, list[str]] = {
    "recording": [NAME, f"./{NAME}", "nowhere.wav", "~nobody/x.wav", "..", "\0"],
    "group": ["101", "x", "1999-12-31", " "],
    "start_s": ["0", "0.1", ".5", "1e-320", "-0"],
    "end_s": ["1", "0.5", "1.28", "2"],
    "label": ["normal", "crackle", "wheeze", "both", "Normal"],
    "group_kind": ["patient", "date", "none"],
    "label_state": ["positive", "negative", "unresolved"],
    "age": ["60", "60 years"],
    "unit": ["cycle", "event", "recording"],
    "official_side": ["train", "test"],
    "sha256": ["0" * 64],
    "corpus": ["a", "icbhi2017", "a/b"],
}
"""Columns of a manifest, the five that are needed first, with values that may come in them."""
ANY = NUMBER | st.text(max_size=4) | st.just("")


def table(columns: dict[str, list[str]], needed: int) -> st.SearchStrategy[pd.DataFrame]:
    """Tables of the needed columns, at most one left out, and some others."""
    names = list(columns)
    kept = st.lists(st.sampled_from(names[needed:]), max_size=3, unique=True)
    missing = st.none() | st.none() | st.none() | st.sampled_from(names)

    def rows(
        chosen: tuple[list[str], str | None, list[str]],
    ) -> st.SearchStrategy[pd.DataFrame]:
        more, left_out, strange = chosen
        header = [name for name in (*names[:needed], *more, *strange) if name != left_out]
        value = {n: st.sampled_from(columns[n]) | ANY if n in columns else ANY for n in header}
        row = st.fixed_dictionaries(value)
        return st.lists(row, max_size=3).map(lambda of: pd.DataFrame(of, columns=header))

    strange = st.lists(st.text(max_size=3), max_size=1)
    return st.tuples(kept, missing, strange).flatmap(rows)


MANIFESTS = table(VALUES, 5)
CYCLES = table(
    {
        "file": VALUES["recording"],
        "patient": VALUES["group"],
        "start": VALUES["start_s"],
        "end": VALUES["end_s"],
        "crackle": ["0", "1"],
        "wheeze": ["0", "1"],
        **{name: VALUES[name] for name in ("age", "group_kind", "sha256", "corpus", "label")},
    },
    6,
)


@settings(max_examples=60)
@given(MANIFESTS, st.sampled_from(["csv", "parquet"]), st.booleans())
def test_any_manifest_is_read_or_refused(
    recording: tuple[Path, bytes], rows: pd.DataFrame, form: str, skip_bad: bool
) -> None:
    file, whole = recording
    file.write_bytes(whole)
    where = file.with_name(f"m.{form}")
    if form == "csv":
        where.write_text(rows.to_csv(index=False), "utf-8", "surrogatepass")
    elif rows.columns.is_unique:
        where.write_bytes(parquet(rows))
    with read_or_refused():
        cycles = open_corpus(str(where), skip_bad).cycles
        assert len(cycles)
        assert (cycles["start_s"] < cycles["end_s"]).all()


def parquet(rows: pd.DataFrame) -> bytes:
    written = io.BytesIO()
    rows.to_parquet(written)
    return written.getvalue()


@settings(max_examples=60)
@given(st.sampled_from(["csv", "parquet"]), st.integers(0, 400), st.binary(max_size=8))
def test_any_mutation_of_a_manifest_is_read_or_refused(
    recording: tuple[Path, bytes], form: str, at: int, new: bytes
) -> None:
    file, whole = recording
    file.write_bytes(whole)
    row = {name: values[0] for name, values in VALUES.items()} | {"sha256": "", "label_state": ""}
    rows = pd.DataFrame([row])
    content = rows.to_csv(index=False).encode() if form == "csv" else parquet(rows)
    at %= len(content)
    where = file.with_name(f"mutated.{form}")
    where.write_bytes(content[:at] + new + content[at + len(new) :])
    with read_or_refused():
        open_corpus(str(where))


@settings(max_examples=60)
@given(CYCLES, st.booleans())
def test_any_table_of_cycles_is_imported_or_refused(
    recording: tuple[Path, bytes],
    rows: pd.DataFrame,
    skip_bad: bool,
) -> None:
    folder = recording[0].parent / "plain"
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(recording[1])
    (folder / "cycles.csv").write_text(rows.to_csv(index=False), "utf-8", "surrogatepass")
    with read_or_refused():
        manifest, _ = import_manifest("csv", str(folder), None, skip_bad)
        assert len(manifest)


@settings(max_examples=60)
@given(st.text(max_size=12), st.binary(max_size=40))
def test_whatever_lies_beside_icbhis_files_is_passed_over_imported_or_refused(
    recording: tuple[Path, bytes], name: str, content: bytes
) -> None:
    file, whole = recording
    file.write_bytes(whole)
    file.with_suffix(".txt").write_text("0.1 0.5 0 0\n")
    beside = [file.parent / "patient_diagnosis.csv", file.parent / "demographic_info.txt"]
    for path in beside:
        path.write_bytes(name.encode(errors="replace") + content)
    try:
        with read_or_refused():
            manifest, _ = import_manifest("icbhi", str(file.parent))
            assert len(manifest) == 1
    finally:
        for path in beside:
            path.unlink()


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


@settings(max_examples=30)
@given(st.sampled_from([ImportOptions, PredictOptions]), st.lists(ANY, max_size=3))
def test_any_words_of_other_commands_are_taken_or_refused(of: type, words: list[str]) -> None:
    with read_or_refused(), contextlib.suppress(SystemExit):
        parse(of, words, "")
