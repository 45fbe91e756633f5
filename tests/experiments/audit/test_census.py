from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.data.corpora import icbhi
from respire.data.corpora.icbhi_format import DEVICES, LOCATIONS
from respire.experiments.audit.census import census, lengths_s, official_overlap
from respire.labels import CLASSES

REAL = Path(__file__).resolve().parents[4] / "shared/data/icbhi"
needs_real_data = pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")
NAMES = CLASSES["4-class"]


def crowd(seed: int, patients: int = 8) -> pd.DataFrame:
    """A random catalogue of patients with several recordings on one to three devices."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(101, 101 + patients):
        for session in range(rng.integers(1, 5)):
            place, device = rng.choice(LOCATIONS), rng.choice(DEVICES, p=[0.5, 0.3, 0.2, 0])
            start_s = 0.0
            for cycle in range(rng.integers(1, 6)):
                end_s = start_s + rng.integers(1, 9)
                name = f"{patient}_{session}b1_{place}_sc_{device}"
                label = int(rng.integers(0, 4))
                rows.append((name, patient, place, device, cycle, start_s, end_s, label))
                start_s = end_s
    columns = ["recording", "patient", "location", "device", "cycle", "start_s", "end_s", "label"]
    return pd.DataFrame(rows, columns=columns)


def audio_of(cycles: pd.DataFrame) -> pd.DataFrame:
    ends = cycles.groupby("recording")["end_s"].max()
    return pd.DataFrame({"duration_s": ends + 1, "rate_hz": [4000] * (len(ends) - 1) + [44100]})


def official_of(cycles: pd.DataFrame, seed: int) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    return {name: str(rng.choice(["train", "test"])) for name in cycles["recording"].unique()}


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_every_count_is_that_of_a_loop_over_the_rows(seed: int) -> None:
    cycles = crowd(seed)
    found = asdict(census(cycles, audio_of(cycles), None))
    rows = cycles.to_dict("records")
    assert found["cycles"] == len(rows)
    for device, part in found["devices"].items():
        ours = [row for row in rows if row["device"] == device]
        assert part["cycles"] == len(ours)
        assert part["patients"] == len({row["patient"] for row in ours})
        assert part["recordings"] == len({row["recording"] for row in ours})
        assert part["share"] == pytest.approx(len(ours) / len(rows))
        for label, name in enumerate(NAMES):
            of_class = [row for row in rows if row["label"] == label]
            here = sum(row["label"] == label for row in ours)
            assert part["classes"][name] == here
            expected = here / len(of_class) if of_class else None
            assert part["share_of_class"][name] == pytest.approx(expected)
    used = {patient: set() for patient in cycles["patient"]}
    places = {patient: set() for patient in cycles["patient"]}
    for row in rows:
        used[row["patient"]].add(row["device"])
        places[row["patient"]].add(row["location"])
    several = {str(patient): names for patient, names in used.items() if len(names) > 1}
    assert {patient: set(names) for patient, names in found["several_devices"].items()} == several
    for number, patients in found["locations"]["patients_by_number"].items():
        assert patients == sum(len(visited) == int(number) for visited in places.values())


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_parts_add_up_to_the_whole(seed: int) -> None:
    cycles = crowd(seed)
    found = asdict(census(cycles, audio_of(cycles), official_of(cycles, seed)))
    devices, sides = found["devices"].values(), found["official"]["sides"].values()
    for parts in (devices, sides):
        assert sum(part["cycles"] for part in parts) == found["cycles"]
        assert sum(part["recordings"] for part in parts) == found["recordings"]
        for name in NAMES:
            assert sum(part["classes"][name] for part in parts) == found["classes"][name]
    twice = sum(len(names) - 1 for names in found["several_devices"].values())
    assert found["patients_by_device"] == found["patients"] + twice
    sharing = sum(side["patients"] for side in sides) - found["patients"]
    assert found["official"]["shared_patients"] == sharing


def test_the_catalogues_own_devices_and_locations_are_counted() -> None:
    cycles = crowd(1).assign(label=0, device="Eko", location="back")
    found = census(cycles, audio_of(cycles), None)
    assert set(found.locations.recordings) == {"back"}
    (part,) = found.devices.values()
    assert (set(found.devices), part.cycles) == ({"Eko"}, len(cycles))
    assert part.share_of_class == {"normal": 1, "crackle": None, "wheeze": None, "both": None}


def test_lengths_are_counted_with_the_ends_that_their_names_say() -> None:
    lengths = [1.0, 2.999, 3.0, 3.001, 4.0, 5.0, 6.0, 6.001, 7.0, 7.001]
    starts = np.linspace(0, 86.4, len(lengths))  # differences that are not exact
    cycles = crowd(0).head(len(lengths)).assign(start_s=starts, end_s=starts + lengths)
    found = asdict(census(cycles, audio_of(cycles), None).cycle_s)
    assert lengths_s(cycles).tolist() == lengths
    assert found["counts"] == {
        "under 3 s": 2,
        "over 3 to 6 s": 4,
        "4 to 6 s": 3,
        "over 6 s": 3,
        "over 7 s": 1,
    }
    assert found["shares"]["4 to 6 s"] == pytest.approx(0.3)
    assert (found["shortest"], found["longest"]) == (1.0, 7.001)
    assert found["quantiles"]["0.5"] == found["median"] == 4.5


def test_rates_and_durations_are_those_of_the_recordings() -> None:
    cycles = crowd(3)
    audio = audio_of(cycles)
    found = asdict(census(cycles, audio, None))
    assert found["sample_rates"] == {
        "lowest_hz": 4000,
        "highest_hz": 44100,
        "recordings": {"4000": len(audio) - 1, "44100": 1},
    }
    assert found["hours"] == pytest.approx(sum(audio["duration_s"]) / 3600)
    assert found["recording_s"]["longest"] == audio["duration_s"].max()


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_shared_patients_and_their_test_cycles_are_found(seed: int) -> None:
    cycles = crowd(seed)
    sides = official_of(cycles, seed)
    found = asdict(official_overlap(cycles, sides))
    seen: dict[int, set[str]] = {}
    for name, side in sides.items():
        seen.setdefault(int(name.split("_")[0]), set()).add(side)
    shared = sorted(patient for patient, on in seen.items() if len(on) == 2)
    assert [one["patient"] for one in found["shared"]] == shared
    touched = [
        row
        for row in cycles.to_dict("records")
        if row["patient"] in shared and sides[row["recording"]] == "test"
    ]
    assert found["touched_cycles"] == len(touched)
    assert found["touched_both"] == sum(row["label"] == 3 for row in touched)
    assert sum(one["test_cycles"] for one in found["shared"]) == len(touched)
    assert sum(one["test_both"] for one in found["shared"]) == found["touched_both"]


def test_recordings_only_on_the_list_and_only_here_are_counted() -> None:
    cycles = crowd(5)
    sides = official_of(cycles, 5)
    gone = next(iter(sides))
    del sides[gone]
    found = asdict(official_overlap(cycles, sides | {"999_1b1_Al_sc_Meditron": "test"}))
    assert found["unlisted_recordings"] == 1
    assert found["listed_without_recording"] == 1
    assert sum(side["recordings"] for side in found["sides"].values()) == len(sides)


@needs_real_data
def test_the_real_data_set_is_as_the_facts_say() -> None:
    catalogue = icbhi.read_catalogue(str(REAL)).cycles
    found = asdict(census(catalogue, audio_of(catalogue), icbhi.official_split(str(REAL))))
    assert (found["recordings"], found["patients"], found["cycles"]) == (920, 126, 6898)
    assert list(found["classes"].values()) == [3642, 1864, 886, 506]
    table = {
        device: [part["recordings"], part["patients"], *part["classes"].values(), part["cycles"]]
        for device, part in found["devices"].items()
    }
    assert table == {
        "AKGC417L": [646, 32, 1922, 1543, 500, 381, 4346],
        "Meditron": [127, 64, 1037, 215, 148, 56, 1456],
        "LittC2SE": [87, 23, 347, 77, 126, 44, 594],
        "Litt3200": [60, 11, 336, 29, 112, 25, 502],
    }
    assert list(found["several_devices"]) == ["112", "158", "218", "226"]
    assert found["patients_by_device"] == 130
    assert found["locations"]["patients_at_all"] == 15
    lengths = found["cycle_s"]
    assert (round(lengths["shortest"], 2), round(lengths["longest"], 2)) == (0.2, 16.16)
    assert (round(lengths["mean"], 2), round(lengths["median"], 2)) == (2.7, 2.54)
    assert (lengths["counts"]["over 6 s"], lengths["counts"]["over 7 s"]) == (119, 42)
    assert round(lengths["shares"]["under 3 s"], 2) == 0.65
    assert round(lengths["shares"]["4 to 6 s"], 3) == 0.098
    official = found["official"]
    sides = {
        name: [part["recordings"], part["cycles"], *part["classes"].values(), part["patients"]]
        for name, part in official["sides"].items()
    }
    assert sides == {
        "train": [539, 4142, 2063, 1215, 501, 363, 79],
        "test": [381, 2756, 1579, 649, 385, 143, 49],
    }
    by_device = {name: part["devices"] for name, part in official["sides"].items()}
    assert by_device["test"]["LittC2SE"]["cycles"] == 0
    assert by_device["train"]["Litt3200"]["cycles"] == 41
    assert by_device["train"]["Litt3200"]["patients"] == 2
    assert by_device["test"]["Litt3200"]["cycles"] == 461
    assert (official["touched_cycles"], official["touched_both"]) == (120, 57)
    recordings = [
        (one["patient"], one["train_recordings"], one["test_recordings"])
        for one in official["shared"]
    ]
    assert recordings == [(156, 9, 8), (218, 4, 4)]
    assert (official["unlisted_recordings"], official["listed_without_recording"]) == (0, 0)
