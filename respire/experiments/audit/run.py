"""The audit of a data set: what it is made of and what the paper says."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from respire.data.audio import read_header
from respire.data.corpora import icbhi
from respire.data.corpora.corpus import open_corpus
from respire.data.mel import mel_frequencies
from respire.data.prepare import ERROR, by_recording, no_sound_warnings, prepare_block
from respire.data.splits.draw import devices_of
from respire.errors import InputError
from respire.experiments.audit.census import Census, census, lengths_s
from respire.experiments.audit.check import check, errata, is_published
from respire.experiments.audit.claims import CLAIMS, DEVICES, PATIENTS, RECORDINGS
from respire.experiments.audit.report import page, summary
from respire.experiments.audit.summary import AuditSummary, BlankPart, BlankRows, Paper
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.recipe.fields import Features, Preprocess
from respire.recipe.identity import digest, recipe_identity
from respire.recipe.recipe import Recipe
from respire.runtime.choices import run_name
from respire.runtime.resources import Stopwatch, cores, set_up_torch
from respire.runtime.run_folder import claim
from respire.runtime.storage import Storage
from respire.study.place import Place
from respire.study.survey import Survey

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
        listed = corpus.has_official
        official = corpus.official if listed else None
    identity = {
        "audit_of": corpus.fingerprint,
        "official_split": official and digest(official),
        "preprocess": recipe_identity(recipe.preprocess),
        "features": recipe_identity(recipe.features),
    }
    key = digest(identity)
    name = run_name(name, recipe.preset, key)
    folder = place.home / "audit" / name
    folder.check_writable()
    claim(folder, identity)
    with stopwatch.part("recordings"):
        prepared, skipped = _prepare(corpus.cycles, recipe.preprocess, place.skip_bad)
        good = corpus.cycles["recording"].isin(prepared.column("recording").to_pylist())
        cycles = corpus.cycles[good].reset_index(drop=True)
        counted = census(cycles, _headers(cycles), official)
    with stopwatch.part("blank rows"):
        blank = blank_rows(CycleBank.from_table(prepared, recipe.task), recipe)
    missing = f"no {icbhi.SPLIT_LIST} below it" if corpus.sides is None else "no official_side"
    unlisted = f"{corpus.directory}: {missing}, so the official split is not counted"
    results = Survey("audit", name, key, folder, corpus, stopwatch).finish(
        _summarise(recipe, counted, blank),
        lambda results: page(results, lengths_s(cycles)),
        warnings=(*no_sound_warnings(prepared), *(() if listed else (unlisted,))),
        skipped=skipped,
    )
    return summary(results)


def _prepare(
    cycles: pd.DataFrame, recipe: Preprocess, skip_bad: bool
) -> tuple[pa.Table, list[str]]:
    """Every recording's cycles, and why some were left out.

    Raises:
        InputError: a recording cannot be decoded or cut, unless ``skip_bad``; or none can.
    """
    rows = by_recording(cycles)
    blocks, skipped = [], []
    # Decoding, resampling and filtering all let other threads run.
    with ThreadPoolExecutor(THREADS) as pool:
        for block in pool.map(
            lambda row: prepare_block(rows.slice(row, 1), recipe, spectral=False), range(len(rows))
        ):
            (error,) = block.column(ERROR.name).to_pylist()
            if error is None:
                blocks.append(block)
            elif skip_bad:
                skipped.append(error)
            else:
                pool.shutdown(cancel_futures=True)
                raise InputError(error)
    if not blocks:
        raise InputError(f"every recording is bad, the first because: {skipped[0]}")
    return pa.concat_tables(blocks), skipped


def _headers(cycles: pd.DataFrame) -> pd.DataFrame:
    """Length and sample rate of every file."""
    files = [Storage(audio).filesystem() for audio in cycles["audio"].unique()]
    with ThreadPoolExecutor(THREADS) as pool:
        headers = pool.map(lambda file: read_header(*file), files)
        return pd.DataFrame(headers, columns=["duration_s", "rate_hz"])


def blank_rows(bank: CycleBank, recipe: Recipe) -> BlankRows:
    """How many windows are blank at the top, and how much of them is clipped, by device.

    The windows are those of evaluation, and the recipe says what is blank (features/blank_region).

    Args:
        bank: the cycles, on the CPU.
        recipe: of the images.
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

    def part(chosen: np.ndarray) -> BlankPart:
        if not chosen.any():
            return BlankPart(0, None, None, None)
        rows = tuple(is_blank[chosen].mean(0).tolist())
        return BlankPart(int(chosen.sum()), rows[0], float(share_cut[chosen].mean()), rows)

    return BlankRows(
        _row_hz(recipe.features),
        part(np.ones(len(bank), dtype=bool)),
        {name: part(device == name) for name in devices_of(bank.cycles)},
    )


def _row_hz(features: Features) -> tuple[float, ...]:
    """The middle of each row, from the top."""
    edges = mel_frequencies(features.n_mels + 2, features.mel_low_hz, features.mel_high_hz)
    return tuple(edges[-2:0:-1].tolist())


def _summarise(recipe: Recipe, counted: Census, blank: BlankRows) -> AuditSummary:
    if not is_published(counted, counted.devices):
        other = (
            f"{counted.recordings:,} recordings of {counted.patients:,} patients are not the "
            f"paper's {RECORDINGS} of {PATIENTS} on its {len(DEVICES)} devices"
        )
        return AuditSummary(recipe, counted, blank, None, other)
    checked = check(asdict(counted) | {"blank_rows": asdict(blank)}, CLAIMS)
    agree = sum(one.status == "agrees" for one in checked)
    paper = Paper(len(checked), agree, tuple(checked), tuple(errata(checked)))
    return AuditSummary(recipe, counted, blank, paper, None)
