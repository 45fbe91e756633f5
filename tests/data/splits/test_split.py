from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.data.corpora import icbhi
from respire.data.corpora.icbhi_format import DEVICES, parse_name
from respire.data.splits.draw import devices_of, draw_test_sides
from respire.data.splits.split import SIDES, Cut, Kind, Split
from respire.errors import InputError

REAL = Path(__file__).resolve().parents[4] / "shared/data/icbhi"
needs_real_data = pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")
CLASSES = ("normal", "crackle", "wheeze", "both")


def catalogue(patients: dict[int, tuple[str, list[int]]]) -> pd.DataFrame:
    """Cycles of patients with one recording each: patient → (device, labels)."""
    return pd.DataFrame(
        [
            (f"{patient}_1b1_Al_sc_{device}", patient, device, cycle, label)
            for patient, (device, labels) in patients.items()
            for cycle, label in enumerate(labels)
        ],
        columns=["recording", "patient", "device", "cycle", "label"],
    )


def crowd(patients: int, seed: int) -> pd.DataFrame:
    """A random catalogue of patients with one to four recordings on one or two devices."""
    rng = np.random.default_rng(seed)
    frames = []
    for session in range(4):
        some = [100, *(p for p in range(101, 100 + patients) if session == 0 or rng.random() < 0.4)]
        frame = catalogue(
            {
                patient: (
                    DEVICES[rng.choice(4, p=[0.6, 0.25, 0.1, 0.05])],
                    rng.choice(4, size=rng.integers(1, 6), p=[0.6, 0.3, 0.05, 0.05]).tolist(),
                )
                for patient in some
            }
        )
        frame["recording"] = frame["recording"].str.replace("1b1", f"{session}b1")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def official_of(cycles: pd.DataFrame, seed: int) -> dict[str, str]:
    """An official split by recording, hence with patients on both sides."""
    rng = np.random.default_rng(seed)
    recordings = cycles["recording"].unique()
    sides = np.where(rng.random(len(recordings)) < 0.4, "test", "train")
    sides[:2], sides[-1] = "train", "test"
    return dict(zip(recordings, sides.tolist(), strict=True))


def patients_of(recordings: tuple[str, ...]) -> set[int]:
    return {int(recording.split("_")[0]) for recording in recordings}


def a_split(kind: Kind = "80-20", **sides: tuple[str, ...]) -> Split:
    """A split of three patients, with some of the sides replaced."""
    whole = {
        "train": ("101_1b1_Al_sc_Meditron",),
        "validation": ("102_1b1_Al_sc_Meditron",),
        "test": ("103_1b1_Al_sc_Meditron",),
    }
    sides = whole | sides
    names = {name: parse_name(name) for side in sides.values() for name in side}
    return Split(
        Cut(kind),
        **sides,
        patients={name: parts.patient for name, parts in names.items()},
        devices={name: parts.device for name, parts in names.items()},
    )


@pytest.mark.parametrize("kind", ["80-20", "60-40", "60-40-disjoint"])
@pytest.mark.parametrize("side", ["validation", "test"])
def test_shared_patients_are_refused_but_in_the_official_test_side(kind: Kind, side: str) -> None:
    shared = {side: ("101_2b2_Pl_mc_LittC2SE",)}
    if kind == "60-40" and side == "test":
        assert a_split(kind, **shared).test == shared["test"]
    else:
        with pytest.raises(InputError, match=f"patients 101 are in train and in {side}"):
            a_split(kind, **shared)


@pytest.mark.parametrize("kind", ["80-20", "60-40", "60-40-disjoint"])
def test_a_recording_on_two_sides_is_refused_whatever_the_kind(kind: Kind) -> None:
    with pytest.raises(InputError, match="101_1b1_Al_sc_Meditron are in train and in test"):
        a_split(kind, test=("101_1b1_Al_sc_Meditron",))


@settings(max_examples=40)
@given(
    patients=st.integers(5, 30),
    seed=st.integers(0, 2**32),
    split_seed=st.integers(0, 2**63),
    inner_seed=st.integers(0, 2**63),
    stratify=st.booleans(),
    kind=st.sampled_from(["80-20", "60-40", "60-40-disjoint"]),
)
def test_whole_patients_are_split_the_same_way_whatever_the_row_order(
    patients: int, seed: int, split_seed: int, inner_seed: int, stratify: bool, kind: Kind
) -> None:
    cycles = crowd(patients, seed)
    official = official_of(cycles, seed)
    shuffled = cycles.sample(frac=1, random_state=seed % 2**32)
    cut = Cut(kind, split_seed, inner_seed, stratify)
    try:
        drawn = cut.on(cycles, official)
    except InputError as error:
        if kind == "60-40-disjoint" and "the test side is empty" in str(error):
            return  # every test patient trains too
        raise
    assert drawn == cut.on(shuffled, official)

    train, validation, test = map(patients_of, (drawn.train, drawn.validation, drawn.test))
    assert train
    assert validation
    assert test
    assert not train & validation
    pool = train | validation
    assert len(validation) == max(1, round(0.2 * len(pool)))
    recordings = [*drawn.train, *drawn.validation, *drawn.test]
    assert len(recordings) == len(set(recordings))
    if kind == "80-20":
        assert not pool & test
        assert len(test) == max(1, round(0.2 * patients))
        assert set(recordings) == set(cycles["recording"])
    else:
        listed = {recording for recording, side in official.items() if side == "test"}
        shared = patients_of(tuple(listed)) & patients_of(tuple(set(official) - listed))
        kept = shared if kind == "60-40" else set()
        assert pool & test == kept
        assert {
            r for r in listed if patients_of((r,)) <= kept or not patients_of((r,)) & shared
        } == (set(drawn.test))
        heard = [w for w in drawn.warnings if "on both sides" in w]
        assert len(heard) == bool(kept)

    side_of = drawn.side_of(cycles)
    for side in SIDES:
        ours = cycles.loc[side_of.index[side_of == side]]
        assert set(ours["recording"]) == set(getattr(drawn, side))
        lacks = [w for w in drawn.warnings if f": the {side} side has no" in w]
        absent = set(cycles["device"]) - set(ours["device"])
        absent |= {CLASSES[label] for label in set(cycles["label"]) - set(ours["label"])}
        assert len(lacks) == bool(absent)
        assert all(f"{name} (" in lacks[0] for name in absent)


@pytest.mark.parametrize("seed", range(20))
def test_the_only_patient_of_a_device_trains_and_a_warning_says_so(seed: int) -> None:
    cycles = catalogue(
        {p: ("Litt3200" if p == 107 else "Meditron", [0, 1, 2, 3]) for p in range(100, 115)}
    )
    drawn = Cut("80-20", seed, seed).on(cycles)
    assert 107 in patients_of(drawn.train)
    for side in ("validation", "test"):
        assert (
            f"split 80-20: the {side} side has no cycle of Litt3200 (1 patients have it)"
            in drawn.warnings
        )


@pytest.mark.parametrize("seed", range(20))
def test_two_patients_of_a_class_are_on_the_train_and_test_sides(seed: int) -> None:
    cycles = catalogue({p: ("Meditron", [0, 3 if p < 102 else 1, 2]) for p in range(100, 120)})
    drawn = Cut("80-20", seed, 0).on(cycles)
    assert {100, 101} & patients_of(drawn.train)
    assert {100, 101} & patients_of(drawn.test)
    assert (
        "split 80-20: the validation side has no cycle of both (2 patients have it)"
        in drawn.warnings
    )


@pytest.mark.parametrize("seed", range(20))
def test_three_patients_of_a_device_are_on_all_three_sides(seed: int) -> None:
    cycles = catalogue(
        {p: ("LittC2SE" if p < 103 else "AKGC417L", [0, 1, 2, 3]) for p in range(100, 130)}
    )
    drawn = Cut("80-20", seed, seed + 1).on(cycles)
    assert drawn.warnings == ()
    for side in SIDES:
        assert {100, 101, 102} & patients_of(getattr(drawn, side))


def test_the_outer_seed_alone_decides_who_is_in_test() -> None:
    cycles = crowd(30, seed=0)
    tests = {Cut("80-20", outer, inner).on(cycles).test for outer in range(8) for inner in range(3)}
    validations = {Cut("80-20", 0, inner).on(cycles).validation for inner in range(8)}
    assert len(tests) == 8
    assert len(validations) > 4


def test_too_few_patients_are_refused() -> None:
    cycles = catalogue({p: ("Meditron", [0]) for p in (101, 102)})
    with pytest.raises(InputError, match="2 patients cannot fill 3 patient-disjoint sides"):
        Cut("80-20", 0, 0).on(cycles)


@settings(max_examples=30)
@given(
    patients=st.integers(5, 30),
    seed=st.integers(0, 2**32),
    split_seeds=st.lists(st.integers(0, 2**63), max_size=4),
    stratify=st.booleans(),
)
def test_test_sides_drawn_by_themselves_are_those_of_the_splits(
    patients: int, seed: int, split_seeds: list[int], stratify: bool
) -> None:
    cycles = crowd(patients, seed)
    drawn = list(draw_test_sides(cycles, split_seeds, stratify))
    whole = [Cut("80-20", s, seed, stratify).on(cycles) for s in split_seeds]
    assert [side.tolist() for side in drawn] == [sorted(patients_of(w.test)) for w in whole]
    assert all(side.dtype == np.int64 for side in drawn)


def test_stratified_test_sides_are_other_ones_than_plain_ones() -> None:
    cycles = crowd(30, 0)
    plain, stratified = (
        [side.tolist() for side in draw_test_sides(cycles, range(10), stratify)]
        for stratify in (False, True)
    )
    assert list(map(len, plain)) == list(map(len, stratified)) == [6] * 10
    assert len({tuple(side) for side in plain + stratified}) > 15


@pytest.mark.parametrize("stratify", [False, True])
def test_too_few_patients_for_a_test_side_are_refused(stratify: bool) -> None:
    cycles = catalogue({p: ("Meditron", [0]) for p in (101, 102)})
    with pytest.raises(InputError, match="2 patients cannot fill 3 patient-disjoint sides"):
        list(draw_test_sides(cycles, range(3), stratify))


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(InputError, match="--split-seed -1: must be 0 or more"):
        Cut("80-20", -1, 0).on(crowd(10, 0))


def test_the_official_split_without_its_list_is_refused() -> None:
    with pytest.raises(InputError, match="list is missing"):
        Cut("60-40", 0, 0).on(crowd(10, 0))


def test_a_recording_that_the_official_list_lacks_is_refused() -> None:
    cycles = crowd(10, 0)
    official = official_of(cycles, 0)
    recording = cycles["recording"].iloc[0]
    del official[recording]
    with pytest.raises(InputError, match=f"{recording}: 1 of 21 recordings are not in the"):
        Cut("60-40", 0, 0).on(cycles, official)


def test_recordings_absent_from_the_catalogue_are_warned_about() -> None:
    cycles = crowd(10, 0)
    official = official_of(cycles, 0) | {"999_1b1_Al_sc_Meditron": "train"}
    assert (
        "1 recordings of the official split are absent: 999_1b1_Al_sc_Meditron"
        in Cut("60-40", 0, 0).on(cycles, official).warnings
    )


def test_an_official_split_without_test_recordings_is_refused() -> None:
    cycles = crowd(10, 0)
    official = dict.fromkeys(cycles["recording"], "train")
    with pytest.raises(InputError, match="only one side, train"):
        Cut("60-40", 0, 0).on(cycles, official)


def test_cycles_of_other_data_have_no_side() -> None:
    drawn = Cut("80-20", 0, 0).on(crowd(10, 0))
    with pytest.raises(InputError, match="999_1b1_Al_sc_Meditron: on no side"):
        drawn.side_of(catalogue({999: ("Meditron", [0])}))


def test_the_description_counts_every_side() -> None:
    cycles = catalogue(
        {p: ("Meditron" if p % 2 else "AKGC417L", [0, 1, 1, 3]) for p in range(99, 119)}
    )
    described = Cut("80-20", 0, 0).on(cycles).describe(cycles)
    assert described["test"]["by_class"] == {"normal": 4, "crackle": 8, "wheeze": 0, "both": 4}
    assert {s: described[s]["patients"] for s in SIDES} == {"train": 13, "validation": 3, "test": 4}
    for side in described.values():
        devices = side["by_device"]
        assert tuple(devices) == devices_of(cycles)
        for count in ("patients", "recordings", "cycles"):
            assert sum(device[count] for device in devices.values()) == side[count]
        assert sum(side["by_class"].values()) == side["cycles"] == 4 * side["recordings"]


@settings(max_examples=20)
@given(patients=st.integers(20, 40), seed=st.integers(0, 2**32), split_seed=st.integers(0, 2**63))
def test_a_recipe_is_chosen_on_the_official_training_side_alone(
    patients: int, seed: int, split_seed: int
) -> None:
    cycles = crowd(patients, seed)
    official = official_of(cycles, seed)
    cut = Cut("60-40-train", split_seed)
    units = cut.units(cycles, official)
    trained = {recording for recording, side in official.items() if side == "train"}
    assert set(units["recording"]) == trained & set(cycles["recording"])
    drawn = cut.on(units, official)
    assert {*drawn.train, *drawn.validation, *drawn.test} == set(units["recording"])
    assert drawn.cut.holds_out
    alike = Cut("80-20", split_seed).on(units)  # nothing but who is there differs
    assert all(getattr(drawn, side) == getattr(alike, side) for side in SIDES)
    assert cut.at(1).split_seed == split_seed + 1


def test_the_official_training_side_cannot_be_cut_without_the_list() -> None:
    with pytest.raises(InputError, match="list is missing"):
        Cut("60-40-train").units(crowd(10, 0))


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    """The published data set's cycles."""
    return icbhi.read_catalogue(str(REAL)).cycles


@needs_real_data
def test_the_real_official_split_warns_of_the_120_shared_test_cycles(real: pd.DataFrame) -> None:
    drawn = Cut("60-40").on(real, icbhi.official_split(str(REAL)))
    assert len(drawn.warnings) == 2
    assert "patients 156, 218 on both sides: 120 of 2756 test cycles" in drawn.warnings[0]
    assert (
        drawn.warnings[1]
        == "split 60-40: the test side has no cycle of LittC2SE (23 patients have it)"
    )
    described = drawn.describe(real)
    assert (described["test"]["patients"], described["test"]["recordings"]) == (49, 381)
    assert described["train"]["patients"] + described["validation"]["patients"] == 79
    assert described["validation"]["patients"] == 16


@needs_real_data
def test_the_real_official_training_side_has_79_patients(real: pd.DataFrame) -> None:
    units = Cut("60-40-train").units(real, icbhi.official_split(str(REAL)))
    assert (units["patient"].nunique(), len(units)) == (79, 4142)


@needs_real_data
def test_the_real_disjoint_split_drops_the_shared_test_cycles_and_nothing_else(
    real: pd.DataFrame,
) -> None:
    official = icbhi.official_split(str(REAL))
    published = Cut("60-40", 0, 0).on(real, official)
    disjoint = Cut("60-40-disjoint", 0, 0).on(real, official)
    assert (disjoint.train, disjoint.validation) == (published.train, published.validation)
    assert patients_of(tuple(set(published.test) - set(disjoint.test))) == {156, 218}
    assert len(real) - len(disjoint.side_of(real)) == 120
    by_class = disjoint.describe(real)["test"]["by_class"]
    assert by_class["both"] == 143 - 57


def spread(cycles: pd.DataFrame, seeds: range, stratify: bool) -> pd.DataFrame:
    """95% ranges of what random test sides hold."""
    traits = pd.DataFrame(
        {
            "cycles": np.ones(len(cycles)),
            "both": cycles["label"] == 3,
            "normal": cycles["label"] == 0,
            "AKGC417L": cycles["device"] == "AKGC417L",
        }
    )
    recordings = traits.groupby(cycles["recording"]).sum()
    drawn = [Cut("80-20", seed, 0, stratify).on(cycles) for seed in seeds]
    assert {warning for each in drawn for warning in each.warnings} == set()
    sides = pd.DataFrame([recordings.loc[list(each.test)].sum() for each in drawn])
    sides[["normal", "AKGC417L"]] = sides[["normal", "AKGC417L"]].div(sides["cycles"], axis=0)
    return sides.quantile([0.025, 0.975])


@needs_real_data
def test_real_random_splits_vary_as_honest_random_draws_do(real: pd.DataFrame) -> None:
    """Against FACTS' ranges over 1,000 splits, within the sampling error of 200."""
    low, high = spread(real, range(200), stratify=False).to_numpy()
    assert low == pytest.approx([844, 15, 0.38, 0.31], rel=0.25, abs=0.06)
    assert high == pytest.approx([2027, 225, 0.71, 0.80], rel=0.08, abs=0.03)


@needs_real_data
def test_stratified_real_splits_vary_less_than_half_as_much(real: pd.DataFrame) -> None:
    plain, stratified = (spread(real, range(40), stratify) for stratify in (False, True))
    assert ((stratified.diff().iloc[1] / plain.diff().iloc[1]) < 0.6).all()
