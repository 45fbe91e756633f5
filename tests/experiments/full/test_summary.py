from types import SimpleNamespace
from typing import Any

import pandas as pd

from respire.experiments.full.summary import HOST_BANK_WARNING, Outcome, _locations, histories
from respire.study.progress import EpochReport
from respire.training.loop import HOST_BANK, Fit

ROW = {"epoch": 2.0, "train_loss": 1.5, "seconds": 3.0, "validation_score": 0.5}


def outcome(stage1: Fit, **devices: Fit | None) -> Outcome:
    models: Any = {
        device: SimpleNamespace(trial=None if of is None else SimpleNamespace(fit=of))
        for device, of in devices.items()
    }
    return Outcome(stage1, models, {}, {}, {})


def test_results_warn_of_a_bank_in_host_memory_whichever_stage_had_it():
    plain, hosted = Fit(history=[ROW]), Fit(history=[ROW, ROW | {HOST_BANK: 1.0}])
    assert outcome(plain, Meditron=plain, Litt3200=None).warnings == ()
    assert outcome(hosted, Meditron=plain).warnings == (HOST_BANK_WARNING,)
    assert outcome(plain, Meditron=hosted).warnings == (HOST_BANK_WARNING,)


def test_histories_name_the_run_of_each_epoch():
    rows = histories(outcome(Fit(history=[ROW, ROW]), Meditron=Fit(history=[ROW]), Litt3200=None))
    assert rows["run"].tolist() == ["stage1", "stage1", "Meditron"]


def test_the_console_says_after_each_epoch_where_the_recordings_are():
    lines: list[str] = []
    queue: Any = SimpleNamespace(put_nowait=lines.append)
    report = EpochReport("stage1", 4, "validation", lambda *_: None, queue)  # type: ignore[arg-type]
    report(ROW)
    report(ROW | {HOST_BANK: 1.0})
    assert lines == [
        "stage1: epoch 2/4, loss 1.500, validation Score 50.0%, 3.0 s, about 6 s left",
        "stage1: epoch 2/4, loss 1.500, validation Score 50.0%, 3.0 s, recordings in host memory, "
        "about 6 s left",
    ]


def test_an_unknown_location_is_none() -> None:
    cycles = pd.DataFrame({"recording": ["a", "a", "b"], "location": ["Al", "Al", "unknown"]})
    assert _locations(cycles) == {"a": "Al"}
