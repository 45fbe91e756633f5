"""A second hospital: one device of its own, other locations, patients named by letters."""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

DEVICES = ("Eko CORE-500", "phone")
LOCATIONS = ("back left", "back right", "throat")
TABLE = "cycles.csv"


def write_hospital(folder: Path, patients: int = 24, cycles: int = 6) -> Path:
    """A folder in the plain layout (data/corpora/plain.py): two recordings a patient, at 8 kHz."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(patients):
        patient = f"{chr(65 + number % 26)}{'x' * (number // 26)}"
        for index in range(2):
            file = Path(patient) / f"visit{index}.wav"
            (folder / patient).mkdir(parents=True, exist_ok=True)
            time_s = np.arange(8000 * cycles) / 8000
            sound = random.normal(0, 0.05, len(time_s))
            labels = [(number + cycle) % 4 for cycle in range(cycles)]
            for cycle, label in enumerate(labels):
                rows.append(
                    {
                        "file": str(file),
                        "patient": patient,
                        "device": DEVICES[number % 2],
                        "location": LOCATIONS[(number + index) % 3],
                        "sex": "FM"[number % 2],
                        "age": 20 + number,
                        "start": cycle,
                        "end": cycle + 1,
                        "crackle": label & 1,
                        "wheeze": label >> 1,
                    }
                )
                if label & 2:
                    part = slice(8000 * cycle, 8000 * (cycle + 1))
                    sound[part] += 0.3 * np.sin(2 * np.pi * 400 * time_s[part])
                if label & 1:
                    sound[8000 * cycle + random.integers(0, 8000, 12)] += 0.6
            sf.write(folder / file, sound, 8000, subtype="PCM_16")
    pd.DataFrame(rows).to_csv(folder / TABLE, index=False)
    return folder
