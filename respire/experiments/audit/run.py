"""The audit of a data set: what it is made of and what the paper says."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import librosa
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

import respire
from respire.data.audio import read_audio
from respire.data.corpora import icbhi
from respire.data.corpora.corpus import SYNTHETIC, open_corpus
from respire.data.corpora.icbhi_format import DEVICES
from respire.data.preprocess import preprocess, slice_cycles
from respire.errors import InputError
from respire.experiments.audit.census import census, lengths_s
from respire.experiments.audit.check import check, errata, is_published
from respire.experiments.audit.claims import CLAIMS, PATIENTS, RECORDINGS
from respire.experiments.audit.report import summary, write_report
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.recipe.fields import Features, Preprocess
from respire.recipe.identity import digest, recipe_identity
from respire.recipe.recipe import Recipe
from respire.report.page import strict
from respire.runtime.resources import Stopwatch, cores, set_up_torch
from respire.study.experiment import claim
from respire.study.place import Place

SYNTHETIC_WARNING = "the recordings are synthetic: they are made in the image of ICBHI 2017"
BATCH = 256
"""Windows whose shades a thread holds at once, some 15 MB."""
THREADS = cores()


def audit(recipe: Recipe, place: Place, name: str | None = None) -> str:
    """Count a data set, look at its blank rows, and hold both against the paper.

    Args:
        recipe: of the images.
        place: data, storage, and whether bad recordings are left out.
        name: of the report's folder; None for one made of recipe and data.

    Returns:
        The report's sentence, errata and main tables.

    Raises:
        InputError: bad input, or storage that cannot be written.
    """
    # A thread for each batch of windows, and none within torch: threads that never wait for one
    # another lose nothing on cores that others use too.
    set_up_torch(THREADS)
    stopwatch = Stopwatch()
    with stopwatch.part("catalogue"):
        corpus = open_corpus(place.data, place.skip_bad)
        listed = icbhi.has_official_split(corpus.directory)
        official = corpus.official if listed else None
    identity = {
        "audit_of": corpus.fingerprint,
        "official_split": official and digest(official),
        "preprocess": recipe_identity(recipe.preprocess),
        "features": recipe_identity(recipe.features),
    }
    name = name or f"{recipe.preset}-{digest(identity)[:8]}"
    folder = place.home / "audit" / name
    folder.check_writable()
    claim(folder, identity)
    with stopwatch.part("recordings"):
        decoded, skipped = _decode(corpus.cycles, recipe.preprocess, place.skip_bad)
    cycles = corpus.cycles[corpus.cycles["recording"].isin(decoded)].reset_index(drop=True)
    with stopwatch.part("blank rows"):
        blank = blank_rows(_bank(cycles, decoded, recipe), recipe)
    audio = pd.DataFrame(
        {
            "duration_s": [one.duration_s for one in decoded.values()],
            "rate_hz": [one.rate_hz for one in decoded.values()],
        },
        index=list(decoded),
    )
    counted = census(cycles, audio, official)
    results = strict(
        {
            "experiment": "audit",
            "name": name,
            "respire_version": respire.__version__,
            "recipe": asdict(recipe),
            "census": counted,
            "blank_rows": blank,
            **_against_the_paper(counted, blank),
            "warnings": _warnings(place, corpus.directory, listed),
            "skipped": [*corpus.skipped, *skipped],
            "seconds": stopwatch.seconds,
        }
    )
    with stopwatch.part("report"):
        write_report(results, lengths_s(cycles), folder)
    print(f"report: {(folder / 'report.html').shown}", flush=True)
    return summary(results)


@dataclass(frozen=True)
class _Decoded:
    """A recording, decoded and cut.

    Attributes:
        duration_s: of the file.
        rate_hz: of the file.
        audio: int16 [sum], its cycles joined, after preprocessing.
        samples: int32 [c], the length of each.
    """

    duration_s: float
    rate_hz: int
    audio: np.ndarray
    samples: np.ndarray


def _decode(
    cycles: pd.DataFrame, recipe: Preprocess, skip_bad: bool
) -> tuple[dict[str, _Decoded], list[str]]:
    """Every recording by its name, and why some were left out.

    Raises:
        InputError: a recording cannot be decoded or cut, unless ``skip_bad``; or none can.
    """

    def read(audio: str, part: pd.DataFrame) -> _Decoded:
        samples, rate = read_audio(audio)
        waveform = preprocess(samples, rate, recipe)
        starts_s, ends_s = part["start_s"].tolist(), part["end_s"].tolist()
        try:
            cut = slice_cycles(waveform, starts_s, ends_s, recipe.sample_rate_hz)
        except InputError as error:
            raise InputError(f"{audio}: {error}") from error
        return _Decoded(len(samples) / rate, rate, *cut)

    decoded: dict[str, _Decoded] = {}
    skipped: list[str] = []
    # Decoding, resampling and filtering all let other threads run.
    with ThreadPoolExecutor(THREADS) as pool:
        readings = {
            str(recording): pool.submit(read, part["audio"].iloc[0], part)
            for recording, part in cycles.groupby("recording", sort=True)
        }
        for recording, reading in readings.items():
            try:
                decoded[recording] = reading.result()
            except InputError as error:
                if not skip_bad:
                    pool.shutdown(cancel_futures=True)
                    raise
                skipped.append(str(error))
    if not decoded:
        raise InputError(f"every recording is bad, the first because: {skipped[0]}")
    return decoded, skipped


def _bank(cycles: pd.DataFrame, decoded: dict[str, _Decoded], recipe: Recipe) -> CycleBank:
    rows = cycles.groupby("recording", sort=True).agg(
        patient=("patient", "first"),
        device=("device", "first"),
        cycle=("cycle", list),
        label=("label", list),
    )
    cut = [decoded[str(recording)] for recording in rows.index]
    table = pa.Table.from_pandas(rows.reset_index(), preserve_index=False)
    table = table.append_column("samples", pa.array([one.samples for one in cut]))
    table = table.append_column("audio", pa.array([one.audio for one in cut]))
    return CycleBank.from_table(table, recipe.task)


def blank_rows(bank: CycleBank, recipe: Recipe) -> dict[str, Any]:
    """How many windows are blank at the top, and how much of them is clipped, by device.

    The windows are those of evaluation, and the recipe says what is blank (features/blank_region).

    Args:
        bank: the cycles, on the CPU.
        recipe: of the images.

    Returns:
        JSON-able: ``row_hz``, the middle of each row from the top; and ``all`` and ``devices``,
        each windows, top_row (share of windows whose top row is blank), cut (mean share of rows
        that are clipped) and rows (of each row, the share of windows in which it is blank). Shares
        are None where there are no windows.
    """
    pipeline = Pipeline(recipe, "cpu")
    bank = pipeline.windows(bank)
    region = pipeline.blank_region

    def look(part: Tensor) -> tuple[Tensor, Tensor]:
        shade = pipeline.unclipped_shades(bank, part)
        return region.is_blank(shade), region.rows(shade)

    with ThreadPoolExecutor(THREADS) as pool:
        blank, clipped = zip(*pool.map(look, torch.arange(len(bank)).split(BATCH)), strict=True)
    is_blank = torch.cat(blank).numpy()
    share_cut = torch.cat(clipped).numpy() / is_blank.shape[1]
    device = bank.cycles["device"].to_numpy()

    def of(chosen: np.ndarray) -> dict[str, Any]:
        if not chosen.any():
            return {"windows": 0, "top_row": None, "cut": None, "rows": None}
        rows = is_blank[chosen].mean(0).tolist()
        cut = float(share_cut[chosen].mean())
        return {"windows": int(chosen.sum()), "top_row": rows[0], "cut": cut, "rows": rows}

    return {
        "row_hz": _row_hz(recipe.features),
        "all": of(np.ones(len(bank), dtype=bool)),
        "devices": {name: of(device == name) for name in DEVICES},
    }


def _row_hz(features: Features) -> list[float]:
    edges = librosa.mel_frequencies(
        features.n_mels + 2, fmin=features.mel_low_hz, fmax=features.mel_high_hz
    )
    return edges[-2:0:-1].tolist()


def _against_the_paper(counted: dict[str, Any], blank: dict[str, Any]) -> dict[str, Any]:
    if not is_published(counted):
        return {
            "paper": None,
            "not_compared": f"{counted['recordings']:,} recordings of {counted['patients']:,} "
            f"patients are not the paper's {RECORDINGS} of {PATIENTS}",
        }
    checked = check({**counted, "blank_rows": blank}, CLAIMS)
    return {
        "paper": {
            "checked": len(checked),
            "agree": sum(one.status == "agrees" for one in checked),
            "numbers": [one.to_json() for one in checked],
            "errata": [erratum.to_json() for erratum in errata(checked)],
        },
        "not_compared": None,
    }


def _warnings(place: Place, directory: str, listed: bool) -> list[str]:
    warnings = [SYNTHETIC_WARNING] if place.data == SYNTHETIC else []
    if not listed:
        warnings.append(
            f"{directory}: no {icbhi.SPLIT_LIST} below it, so the official split is not counted"
        )
    return warnings
