"""``respire predict``: its options, what it writes and what it says."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

import tyro

from respire.command.main import asked_with
from respire.command.options import gpu_from_environment
from respire.errors import InputError
from respire.metrics import percent
from respire.runtime.choices import Gpu

if TYPE_CHECKING:  # what they are made of takes seconds to import
    import pandas as pd

    from respire.inference.model import Model
    from respire.inference.recordings import Recording

FORMS = (".csv", ".parquet", ".json")
SHOWN = 40
"""Rows of a table on the console, where there is a file with all of them."""


@dataclass(frozen=True)
class PredictOptions:
    """Which model, which recordings, and where the answers go."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder "model" that full wrote, or the URI of one, such as models:/NAME/1."""
    recordings: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE|DIR|MANIFEST|URI ...")
    ]
    """Recordings of any sample rate and number of channels; folders are searched recursively. A
    manifest (.csv, .parquet) says which cycles are heard, and what device made them."""
    device: str = ""
    """Device (stethoscope) of recordings where neither a manifest says nor their name ends in one,
    as ICBHI's do. Where the model has one of its own for a device, that answers, else the common
    one."""
    annotations: tyro.conf.FlagCreatePairsOff[bool] = False
    """Hear the annotated cycles (NAME.txt beside NAME.wav, in ICBHI's layout), in place of
    half-overlapping windows as long as the model's."""
    out: Annotated[str | None, tyro.conf.arg(metavar="FILE.csv|parquet|json")] = None
    """Where a row a window or cycle goes; a row a recording goes beside it, to FILE-recordings, and
    in JSON each recording holds its own."""
    strict: tyro.conf.FlagCreatePairsOff[bool] = False
    """Stop at the first bad recording; without it they are listed and the others heard."""
    gpu: Gpu = field(default_factory=gpu_from_environment)
    """auto: a GPU where there is one; none; required."""
    ray: tyro.conf.FlagCreatePairsOff[bool] = False
    """Hear them over Ray Data, in the cluster that this machine belongs to, or on all its cores."""

    def __post_init__(self) -> None:
        if not self.recordings:
            raise InputError("predict: name a recording, a folder of them, a manifest, or a URI")
        if self.out is not None and PurePosixPath(self.out).suffix not in FORMS:
            raise InputError(f"--out {self.out}: must end in {', '.join(FORMS)}")


@asked_with(PredictOptions, interrupted="interrupted; nothing is written")
def predict(options: PredictOptions) -> str:
    """``respire predict``: what it prints last.

    Raises:
        InputError: no such model or recording; or recordings were bad, told once the others have
            been heard and written.
    """
    # Before torch is there: on cores that others use too, threads that spin slow it manyfold.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    import pandas as pd
    from tqdm import tqdm

    from respire.inference.model import load_model
    from respire.inference.recordings import find_recordings
    from respire.inference.whole import of_recordings
    from respire.runtime.resources import set_up_torch
    from respire.runtime.storage import Storage

    set_up_torch()
    model = load_model(options.model, "none" if options.ray else options.gpu)
    found = find_recordings(options.recordings, options.device, options.annotations)
    recordings = [one for one in found if one.cycles != ()]
    unlabelled = [
        f"{one.file}: none of its cycles has a settled label" for one in found if one.cycles == ()
    ]
    for line in unlabelled:
        print(f"left out: {line}", file=sys.stderr)
    if options.out is not None:
        read = {Storage.at(of).uri for of in (*options.recordings, *(one.file for one in found))}
        for file in _files(options.out):
            if Storage.at(file).uri in read:
                raise InputError(f"--out {options.out}: {file} is read; choose another name")
        Storage.at(options.out.rpartition("/")[0] or ".").check_writable()
    bad: list[str] = []

    def on_bad(_: "Recording", error: InputError) -> None:
        if options.strict:
            raise error
        bad.append(str(error))

    if options.ray:
        from respire.study.answer import hear_in_cluster

        hearing = hear_in_cluster(model, recordings, options.gpu, on_bad)
    else:
        hearing = model.hear(recordings, on_bad)
    heard = []
    with tqdm(total=len(recordings), unit="recording", disable=None) as progress:
        for answers in hearing:
            heard.append(answers)
            progress.update(answers["file"].nunique())
    if len(recordings) == len(bad) == 1:
        raise InputError(bad[0])
    for line in bad:
        print(f"left out: {line}", file=sys.stderr)
    told = f"{len(bad)} of {len(recordings)} recordings are bad"
    if not heard:
        raise InputError(f"{told}; nothing is written")
    rows = pd.concat(heard, ignore_index=True)
    whole = of_recordings(rows)
    if options.out is not None:
        _write(options.out, model, rows, whole, unlabelled + bad)
    said = _said(model, rows, whole, options.out)
    if bad:
        print(said)
        raise InputError(f"{told}, and left out; the others were heard")
    return said


def _files(out: str) -> tuple[str, ...]:
    """What is written: of windows or cycles, and beside it of recordings; in JSON all in one."""
    stem, dot, form = out.rpartition(".")
    return (out,) if form == "json" else (out, f"{stem}-recordings{dot}{form}")


def _write(
    out: str, model: "Model", rows: "pd.DataFrame", whole: "pd.DataFrame", left_out: list[str]
) -> None:
    """Write both tables, each file whole or not at all."""
    import pyarrow as pa

    from respire.runtime.storage import Storage

    form = out.rpartition(".")[2]
    if form == "json":
        windows = {file: of.drop(columns="file") for file, of in rows.groupby("file", sort=False)}
        told = [
            {**of, "heard": windows[of["file"]].to_dict("records")}
            for of in whole.to_dict("records")
        ]
        about = {
            "respire_version": model.card.respire_version,
            "rule": model.card.rule,
            "classes": model.card.classes,
            "key": model.card.training["key"],
        }
        Storage.at(out).write_json({"model": about, "recordings": told, "left_out": left_out})
        return
    for file, table in zip(_files(out), (rows, whole), strict=True):
        if form == "csv":
            Storage.at(file).write_bytes(table.to_csv(index=False).encode())
        else:
            Storage.at(file).write_table(pa.Table.from_pandas(table, preserve_index=False))


def _said(model: "Model", rows: "pd.DataFrame", whole: "pd.DataFrame", out: str | None) -> str:
    """What the console shows: of one recording its windows too."""
    from respire.report.table import Table

    def shown(table: "pd.DataFrame") -> "pd.DataFrame":
        return table if out is None else table.head(SHOWN)

    tables = [
        Table.of(
            "Recordings",
            {
                "File": lambda of: of["file"],
                "Device": lambda of: of["device"] or "unknown",
                "Heard by": lambda of: of["model"],
                "Class": lambda of: of["class"],
                "Windows": lambda of: f"{of['windows']:,}",
                "Abnormal (%)": lambda of: percent(of["abnormal"]),
                "Longest run": lambda of: f"{of['longest_abnormal']:,}",
            },
            [(of,) for of in shown(whole).to_dict("records")],
            text_columns=4,
            note=f"Class: {model.card.rule}. Abnormal: share of the windows or cycles that are not "
            "normal; longest run: the most such ones in a row. Not a diagnosis.",
        )
    ]
    if len(whole) == 1:
        tables.insert(
            0,
            Table.of(
                "Windows or cycles",
                {
                    "Start (s)": lambda of: f"{of['start_s']:.2f}",
                    "End (s)": lambda of: f"{of['end_s']:.2f}",
                    "Class": lambda of: of["class"],
                    "Confidence (%)": lambda of: percent(of["confidence"]),
                },
                [(of,) for of in shown(rows).to_dict("records")],
                text_columns=0,
            ),
        )
    counts = ", ".join(f"{n:,} {name}" for name, n in whole["class"].value_counts().items())
    where = "" if out is None else f"; written to {out}"
    last = f"{len(whole):,} recordings heard: {counts}{where}"
    return "\n\n".join([*(table.markdown(_stamps(model)) for table in tables), last])


def _stamps(model: "Model") -> tuple[str, ...]:
    return tuple(model.card.training["stamps"])
