"""Everything a user can get wrong, through the command line that users type."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.error import URLError

import numpy as np
import pytest
import soundfile as sf

from respire.command.questions import device_finetuning, full, seed_variance, single_device
from respire.data.corpora.corpus import open_corpus
from respire.runtime.tracking_store import preflight, resolve_uri

FULL = Path(__file__).resolve().parents[1] / "experiments" / "full.py"

Break = Callable[[Path], str]
"""Breaks the recording of this wav; returns what the message must start with, below its folder."""


def without_annotation(wav: Path) -> str:
    wav.with_suffix(".txt").unlink()
    return wav.name


def without_audio(wav: Path) -> str:
    wav.unlink()
    return wav.with_suffix(".txt").name


def torn(wav: Path) -> str:
    content = wav.read_bytes()
    wav.write_bytes(content[: len(content) // 2])
    return wav.name


def not_audio(wav: Path) -> str:
    wav.write_bytes(b"these are not the sounds of lungs")
    return wav.name


def renamed(stem: str) -> Break:
    def rename(wav: Path) -> str:
        wav.with_suffix(".txt").rename(wav.with_name(f"{stem}.txt"))
        wav.rename(wav.with_name(f"{stem}.wav"))
        return f"{stem}.wav"

    return rename


def annotated(*rows: str) -> Break:
    """Rows of which the second is bad."""

    def annotate(wav: Path) -> str:
        annotation = wav.with_suffix(".txt")
        annotation.write_text("\n".join(("0.1 0.5 0 0", *rows)) + "\n")
        return f"{annotation.name}, row 2"

    return annotate


def emptied(wav: Path) -> str:
    annotation = wav.with_suffix(".txt")
    annotation.write_text("")
    return annotation.name


BREAKS: dict[str, Break] = {
    "wav without txt": without_annotation,
    "txt without wav": without_audio,
    "torn wav": torn,
    "wav that is no audio": not_audio,
    "unknown device": renamed("101_1b1_Al_sc_Walkman"),
    "unknown location": renamed("101_1b1_Zz_sc_Meditron"),
    "name that does not parse": renamed("ward-7-monday"),
    "annotation without rows": emptied,
    "annotation with a column missing": annotated("0.5 0.9 0"),
    "annotation with words for seconds": annotated("half one 0 0"),
    "annotation with a flag of 2": annotated("0.5 0.9 2 0"),
    "annotation with NaN": annotated("0.5 nan 0 0"),
    "reversed cycle": annotated("0.9 0.6 0 0"),
    "overlapping cycle": annotated("0.4 0.9 0 0"),
    "cycle beyond the end": annotated("0.5 9999 0 0"),
}
"""What the names, annotations and headers of a data set tell, before anything is decoded."""


def half_noise_half_nothing(wav: Path) -> str:
    """Samples that are not finite: only decoding tells."""
    samples, rate = sf.read(wav)
    samples[len(samples) // 2 :] = np.nan
    sf.write(wav, samples, rate, subtype="FLOAT")
    return wav.name


@pytest.fixture
def few(corpus: Path, tmp_path: Path) -> Path:
    """Four recordings of the corpus, to be broken."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for wav in sorted(corpus.glob("*.wav"))[:4]:
        for file in (wav, wav.with_suffix(".txt")):
            shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all refusals: its schema takes seconds."""
    uri = resolve_uri(f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db")
    preflight(uri, "full")
    return uri


Refusal = Callable[..., str]


@pytest.fixture
def refusal(refusal: Refusal, tracking: str, tmp_path: Path) -> Refusal:
    """Types the quick experiment, or another, with more arguments; returns its refusal, and checks
    that nothing is left in storage."""

    def refuse(*arguments: str, question: Callable[[str], NoReturn] = full) -> str:
        storage = tmp_path / "runs"
        line = ["--recipe", "quick", "--gpu", "none", "--storage", str(storage)]
        line += ["--tracking-uri", tracking, *arguments]
        said = refusal(question, *line)
        assert [path for path in storage.rglob("*") if path.is_file()] == []
        return said

    return refuse


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals that cost seconds must not come after Ray's start."""

    def start() -> NoReturn:
        pytest.fail("Ray was started")

    monkeypatch.setattr("respire.study.experiment.session", start)


def first(folder: Path) -> Path:
    return min(folder.glob("*.wav"))


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("bad", BREAKS)
def test_a_bad_recording_is_refused_by_file_and_row(bad: str, few: Path, refusal: Refusal) -> None:
    where = BREAKS[bad](first(few))
    said = refusal("--data", str(few))
    assert said.startswith(f"error: {few / where}: ")
    reason, _, remedy = said.removeprefix(f"error: {few / where}: ").rpartition("; ")
    assert reason
    assert re.search(r"--skip-bad|remove it", remedy)
    assert "NativeFile" not in said
    if bad == "wav that is no audio":
        assert "correct it" not in said


@pytest.mark.parametrize("bad", BREAKS)
def test_skip_bad_leaves_a_bad_recording_out_and_says_why(bad: str, few: Path) -> None:
    stems = {wav.stem for wav in few.glob("*.wav")}
    broken = first(few)
    where = BREAKS[bad](broken)
    opened = open_corpus(str(few), skip_bad=True)
    assert len(opened.skipped) == 1
    assert opened.skipped[0].startswith(f"{few / where}: ")
    assert set(opened.cycles["recording"]) == stems - {broken.stem}


def test_skip_bad_lists_every_bad_recording(few: Path) -> None:
    wavs = sorted(few.glob("*.wav"))
    broken = [bad(wav) for bad, wav in zip((torn, without_annotation, emptied), wavs, strict=False)]
    opened = open_corpus(str(few), skip_bad=True)
    assert [line.partition(": ")[0] for line in opened.skipped] == [str(few / at) for at in broken]
    assert set(opened.cycles["recording"]) == {wavs[3].stem}


@pytest.mark.usefixtures("without_ray")
def test_skip_bad_with_nothing_left_is_refused(few: Path, refusal: Refusal) -> None:
    for wav in sorted(few.glob("*.wav")):
        without_annotation(wav)
    said = refusal("--data", str(few), "--skip-bad")
    assert "every recording is bad" in said
    assert str(few) in said


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
def test_a_missing_directory_is_refused(
    more: tuple[str, ...], tmp_path: Path, refusal: Refusal
) -> None:
    said = refusal("--data", str(tmp_path / "nowhere"), *more)
    assert said.startswith(f"error: {tmp_path / 'nowhere'}: ")
    assert said.endswith("give the data set's directory with --data")


@pytest.mark.usefixtures("without_ray")
def test_a_file_for_a_directory_is_refused(few: Path, refusal: Refusal) -> None:
    said = refusal("--data", str(first(few)))
    assert said.startswith(f"error: {first(few)}: ")
    assert said.endswith("give the data set's directory with --data")


@pytest.mark.usefixtures("without_ray")
def test_a_directory_without_recordings_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "empty").mkdir()
    said = refusal("--data", str(tmp_path / "empty"))
    assert said.startswith(f"error: {tmp_path / 'empty'}: no recording ")
    assert said.endswith("give the data set's directory with --data")


@pytest.mark.usefixtures("without_ray")
def test_the_official_split_without_its_list_is_refused(few: Path, refusal: Refusal) -> None:
    said = refusal("--data", str(few), "--split", "60-40")
    assert said.startswith(f"error: {few}: no ICBHI_challenge_train_test.txt")
    assert said.endswith("use --split 80-20")


@pytest.mark.usefixtures("without_ray")
def test_splits_by_a_list_that_is_missing_are_not_described(few: Path, refusal: Refusal) -> None:
    asked = ("--data", str(few), "--describe", "--split", "60-40", "--splits", "1")
    said = refusal(*asked, question=seed_variance)
    assert said.startswith(f"error: {few}: no ICBHI_challenge_train_test.txt")


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("question", [single_device, device_finetuning])
def test_a_question_about_devices_that_are_not_there_is_refused_with_those_that_are(
    question: Callable[[str], NoReturn], few: Path, refusal: Refusal
) -> None:
    for file in sorted(few.iterdir()):
        if "Meditron" not in file.stem:
            file.rename(file.with_name(f"{file.stem.rpartition('_')[0]}_Meditron{file.suffix}"))
    said = refusal("--data", str(few), question=question)
    assert said.startswith("error: --data: ")
    assert "the recordings have Meditron only" in said


@pytest.mark.usefixtures("without_ray")
def test_storage_that_cannot_be_written_is_refused(few: Path, refusal: Refusal) -> None:
    file = first(few)  # a folder below a file can nobody make, not even root
    content = file.read_bytes()
    said = refusal("--data", str(few), "--storage", str(file / "runs"))
    assert said.startswith(f"error: {file / 'runs'}")
    assert said.endswith("choose another --storage")
    assert file.read_bytes() == content


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "file:///mlruns", "mlruns"])
def test_a_tracking_store_that_cannot_be_used_is_refused(
    uri: str, few: Path, refusal: Refusal
) -> None:
    said = refusal("--data", str(few), "--tracking-uri", uri)
    assert said.startswith(f"error: --tracking-uri {uri}: ")
    assert "sqlite:///mlflow.db" in said


@pytest.mark.usefixtures("without_ray")
def test_a_tracking_database_that_cannot_be_written_is_refused(few: Path, refusal: Refusal) -> None:
    uri = f"sqlite:///{first(few)}/mlflow.db"
    said = refusal("--data", str(few), "--tracking-uri", uri)
    assert said.startswith(f"error: --tracking-uri {uri}: ")
    assert said.endswith("choose another --tracking-uri")


@pytest.mark.usefixtures("without_ray")
def test_a_window_shorter_than_one_fft_is_refused(few: Path, refusal: Refusal) -> None:
    said = refusal("--data", str(few), "--recipe.features.window-seconds", "0.05")
    assert said.startswith("error: recipe.features.window_seconds: 0.05 s is 200 samples")
    assert said.endswith("use at least 0.128 s")


@pytest.mark.usefixtures("without_ray")
@pytest.mark.parametrize("workers", ["3", "0", "-2"])
def test_workers_that_do_not_divide_the_batch_are_refused(
    workers: str, few: Path, refusal: Refusal
) -> None:
    said = refusal("--data", str(few), "--workers", workers)
    assert f"{workers} workers" in said
    assert "choose a number of workers" in said


@pytest.mark.usefixtures("without_ray")
def test_a_file_of_weights_that_is_not_there_is_refused(few: Path, refusal: Refusal) -> None:
    path = str(few / "weights.pt")
    said = refusal("--data", str(few), "--recipe.model.weights", path)
    assert said.startswith("error: recipe.model.weights: ")
    assert path in said
    assert "imagenet, none, or the path of a state dict" in said


@pytest.mark.usefixtures("without_ray")
def test_weights_that_cannot_be_downloaded_are_refused(
    few: Path, tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> NoReturn:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    said = refusal("--data", str(few), "--recipe.model.weights", "imagenet")
    assert "no route to host" in said
    assert str(tmp_path / "torch") in said
    assert said.endswith("--recipe.model.weights none")


@pytest.mark.usefixtures("ray_session")
def test_what_only_decoding_tells_is_refused_as_well(few: Path, refusal: Refusal) -> None:
    where = half_noise_half_nothing(first(few))
    said = refusal("--data", str(few))
    assert said.startswith(f"error: {few / where}: holds samples that are not finite; ")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(annotated("0.9 0.6 0 0"), id="before Ray"),
        pytest.param(half_noise_half_nothing, id="with Ray", marks=pytest.mark.slow),
    ],
)
def test_the_process_exits_with_2_and_one_line(
    bad: Break, few: Path, tracking: str, tmp_path: Path
) -> None:
    where = bad(first(few))
    line = [str(FULL), "--data", str(few), "--recipe", "quick", "--storage", "runs"]
    line += ["--tracking-uri", tracking]
    typed = subprocess.run(
        [sys.executable, *line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert typed.returncode == 2
    assert re.fullmatch(rf"error: {re.escape(str(few / where))}: [^\n]+\n", typed.stderr)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_the_report_lists_what_skip_bad_left_out(
    corpus: Path, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recordings"
    shutil.copytree(corpus, folder)
    by_patient = {wav.name.partition("_")[0]: wav for wav in sorted(folder.glob("*_Meditron.wav"))}
    bad = (torn, annotated("0.9 0.6 0 0"), half_noise_half_nothing)
    wheres = [str(folder / b(wav)) for b, wav in zip(bad, by_patient.values(), strict=False)]
    line = ["--data", str(folder), "--recipe", "quick", "--gpu", "none", "--skip-bad"]
    line += ["--recipe.optimisation.epochs", "1", "--recipe.finetune.epochs", "1"]
    line += ["--recipe.features.window-seconds", "2"]
    line += ["--storage", str(tmp_path / "runs"), "--tracking-uri", tracking, "--name", "skipping"]
    monkeypatch.setattr(sys, "argv", ["full.py", *line])
    with pytest.raises(SystemExit) as ended:
        full("a test")
    assert ended.value.code == 0
    written = tmp_path / "runs" / "full" / "skipping"
    results = json.loads((written / "results.json").read_text())

    assert len(results["skipped"]) == 3
    assert all(any(s.startswith(f"{w}: ") for s in results["skipped"]) for w in wheres)
    report = (written / "report.md").read_text()
    assert all(Path(where).name.partition(",")[0] in report for where in wheres)
    sides = results["split"]["sides"].values()
    kept = len(list(corpus.glob("*.wav"))) - 3
    assert sum(side["recordings"] for side in sides) == kept
