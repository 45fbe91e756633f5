"""What random splits are made of, without training: the ranges, and where known splits lie."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from respire.data.corpora import icbhi
from respire.data.corpora.corpus import Corpus, open_corpus
from respire.data.rows import NOBODY
from respire.data.splits.draw import devices_of, draw_test_sides, nobodys
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.split_ranges.report import Placed, RangesSummary, page, summary
from respire.recipe.identity import digest
from respire.runtime.choices import run_name
from respire.runtime.resources import Stopwatch
from respire.runtime.run_folder import claim
from respire.statistics.composition import composition
from respire.study.place import Place
from respire.study.survey import Survey

EXPERIMENT = "split_ranges"
DRAWS = 1000
RANGE = (0.025, 0.5, 0.975)
"""Quantiles that are told of every number: the ends of the 95% range, and the median."""
DRAWN = "splits.csv"


def describe(cut: Cut, place: Place, folds: str | None = None, name: str | None = None) -> str:
    """Draw many splits, and write what their test sides are made of.

    Args:
        cut: its ``split_seed`` is the first of 1,000; with ``stratify``, stratified splits are
            drawn beside the plain ones.
        place: data, storage, and whether bad recordings are left out.
        folds: the released code's list of patients and folds, each of which is placed among them.
        name: of the report's folder; None for one made of the key.

    Returns:
        The report's sentence and tables.

    Raises:
        InputError: bad input, or storage that cannot be written.
    """
    if cut.inside_training:
        raise InputError(f"--describe describes splits of everybody, not of {cut.kind}; use 80-20")
    stopwatch = Stopwatch()
    with stopwatch.part("catalogue"):
        corpus = open_corpus(place.data, place.skip_bad)
    if cut.needs_list:
        _ = corpus.official  # a missing list is told
    cycles = corpus.cycles
    patients = cycles.drop_duplicates("recording").set_index("recording")["patient"]
    if (patients == NOBODY).any():
        raise nobodys(patients)
    known = _known(corpus, cycles, folds)
    identity = {
        "data": corpus.fingerprint,
        "split_seed": cut.split_seed,
        "stratify": cut.stratify,
        "placed": {label: digest(tested.tolist()) for label, tested in known.items()},
    }
    key = digest(identity)
    name = run_name(name, "splits", key)
    folder = place.home / EXPERIMENT / name
    folder.check_writable()
    claim(folder, identity)
    devices = devices_of(cycles)
    seeds = range(cut.split_seed, cut.split_seed + DRAWS)
    with stopwatch.part("splits"):
        drawn = {
            kind: pd.DataFrame(
                [
                    composition(cycles[cycles["patient"].isin(tested)], devices)
                    for tested in draw_test_sides(cycles, seeds, stratify)
                ]
            )
            for kind, stratify in (("plain", False), ("stratified", True))
            if cut.stratify or not stratify
        }
    sides = RangesSummary(
        draws=DRAWS,
        split_seeds=(seeds[0], seeds[-1]),
        patients=int(cycles["patient"].nunique()),
        cycles=len(cycles),
        device=devices[0],
        ranges={
            kind: {str(number): tuple(of.quantile(RANGE)) for number, of in table.items()}
            for kind, table in drawn.items()
        },
        placed={
            label: _placed(composition(cycles[tested], devices), drawn["plain"])
            for label, tested in known.items()
        },
    )
    tables = [table.assign(kind=kind, split_seed=seeds) for kind, table in drawn.items()]
    (folder / DRAWN).write_bytes(pd.concat(tables).to_csv(index=False).encode())
    survey = Survey(EXPERIMENT, name, key, folder, corpus, stopwatch)
    results = survey.finish(sides, lambda results: page(results, drawn))
    return summary(results)


def _known(corpus: Corpus, cycles: pd.DataFrame, folds: str | None) -> dict[str, pd.Series]:
    """Which cycles published test sides hold, by what to call them."""
    known = {}
    if corpus.has_official:
        sides = cycles["recording"].map(dict(corpus.official))
        if (sides == "test").any():
            known["official 60-40"] = sides == "test"
    if folds is not None:
        try:
            text = Path(folds).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--folds {folds}: cannot be read ({error})") from error
        fold_of = cycles["patient"].map(icbhi.parse_folds(text, folds))
        if fold_of.isna().all():
            raise InputError(f"--folds {folds}: lists none of the patients of {corpus.directory}")
        known |= {f"fold {fold:.0f}": fold_of == fold for fold in sorted(fold_of.dropna().unique())}
    return known


def _placed(made_of: Mapping[str, float], drawn: pd.DataFrame) -> dict[str, Placed]:
    """Each number of a test side, and the share of drawn ones that lie below it."""

    def below(number: str) -> float:
        value, others = made_of[number], drawn[number]
        return float(np.mean(others < value) + np.mean(others == value) / 2)  # equal ones: half

    return {number: Placed(made_of[number], below(number)) for number in made_of}
