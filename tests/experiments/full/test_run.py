"""experiments/full.py as users run it: from the command line to what it leaves behind."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from commands import client_of, finished, parent_and_children
from servers import ModelServer
from small_run import BACKBONE, EPOCHS, FULL, NAME, SMALL, results_in

import respire
from respire.command.questions import full
from respire.data.corpora.icbhi_format import DEVICES
from respire.evaluation.decided import averaged, decided
from respire.metrics import Scores, overall
from respire.recipe.presets import quick

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEYS = {
    *("experiment", "name", "respire_version", "key", "numerics_version", "recipe", "split"),
    *("selection", "stages", "baselines", "stamps", "warnings", "skipped", "seconds"),
    *("peak_memory_mib", "environment", "weights", "along_prior", "seeds"),
    *("beyond", "subgroups", "windows", "groups"),
}


def assert_scored(scored: Mapping[str, Any], classes: int = 4) -> None:
    """Overall and by device are Scores that follow from their confusion matrices."""
    assert set(scored["by_device"]) <= set(DEVICES)
    total = np.zeros((classes, classes), int)
    for part in (scored["overall"], *scored["by_device"].values()):
        confusion = np.array(part["confusion"])
        assert confusion.shape == (classes, classes)
        assert part.items() >= Scores(confusion).to_json().items()
        assert part["n"] == confusion.sum()
    for part in scored["by_device"].values():
        total += np.array(part["confusion"])
    assert total.tolist() == scored["overall"]["confusion"]


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("quick")
    done = finished(FULL, folder, "--quick")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_quick_listens_to_patients_it_never_heard(quick_run: tuple[Path, str]) -> None:
    results = results_in(quick_run[0])
    tuned = results["stages"]["stage2"]["overall"]
    assert min(tuned["recall"]) > 0
    assert tuned["se"] >= 0.5
    baselines = {name: of["overall"]["score"] for name, of in results["baselines"].items()}
    # Sounds that are made by formula have telling statistics, and 57 patients are soon heard.
    assert baselines.pop("spectral statistics") > 0.8
    assert all(tuned["score"] > score for score in baselines.values())


def test_quick_prints_its_table_last_with_the_baselines_in_it(quick_run: tuple[Path, str]) -> None:
    folder, printed = quick_run
    results = results_in(folder)
    assert printed.index("MLflow:") < printed.rindex("majority")
    for baseline in results["baselines"]:
        assert baseline in printed
    assert f"{100 * results['stages']['stage2']['overall']['score']:.1f}" in printed


def test_results_are_complete(quick_run: tuple[Path, str]) -> None:
    results = results_in(quick_run[0])
    assert set(results) == KEYS
    assert results["recipe"]["preset"] == "quick"
    assert set(results["stages"]) == {"stage1", "stage2"}
    for scored in (*results["stages"].values(), *results["baselines"].values()):
        assert_scored(scored)
    names = {"majority", "device only", "mean mel bands", "spectral statistics"}
    assert set(results["baselines"]) == names
    for device, told in results["stages"]["stage2"]["devices"].items():
        assert device in DEVICES
        assert told["decision"] in ("fine-tuned", "kept stage 1", "unselected")
        assert told["reason"]
    assert set(results["stages"]["stage2"]["devices"]) == set(DEVICES)
    split = results["split"]
    assert {"kind", "holds_out", "split_seed", "inner_seed", "training_seed", "sides"} == set(split)
    for side in split["sides"].values():
        assert side["cycles"] == sum(side["by_class"].values())
        assert side["cycles"] == sum(part["cycles"] for part in side["by_device"].values())
    test = split["sides"]["test"]["cycles"]
    assert {s["overall"]["n"] for s in results["stages"].values()} == {test}
    windows, tuned = results["windows"], results["stages"]["stage2"]["overall"]
    assert windows["recordings"] == split["sides"]["test"]["recordings"]
    assert windows["window_s"] == results["recipe"]["features"]["window_seconds"]
    assert windows["cycles"].items() <= tuned.items()
    assert windows["windows"]["n"] > 0
    gain = windows["windows"]["score"] - tuned["score"]
    assert windows["difference"]["score"]["value"] == pytest.approx(gain)
    parts = {"catalogue", "cycles", "stage1", "stage2", "evaluation", "windows"}
    assert set(results["seconds"]) == parts | {"total"}
    assert results["seconds"]["total"] == pytest.approx(
        sum(results["seconds"][part] for part in parts), abs=0.1
    )
    assert any("synthetic" in warning for warning in results["warnings"])
    assert (results["selection"], results["stamps"]) == ("none", [])


def test_predictions_are_those_that_were_scored(quick_run: tuple[Path, str]) -> None:
    folder, _ = quick_run
    (file,) = folder.glob("runs/full/*/predictions.parquet")
    predictions = decided(pd.read_parquet(file))
    results = results_in(folder)
    for stage, rows in predictions.groupby("stage"):
        probabilities = rows[["p_normal", "p_crackle", "p_wheeze", "p_both"]].to_numpy()
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
        np.testing.assert_array_equal(probabilities.argmax(1), rows["predicted"])
        assert not rows.duplicated(["recording", "cycle"]).any()
        confusion = np.zeros((4, 4), int)
        np.add.at(confusion, (rows["label"].to_numpy(), rows["predicted"].to_numpy()), 1)
        assert confusion.tolist() == results["stages"][stage]["overall"]["confusion"]


def test_the_released_code_on_two_classes_runs_to_its_stamped_end(
    corpus: Path, tmp_path: Path
) -> None:
    """The other task, and all that recipe "released-code" does otherwise, on a small image."""
    done = finished(
        FULL,
        tmp_path,
        *("--data", str(corpus), "--task", "2-class", "--recipe", "released-code"),
        *("--recipe.features.window-seconds", "2", "--recipe.features.upsample", "1"),
        *("--recipe.features.n-fft", "512", "--recipe.features.hop", "256"),
        *("--recipe.concatenation.scheme", "mixed"),
        *("--recipe.model.backbone", BACKBONE, "--recipe.model.weights", "none"),
        *("--recipe.optimisation.epochs", "2", "--recipe.finetune.epochs", "1"),
        *("--recipe.finetune.unselected-epochs", "1", "--seeds", "2"),
        *("--register", "two-classes"),
    )
    assert done.returncode == 0, done.stderr
    results = results_in(tmp_path)
    for scored in (*results["stages"].values(), *results["baselines"].values()):
        assert_scored(scored, classes=2)
    cycles = results["split"]["sides"]["test"]["cycles"]
    assert results["stages"]["stage2"]["overall"]["n"] == cycles
    assert results["stamps"] == ["selected on test"]
    assert "selected on test" in done.stdout
    (file,) = tmp_path.glob("runs/full/*/predictions.parquet")
    rows = pd.read_parquet(file)
    predictions = decided(rows)
    assert {"p_normal", "p_abnormal"} <= set(predictions)
    # Two trainings, and what they say together.
    assert set(results["seeds"]["members"]) == {"0", "1"}
    for stage in ("stage1", "stage2"):
        of = rows[rows["stage"] == stage]
        members = [
            by_seed.drop(columns="seed").reset_index(drop=True) for _, by_seed in of.groupby("seed")
        ]
        assert not members[0].equals(members[1])
        together = overall(decided(averaged(members)), 2)
        told = results["seeds"]["averaged"][stage]["overall"]
        assert (told["se"], told["sp"]) == (together.se, together.sp)
        first = results["stages"][stage]["overall"]["score"]
        assert results["seeds"]["members"]["0"][stage]["score"] == first
    assert set(predictions["label"]) == {0, 1}
    (folder,) = tmp_path.glob("runs/full/*")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        for version, name in ((1, "model"), (2, "model-seed-1")):
            registered = respire.load_model(f"models:/two-classes/{version}", gpu="none")
            kept = respire.load_model(folder / name, gpu="none")
            assert registered.card == kept.card
            assert registered.card.training["seed"] == version - 1
            for device, learnt in kept.models.items():
                weights = registered.models[device].weights
                assert all(of.equal(weights[part]) for part, of in learnt.weights.items())


@pytest.mark.usefixtures("ray_session")
def test_a_name_of_another_run_is_refused_with_the_difference(
    uninterrupted: Path,
    corpus: Path,
    refusal: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = results_in(uninterrupted, NAME)
    monkeypatch.chdir(uninterrupted)
    line = refusal(full, "--data", str(corpus), *SMALL, "--seed", "1")
    assert "seed was 0, is 1" in line
    assert "choose another --name" in line
    assert results_in(uninterrupted, NAME) == before


def test_mlflow_has_a_parent_with_the_recipe_and_final_metrics(uninterrupted: Path) -> None:
    results = results_in(uninterrupted, NAME)
    parent, _ = parent_and_children("full", uninterrupted)
    assert (parent.info.run_name, parent.info.status) == (NAME, "FINISHED")
    assert parent.data.params.keys() == quick().flat().keys() - {"preset"}
    assert parent.data.tags["respire.recipe"] == "quick"
    assert parent.data.params["optimisation.epochs"] == str(EPOCHS)
    for stage, scored in results["stages"].items():
        assert parent.data.metrics[f"{stage}.score"] == scored["overall"]["score"]
        assert parent.data.metrics[f"{stage}.auc"] == pytest.approx(scored["overall"]["auc"])
        for device, scores in scored["by_device"].items():
            assert parent.data.metrics[f"{stage}.{device}.sp"] == pytest.approx(scores["sp"])
    sides = {tag.value for dataset in parent.inputs.dataset_inputs for tag in dataset.tags}
    assert sides == {"train", "validation", "test"}


def test_mlflow_has_a_nested_run_for_stage_1_and_each_device(uninterrupted: Path) -> None:
    client = client_of(uninterrupted)
    results = results_in(uninterrupted, NAME)
    _, children = parent_and_children("full", uninterrupted)
    assert set(children) == {"stage1", *DEVICES}
    for name, run in children.items():
        epochs = client.get_metric_history(run.info.run_id, "train_loss")
        expected = EPOCHS if name == "stage1" else 1
        assert [metric.step for metric in epochs] == list(range(1, expected + 1))
        assert run.info.status == "FINISHED"
    for device, told in results["stages"]["stage2"]["devices"].items():
        assert children[device].data.tags["respire.decision"] == told["decision"]


def test_mlflow_keeps_figures_and_confusions(uninterrupted: Path) -> None:
    parent, _ = parent_and_children("full", uninterrupted)
    fetched = Path(
        mlflow.artifacts.download_artifacts(
            run_id=parent.info.run_id,
            tracking_uri=f"sqlite:///{uninterrupted}/mlflow.db",
            dst_path=str(uninterrupted / "fetched"),
        )
    )
    names = {str(path.relative_to(fetched)) for path in fetched.rglob("*") if path.is_file()}
    assert {"results.json", "report.md", "report.html", "predictions.parquet"} <= names
    assert {"confusion/stage1.json", "confusion/stage2.json"} <= names
    pictures = 7 + bool(results_in(uninterrupted, NAME)["subgroups"]["shown"])
    assert sum(name.endswith(".png") for name in names) == pictures


def model_of(folder: Path) -> str:
    """What MLflow calls the model of the run in a folder."""
    parent, _ = parent_and_children("full", folder)
    return parent.data.tags["respire.model"].partition(" ")[2]


def test_the_model_is_where_its_run_is(uninterrupted: Path) -> None:
    """And not in the store's default experiment, whose files MLflow keeps where it was started."""
    parent, _ = parent_and_children("full", uninterrupted)
    model_id = model_of(uninterrupted).rpartition("/")[2]
    model = client_of(uninterrupted).get_logged_model(model_id)
    assert model.experiment_id == parent.info.experiment_id
    assert model.source_run_id == parent.info.run_id
    assert model.params == parent.data.params
    assert not (uninterrupted / "mlruns").exists()


def test_a_model_is_left_that_answers_as_the_run_did(uninterrupted: Path, corpus: Path) -> None:
    """From the folder, and from MLflow, of the run's own test recordings as files."""
    folder = uninterrupted / "runs" / "full" / NAME
    told = results_in(uninterrupted, NAME)["stages"]["stage2"]["devices"]
    tuned = {device for device in DEVICES if told[device]["decision"] != "kept stage 1"}
    model = respire.load_model(folder / "model", gpu="none")
    assert set(model.models) == {"stage1", *tuned}
    assert dict(model.card.devices) == {device: told[device]["decision"] for device in told}
    rows = pd.read_parquet(folder / "predictions.parquet")
    expected = decided(rows[rows["stage"] == "stage2"], model.card.prior)
    names = dict.fromkeys(expected["recording"])
    files = [str(next(corpus.rglob(f"{name}.wav"))) for name in names]
    heard = model.predict(files, annotations=True)
    p = [f"p_{name}" for name in model.card.classes]
    within = 1e-5 if model.compute.precision == "fp32" else 1e-2
    np.testing.assert_allclose(heard[p], expected[p], atol=within)
    called = [model.card.classes[index] for index in expected["predicted"]]
    assert (heard["class"] == called).mean() >= 0.99
    uri = model_of(uninterrupted)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{uninterrupted}/mlflow.db")
        logged = respire.load_model(uri, gpu="none")
        pd.testing.assert_frame_equal(logged.predict(files[0]), model.predict(files[0]))
        served = mlflow.pyfunc.load_model(uri)
        first = heard[heard["file"] == files[0]]
        asked = first[["start_s", "end_s", "device"]].assign(audio=Path(files[0]).read_bytes())
        answered = served.predict(asked)
        np.testing.assert_allclose(answered[p], first[p], atol=within)
        assert answered["row"].tolist() == list(range(len(first)))


def test_a_served_model_answers_as_it_does_in_python(
    uninterrupted: Path, corpus: Path, tmp_path: Path
) -> None:
    """By ``mlflow models serve``: a part of a recording, one as a whole, and what no name tells."""
    model = respire.load_model(uninterrupted / "runs" / "full" / NAME / "model", gpu="none")
    files = sorted(corpus.rglob("*.wav"))[:3]
    asked = pd.DataFrame(
        {
            "audio": [files[0].read_bytes(), files[1].read_bytes(), b""],
            "uri": [None, None, str(files[2])],
            "device": ["Meditron", "Walkman", None],
            "start_s": [0.5, None, None],
            "end_s": [2.0, None, None],
        }
    )
    expected = model.answer(asked)
    assert expected["row"].nunique() == 3
    encoded = asked.assign(audio=[base64.b64encode(audio).decode() for audio in asked["audio"]])
    with ModelServer(tmp_path, model_of(uninterrupted), uninterrupted / "mlflow.db") as server:
        answered = server.answers(encoded)
    p = [f"p_{name}" for name in model.card.classes]
    told = ["row", "file", "start_s", "end_s", "device", "model"]
    pd.testing.assert_frame_equal(answered[told], expected[told])
    within = 1e-5 if model.compute.precision == "fp32" else 1e-2
    np.testing.assert_allclose(answered[p], expected[p], atol=within)
    assert list(answered.columns) == list(expected.columns)
