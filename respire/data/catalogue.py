"""The catalogue: every annotated cycle of a manifest, its names made unique."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import PurePosixPath
from urllib.parse import unquote

import pandas as pd

from respire.data.audio import read_header
from respire.data.manifest import JUDGED, LABELS
from respire.data.rows import NOBODY
from respire.errors import REMEDY, InputError
from respire.runtime.storage import Storage, split_options

BARE = "icbhi"
"""The corpus whose recordings and patients keep their bare names, for its runs are found by them.
All others' are called CORPUS:NAME."""
ROUNDING_S = 0.5e-3
"""Annotations are written to the millisecond, so a cycle that ends with its recording may round
to half a millisecond beyond it. (No recording of ICBHI needs it: its latest cycles end exactly
with theirs.)"""
THREADS = 16  # bound by reading, not by computing


def catalogue(manifest: pd.DataFrame) -> pd.DataFrame:
    """Every unit of a complete manifest (data/manifest.py) whose label was judged.

    Returns:
        One row a cycle, sorted by recording and start, RangeIndex. Columns: recording str, patient
        (int64 where all are ICBHI's, else str; NOBODY where none is known), session str, location
        str, mode str, device str, cycle int64 (0-based in its recording), start_s and end_s
        float64, label int64 (0 normal, 1 crackle, 2 wheeze, 3 both), audio str (path or URI).
    """
    rows = manifest[manifest["label_state"].isin(JUDGED)]
    rows = rows.assign(audio=rows["recording"], recording=names_of(rows), patient=patients_of(rows))
    rows = rows.sort_values(["recording", "start_s"], kind="stable", ignore_index=True)
    rows["cycle"] = rows.groupby("recording").cumcount()
    rows["label"] = rows["label"].map({name: label for label, name in enumerate(LABELS)})
    columns = ["recording", "patient", "session", "location", "mode", "device"]
    return rows[[*columns, "cycle", "start_s", "end_s", "label", "audio"]]


def names_of(manifest: pd.DataFrame) -> pd.Series:
    """The name of each row's recording: ICBHI's the file's, others' CORPUS:PATH.

    The path is that below the folder which holds all of the corpus, without suffix.
    """
    names: dict[str, str] = {}
    for corpus, rows in manifest.groupby("corpus"):
        uris = rows["recording"].unique()
        if corpus == BARE:
            names |= {uri: PurePosixPath(uri).stem for uri in uris}
            continue
        parts = [_parts(uri) for uri in uris]
        folders = zip(*(of[:-1] for of in parts), strict=False)
        above = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, folders))
        for uri, of in zip(uris, parts, strict=True):
            names[uri] = f"{corpus}:{PurePosixPath(*of[above:]).with_suffix('')}"
    taken: dict[str, str] = {}
    for uri, name in names.items():
        if name in taken:
            raise InputError(f"{taken[name]} and {uri}: the same recording twice; keep one")
        taken[name] = uri
    return manifest["recording"].map(names)


def _parts(uri: str) -> list[str]:
    """The parts of a path or URI, whose options are left out."""
    path, _ = split_options(uri)
    return [unquote(part) if "://" in uri else part for part in path.split("/")]


def patients_of(manifest: pd.DataFrame) -> pd.Series:
    """The patient of each row: ICBHI's by number, others' as CORPUS:GROUP, or NOBODY."""
    bare = manifest["corpus"] == BARE
    strange = bare & ~manifest["group"].str.fullmatch("[0-9]{1,9}")
    if strange.any():
        first = manifest[strange].iloc[0]
        raise InputError(
            f"row {first.name}: group {first['group']!r} is no "
            f"number, as patients of corpus {BARE} have; call the corpus otherwise"
        )
    if bare.all():
        return manifest["group"].astype("int64")
    named = manifest["group"].where(bare, manifest["corpus"] + ":" + manifest["group"])
    return named.where(manifest["group_kind"] != "none", NOBODY)


def check_audio(
    manifest: pd.DataFrame, where: str, skip_bad: bool
) -> tuple[pd.DataFrame, list[str]]:
    """A complete manifest whose recordings can be read and hold their units; and who was left out.

    Raises:
        InputError: a recording is bad, unless ``skip_bad``; or all are.
    """

    def problem(recording: str, rows: pd.DataFrame) -> str | None:
        try:
            duration_s, _ = read_header(*Storage.at(recording).filesystem())
        except InputError as error:
            return f"{where}, row {rows.index[0]}: {error}"
        beyond = rows.loc[rows["end_s"] > duration_s + ROUNDING_S, "end_s"]
        return (
            f"{where}, row {beyond.index[0]}: end_s {beyond.iloc[0]:g} is beyond the recording's "
            f"{duration_s:g} s; {REMEDY}"
            if len(beyond)
            else None
        )

    groups = dict(list(manifest.groupby("recording", sort=False)))
    with ThreadPoolExecutor(THREADS) as pool:
        problems = dict(
            zip(groups, pool.map(problem, *zip(*groups.items(), strict=True)), strict=True)
        )
    bad = {recording: found for recording, found in problems.items() if found}
    if bad and (not skip_bad or len(bad) == len(problems)):
        raise InputError(next(iter(bad.values())))
    return manifest[~manifest["recording"].isin(bad)], list(bad.values())


def people(manifest: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Who the patients are: a row each, with the columns that have any value, and warnings.

    Columns are age, sex, bmi and diagnosis; where rows of a patient differ, nothing is told.
    """
    columns = ["age", "sex", "bmi", "diagnosis"]
    rows = manifest[columns].assign(patient=patients_of(manifest))
    by_patient = rows[rows["patient"] != NOBODY].replace("", None).groupby("patient")
    differ = by_patient.nunique() > 1
    told = by_patient.first().mask(differ)
    warnings = [
        f"{column} of patients {', '.join(map(str, told.index[differ[column]][:5]))} is told in "
        f"several ways, and passed over"
        for column in columns
        if differ[column].any()
    ]
    return told.dropna(axis=1, how="all"), warnings


def contents(cycles: pd.DataFrame, sha256: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Digest of each recording's file, by recording, in their order.

    Args:
        cycles: the catalogue.
        sha256: what the content of a file, by its ``audio``, must have.

    Raises:
        InputError: a file has another.
    """
    files = cycles.drop_duplicates("recording").sort_values("recording")
    expected = [(sha256 or {}).get(file, "") for file in files["audio"]]
    with ThreadPoolExecutor(THREADS) as pool:
        digests = pool.map(_file_digest, files["audio"], expected)
        return dict(zip(files["recording"], digests, strict=True))


def copies(cycles: pd.DataFrame, content: Mapping[str, bytes]) -> list[str]:
    """What a reader must know of recordings whose files hold the same (``contents``)."""
    first: dict[bytes, str] = {}
    pairs = [
        (recording, first[digest])
        for recording, digest in content.items()
        if first.setdefault(digest, recording) != recording
    ]
    if not pairs:
        return []
    patient = cycles.drop_duplicates("recording").set_index("recording")["patient"]
    apart = [pair for pair in pairs if patient[pair[0]] != patient[pair[1]]]
    copy, original = (apart or pairs)[0]
    said = f"{len(pairs)} recordings are copies of others, such as {copy} of {original}"
    several = f"{len(apart)} of them another patient's: what is tested may have been trained on"
    return [f"{said}, {several}" if apart else said]


def fingerprint(cycles: pd.DataFrame, content: Mapping[str, bytes]) -> str:
    """Hex digest of the audio files' content (``contents``) and the annotations.

    Where the files lie and how the rows are ordered do not change it.
    """
    cycles = cycles.sort_values(["recording", "cycle"])
    whole = hashlib.blake2b("\n".join(cycles["recording"]).encode(), digest_size=16)
    for column, dtype in (("start_s", "<f8"), ("end_s", "<f8"), ("label", "<i8")):
        whole.update(cycles[column].to_numpy(dtype).tobytes())
    for digest in content.values():
        whole.update(digest)
    return whole.hexdigest()


def _file_digest(path: str, sha256: str) -> bytes:
    if sha256 and sha256_of(path) != sha256.lower():
        raise InputError(
            f"{path}: not the file that the manifest was written for (another SHA-256); fetch it "
            f"again, or import the recordings anew"
        )
    filesystem, inner = Storage.at(path).filesystem()
    with filesystem.open_input_file(inner) as file:
        return hashlib.file_digest(file, hashlib.blake2b).digest()


def sha256_of(path: str) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    filesystem, inner = Storage.at(path).filesystem()
    with filesystem.open_input_file(inner) as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()
