import dataclasses
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.command.main import command
from respire.command.options import QUICK_EPOCHS, QUICK_SEEDS, QUICK_SPLITS, GridOptions
from respire.command.parse import parse, recipe_of
from respire.command.questions import FullOptions as Options
from respire.command.questions import SearchOptions
from respire.errors import InputError, RunError
from respire.recipe.presets import PRESETS, fixed, paper, quick, small
from respire.recipe.recipe import Recipe

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
FULL = EXPERIMENTS / "full.py"
HEAVY = {"torch", "torchvision", "ray", "mlflow", "pandas", "pyarrow"}
"""Packages that take from half a second to seconds to import."""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESPIRE_DATA", "RESPIRE_STORAGE", "RESPIRE_GPU", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def options(*arguments: str) -> Options:
    return parse(Options, arguments, "a test")


def grid_options(*arguments: str) -> GridOptions:
    return parse(GridOptions, arguments, "a test")


def exit_of(
    question: Callable[[Options], None], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> str | int | None:
    """The exit status of a command line."""
    monkeypatch.setattr(sys, "argv", ["experiment.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        command(Options, question, "a test")
    return ended.value.code


def flags(of: type, prefix: str = "") -> list[str]:
    """The flag of every option below a dataclass."""
    found = []
    for field in dataclasses.fields(of):
        if field.name == "preset":
            found += ["--recipe"] if of is Options else []
            continue
        name = prefix + field.name.replace("_", "-")
        kind = Recipe if field.name == "recipe" else field.default_factory
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            found += flags(kind, f"{name}.")
        else:
            found.append(f"--{name}")
    return found


def test_without_arguments_it_is_the_paper_on_the_published_recordings() -> None:
    chosen = options()
    assert chosen.recipe == paper()
    assert (chosen.data, chosen.split, chosen.workers, chosen.quick) == (None, "80-20", 1, False)
    assert (chosen.storage, chosen.tracking_uri) == ("runs", "sqlite:///mlflow.db")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_recipe_by_name_is_that_preset(preset: str) -> None:
    chosen = options("--recipe", preset)
    assert chosen.recipe == PRESETS[preset]()
    assert chosen.preset == chosen.recipe.preset == preset
    assert options(f"--recipe={preset}") == chosen


@pytest.mark.parametrize("preset", PRESETS)
@settings(max_examples=30)
@given(
    window_seconds=st.floats(0.13, 20).map(lambda s: round(s, 2)),
    epochs=st.integers(1, 500),
    preset_first=st.booleans(),
)
def test_an_override_changes_its_field_of_the_preset_and_no_other(
    preset: str, window_seconds: float, epochs: int, preset_first: bool
) -> None:
    base = PRESETS[preset]()
    name = ["--recipe", preset]
    overrides = ["--recipe.features.window-seconds", str(window_seconds)]
    overrides += ["--recipe.optimisation.epochs", str(epochs)]
    recipe = options(*(name + overrides if preset_first else overrides + name)).recipe
    assert recipe == dataclasses.replace(
        base,
        features=dataclasses.replace(base.features, window_seconds=window_seconds),
        optimisation=dataclasses.replace(base.optimisation, epochs=epochs),
    )


def test_whether_the_bits_repeat_reaches_what_computes() -> None:
    for wanted, arguments in ((False, ()), (True, ("--deterministic",))):
        place = options("--gpu", "none", *arguments).place
        assert place.deterministic == place.compute("fp32").deterministic == wanted


def test_fine_tuning_trials_have_a_short_flag_and_the_recipes_own() -> None:
    tried = dataclasses.replace(
        paper(), finetune=dataclasses.replace(paper().finetune, trials_per_device=4)
    )
    assert options("--finetune.trials-per-device", "4").recipe == tried
    assert options("--recipe.finetune.trials-per-device", "4").recipe == tried


def test_the_task_has_a_short_flag() -> None:
    assert options("--task", "2-class").recipe.classes == ("normal", "abnormal")


def test_quick_is_synthetic_data_and_the_quick_recipe() -> None:
    chosen = options("--quick")
    assert chosen.data == "synthetic"
    assert (chosen.preset, chosen.recipe) == ("quick", quick())


def test_quick_yields_to_what_is_said_beside_it() -> None:
    chosen = options("--quick", "--data", "recordings", "--recipe.finetune.epochs", "2")
    assert chosen.data == "recordings"
    assert chosen.recipe.finetune.epochs == 2
    assert options("--quick", "--recipe", "paper").recipe == paper()


def test_a_quick_grid_is_a_small_one_of_short_runs_on_synthetic_data() -> None:
    chosen = grid_options("--quick")
    optimisation = dataclasses.replace(quick().optimisation, epochs=QUICK_EPOCHS)
    assert chosen.data == "synthetic"
    assert (chosen.preset, chosen.recipe) == (
        "quick",
        dataclasses.replace(quick(), optimisation=optimisation),
    )
    assert (chosen.splits, chosen.seeds) == (QUICK_SPLITS, QUICK_SEEDS)
    whole = grid_options()
    assert (whole.data, whole.recipe) == (None, paper())
    assert quick().optimisation.epochs > QUICK_EPOCHS
    assert whole.splits > QUICK_SPLITS
    assert whole.seeds > QUICK_SEEDS


def test_a_quick_grid_yields_to_what_is_said_beside_it() -> None:
    said = ("--splits", "9", "--seeds", "7", "--recipe.optimisation.epochs", "6")
    chosen = grid_options("--quick", *said, "--data", "recordings")
    assert (chosen.splits, chosen.seeds, chosen.recipe.optimisation.epochs) == (9, 7, 6)
    assert chosen.data == "recordings"
    assert chosen.recipe.features == quick().features
    other = grid_options("--quick", "--recipe", "paper").recipe
    optimisation = dataclasses.replace(paper().optimisation, epochs=QUICK_EPOCHS)
    assert other == dataclasses.replace(paper(), optimisation=optimisation)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--splits", "0"], r"^--splits 0: must be at least 1, at most 1,000,000$"),
        (["--seeds", "-1"], r"^--seeds -1: must be at least 1"),
        (["--per-gpu", "0"], r"^--per-gpu 0: must be at least 1"),
        (["--split", "by-cycle"], r"^--split by-cycle: .* use --split 80-20"),
        (["--split", "60-40"], r"^--split 60-40 is the same for every seed; .*--splits 1$"),
        (["--split", "60-40-disjoint", "--splits", "2"], r"^--split 60-40-disjoint is the same"),
    ],
)
def test_an_impossible_grid_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        grid_options(*arguments)
    assert "\n" not in str(refused.value)


def test_an_official_split_is_a_grid_of_seeds() -> None:
    chosen = grid_options("--split", "60-40", "--splits", "1", "--seeds", "5")
    assert (chosen.split, chosen.splits, chosen.seeds) == ("60-40", 1, 5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_compared_recipe_by_name_is_that_preset(preset: str) -> None:
    assert recipe_of(preset, fixed()) == PRESETS[preset]()


@pytest.mark.parametrize(
    ("text", "base", "part", "changed"),
    [
        ("small,features.padding=zero", small, "features", {"padding": "zero"}),
        ("features.padding=zero", fixed, "features", {"padding": "zero"}),
        (" small , features.padding=zero ", small, "features", {"padding": "zero"}),
        ("features.n_mels=32,features.hop=64", fixed, "features", {"n_mels": 32, "hop": 64}),
        (
            "augmentation.speed_factor=0.8 1.25",
            fixed,
            "augmentation",
            {"speed_factor": (0.8, 1.25)},
        ),
        (
            "augmentation.pitch_semitones=-2 1",
            fixed,
            "augmentation",
            {"pitch_semitones": (-2.0, 1.0)},
        ),
        ("features.level_rows=True", fixed, "features", {"level_rows": True}),
        ("small,features.level_rows=False", small, "features", {"level_rows": False}),
        ("finetune.trials_per_device=4", fixed, "finetune", {"trials_per_device": 4}),
    ],
)
def test_a_compared_recipe_changes_its_fields_of_the_preset_or_the_base_and_no_other(
    text: str, base: Callable[[], Recipe], part: str, changed: dict[str, object]
) -> None:
    expected = dataclasses.replace(
        base(), **{part: dataclasses.replace(getattr(base(), part), **changed)}
    )
    assert expected != base()
    assert recipe_of(text, fixed()) == expected


def test_the_name_of_the_recipe_that_is_asked_for_means_it_as_it_was_told() -> None:
    chosen = options("--recipe", "light", "--recipe.model.weights", "file.pth").recipe
    assert recipe_of("light", chosen) == chosen
    without = recipe_of("light,model.weights=none", chosen)
    assert without.model == dataclasses.replace(chosen.model, weights="none")
    assert recipe_of("small", chosen) == small()


def test_a_compared_recipe_may_be_of_another_task() -> None:
    assert recipe_of("task=2-class", fixed()) == dataclasses.replace(fixed(), task="2-class")


@pytest.mark.parametrize("text", ["smal", "features.padding", "features.padding=zero,small", ""])
def test_a_word_that_is_no_recipe_is_refused_with_all_that_are(text: str) -> None:
    with pytest.raises(InputError, match=f"--compare {text}: .* is neither a recipe") as refused:
        recipe_of(text, paper())
    assert ", ".join(PRESETS) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("features.paddin=zero", "features.paddin"),
        ("features.padding=nothing", "'smart', 'reflect', 'repeat'"),
        ("small,features.padding=", "features.padding"),
    ],
)
def test_a_field_or_value_that_there_is_not_exits_with_2_and_says_so(
    text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        recipe_of(text, paper())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_impossible_compared_recipe_is_refused() -> None:
    with pytest.raises(InputError, match=r"recipe\.features\.window_seconds: 0\.01 s"):
        recipe_of("features.window_seconds=0.01", paper())


def test_the_environment_supplies_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPIRE_DATA", "/recordings")
    monkeypatch.setenv("RESPIRE_STORAGE", "s3://bucket/runs")
    monkeypatch.setenv("RESPIRE_GPU", "none")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://head:5000")
    chosen = options()
    assert (chosen.data, chosen.storage) == ("/recordings", "s3://bucket/runs")
    assert (chosen.gpu, chosen.tracking_uri) == ("none", "http://head:5000")


def test_the_command_line_outranks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESPIRE_DATA", "/recordings")
    monkeypatch.setenv("RESPIRE_STORAGE", "s3://bucket/runs")
    monkeypatch.setenv("RESPIRE_GPU", "none")
    chosen = options("--data", "here", "--storage", "there", "--gpu", "auto")
    assert (chosen.data, chosen.storage, chosen.gpu) == ("here", "there", "auto")
    assert options("--quick").data == "synthetic"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--recipe", "nope"], r"recipe 'nope' is neither one of paper.*quick nor a file"),
        (["--recipe"], r"--recipe: expected one argument"),
        (["--recipe.features.window-seconds", "0.01"], r"40 samples.*FFT of 256.*least 0\.064 s"),
        (["--recipe", "quick", "--recipe.features.n-fft", "99999"], r"too short for an FFT"),
        (["--recipe.preprocess.band-high-hz", "2000"], r"band-pass 50-2000 Hz"),
        (["--recipe.preprocess.sample-rate-hz", "2000"], r"between 0 and 1000 Hz"),
    ],
)
def test_an_impossible_recipe_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        options(*arguments)
    assert "\n" not in str(refused.value)


def test_a_search_sets_the_split_seeds_patients_apart_unless_others_are_named() -> None:
    def outer_seeds(*arguments: str) -> tuple[int, ...]:
        return parse(SearchOptions, arguments, "a test").plan.outer_seeds

    assert outer_seeds() == (0,)
    assert outer_seeds("--split-seed", "7") == (7,)
    assert outer_seeds("--split-seed", "7", "--outer-seeds", "1", "2") == (1, 2)


def test_an_unknown_option_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options("--no-such-option")
    assert ended.value.code == 2
    assert "--no-such-option" in capsys.readouterr().err


def test_help_explains_every_option_without_importing_anything_slow() -> None:
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", FULL, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert asked.returncode == 0
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", asked.stderr, re.MULTILINE))
    assert "respire" in imported
    assert not imported & HEAVY
    text = " ".join(asked.stdout.replace("│", " ").split())
    for flag in flags(Options):
        assert re.search(rf"{re.escape(flag)}[ ,]", text), f"{flag} is not mentioned"
        bare = re.search(rf"{re.escape(flag)}(?:,? \S+)? \(default", text)
        assert bare is None, f"{flag} is not explained"


HELP_OF_EACH = """
import contextlib, io, runpy, sys
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    print("--storage" in said.getvalue(), script)
print(*sys.modules)
"""


def test_every_script_tells_its_options_without_importing_anything_slow() -> None:
    scripts = sorted(map(str, EXPERIMENTS.glob("*.py")))
    asked = subprocess.run(
        [sys.executable, "-c", HELP_OF_EACH, *scripts],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *told, modules = asked.stdout.splitlines()
    assert told == [f"True {script}" for script in scripts]
    assert not set(modules.split()) & HEAVY


def test_a_question_gets_the_parsed_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Options] = []
    assert exit_of(asked.append, monkeypatch, "--quick", "--seed", "3") == 0
    assert asked == [options("--quick", "--seed", "3")]


def test_bad_input_exits_with_2_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def question(_: Options) -> NoReturn:
        raise InputError("a.txt, row 3: reversed; correct it")

    assert exit_of(question, monkeypatch) == 2
    assert capsys.readouterr().err == "error: a.txt, row 3: reversed; correct it\n"


def test_a_bad_command_line_exits_with_2_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Options] = []
    assert exit_of(asked.append, monkeypatch, "--recipe.features.window-seconds", "0.01") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: recipe.features.window_seconds: 0.01 s")
    assert said.count("\n") == 1
    assert not asked


@pytest.mark.parametrize("error", [FloatingPointError("diverged"), RunError("diverged")])
def test_a_run_that_came_to_nothing_exits_with_1_and_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def question(_: Options) -> NoReturn:
        raise error

    assert exit_of(question, monkeypatch) == 1
    assert capsys.readouterr().err == "error: diverged\n"


def test_a_sign_that_the_terminals_encoding_lacks_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert exit_of(lambda _: print("Se \xb1 1 \u0394 2"), monkeypatch) == 0
    terminal.flush()
    assert written.getvalue() == b"Se \xb1 1 ? 2\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", ""], "--data: is empty"),
        (["--storage", ""], "--storage: is empty"),
        (["--name", "../../escaped"], "--name '../../escaped': "),
        (["--name", "."], "--name '.': "),
        (["--name", "x" * 300], "--name "),
        (["--seed", "-1"], "--seed -1: "),
        (["--split-seed", str(2**63)], f"--split-seed {2**63}: "),
        (["--seed", str(2**63 - 1), "--seeds", "2"], f"--seed {2**63 - 1}: "),
    ],
)
def test_names_seeds_and_empty_folders_that_cannot_be_are_refused_in_one_line(
    arguments: list[str], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        options(*arguments)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_an_interrupted_run_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def question(_: Options) -> NoReturn:
        raise KeyboardInterrupt

    assert exit_of(question, monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted; the same command resumes it\n"


def test_a_bug_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def question(_: Options) -> NoReturn:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(sys, "argv", ["experiment.py"])
    with pytest.raises(SystemExit) as ended:
        command(Options, question, "a test")
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("Traceback")
