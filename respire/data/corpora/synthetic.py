"""A synthetic corpus in ICBHI's layout, to see all of respire work without a download.

Devices, their patients, recordings and classes are skewed as in ICBHI 2017 (counts of its
annotation files). Patients differ in breathing rate, timbre and in which sounds they make, so that
classes cluster by patient, as in reality.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from respire.data.corpora.icbhi_format import LOCATIONS
from respire.data.corpora.synthetic_sounds import MICROPHONES, Patient, record
from respire.errors import InputError

_GENERATOR = 2
"""Raised when sounds or sizes change, so that an older corpus is not taken for a new one."""

_PARAMETERS_FILE = "corpus.json"


def default_corpus(cache: Path) -> Path:
    """The corpus of the quick start, about 1,000 cycles; written to the cache once."""
    return write_corpus(cache / f"synthetic-{_GENERATOR}")


def write_corpus(
    directory: Path,
    *,
    patients: int = 80,
    recordings_per_patient: float = 2.4,
    cycles_per_recording: float = 5.5,
    seed: int = 0,
) -> Path:
    """Write NAME.wav (16 bit) and NAME.txt for every recording, and a 60/40 split by patient.

    The corpus appears whole or not at all. One that is already there with the same parameters is
    kept as it is.

    Args:
        directory: where the corpus lies; created.
        patients: number of patients, at least 8; from 40 on every device has 6 or more.
        recordings_per_patient: mean over all patients; devices differ as in ICBHI.
        cycles_per_recording: mean number of cycles, at least 2 in each recording.
        seed: of everything random.

    Raises:
        InputError: the directory holds something else, or cannot be written; fewer than 8 patients.
    """
    if patients < 8:
        raise InputError(f"synthetic corpus: {patients} patients are too few; ask for 8 or more")
    parameters = {
        "generator": _GENERATOR,
        "patients": patients,
        "recordings_per_patient": recordings_per_patient,
        "cycles_per_recording": cycles_per_recording,
        "seed": seed,
    }
    if _is_there(directory, parameters):
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error}); choose another") from error
    try:
        _write_recordings(partial, patients, recordings_per_patient, cycles_per_recording, seed)
        (partial / _PARAMETERS_FILE).write_text(json.dumps(parameters, indent=2) + "\n")
        partial.chmod(0o755)
        try:
            partial.rename(directory)
        except OSError:
            # Another process may have finished the same corpus in the meantime.
            if not _is_there(directory, parameters):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def _write_recordings(
    folder: Path,
    patients: int,
    recordings_per_patient: float,
    cycles_per_recording: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    split = []
    numbers = iter(101 + rng.permutation(patients))
    recordings_in_all = patients * recordings_per_patient / 920
    for device, count in _patients_by_device(patients).items():
        extra = max(0, round(MICROPHONES[device].recordings * recordings_in_all) - count)
        recordings = 1 + rng.multinomial(extra, np.full(count, 1 / count))
        for index, amount in enumerate(recordings):
            patient = _draw_patient(int(next(numbers)), device, rng)
            side = "train" if index < round(0.6 * count) else "test"
            for recording in range(amount):
                cycles = max(2, rng.poisson(cycles_per_recording))
                name = _name(patient, recording)
                audio, *annotation = record(patient, cycles, rng)
                sf.write(folder / f"{name}.wav", audio, MICROPHONES[device].rate_hz, "PCM_16")
                (folder / f"{name}.txt").write_text(_annotations(*annotation))
                split.append(f"{name}\t{side}\n")
    (folder / "ICBHI_challenge_train_test.txt").write_text("".join(sorted(split)))


def _patients_by_device(patients: int) -> dict[str, int]:
    """ICBHI's skew, but enough patients on every device to split them."""
    fewest = min(6, patients // 6)
    counts = {
        device: max(fewest, round(patients * microphone.patients / 130))
        for device, microphone in MICROPHONES.items()
    }
    others = sum(counts.values()) - counts["Meditron"]
    return {**counts, "Meditron": patients - others}


def _draw_patient(number: int, device: str, rng: np.random.Generator) -> Patient:
    cycles = np.array(MICROPHONES[device].cycles)
    of_device = cycles / cycles.sum()
    return Patient(
        number=number,
        device=device,
        cycle_s=np.exp(rng.normal(0.9, 0.35)),
        inspiration=rng.uniform(0.35, 0.45),
        slope_db=rng.uniform(4, 9),
        fine=rng.beta(0.7, 0.7),
        wheeze_hz=np.exp(rng.uniform(np.log(180), np.log(700))),
        # The even share lets a device with few recordings have every class.
        classes=0.85 * rng.dirichlet(6 * of_device) + 0.15 / 4,
    )


def _name(patient: Patient, recording: int) -> str:
    """Each session records every chest location once."""
    session, place = divmod(recording, len(LOCATIONS))
    mode = MICROPHONES[patient.device].mode
    return f"{patient.number}_{session + 1}b1_{LOCATIONS[place]}_{mode}_{patient.device}"


def _annotations(starts_s: np.ndarray, ends_s: np.ndarray, labels: np.ndarray) -> str:
    """Tab-separated rows of start, end, crackles 0/1, wheezes 0/1."""
    return "".join(
        f"{start:.3f}\t{end:.3f}\t{label & 1}\t{label >> 1}\n"
        for start, end, label in zip(starts_s, ends_s, labels, strict=True)
    )


def _is_there(directory: Path, parameters: dict[str, float]) -> bool:
    """Whether the corpus exists with these parameters.

    Raises:
        InputError: something else lies there.
    """
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    file = directory / _PARAMETERS_FILE
    if file.is_file() and json.loads(file.read_text()) == parameters:
        return True
    raise InputError(
        f"{directory}: holds something other than the synthetic corpus asked for; "
        "remove it or name another folder"
    )
