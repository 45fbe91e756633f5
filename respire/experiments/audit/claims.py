"""What the paper says about the data set, number by number, and where a census has the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from respire.labels import CLASSES


@dataclass(frozen=True)
class Claim:
    """A number of the paper.

    Attributes:
        where: it stands.
        what: it counts.
        printed: as the paper has it: "63%" is .63, and half a unit of its last digit is allowed.
        at: where the same number is in the census, by dots.
        instead: where another number is that the paper may have meant, and in words which.
        made_of: two other printed numbers whose quotient it may be.
        told: what else there is to say where it differs; filled in from the census by its names.
        of_audio: hangs on how a copy's audio was processed; a difference is then no erratum.
    """

    where: str
    what: str
    printed: str
    at: str
    instead: tuple[str, str] | None = None
    made_of: tuple[str, str] | None = None
    told: str = ""
    of_audio: bool = False

    @property
    def value(self) -> float:
        """The number; percentages as fractions."""
        return number_of(self.printed)

    @property
    def tolerance(self) -> float:
        """Half a unit of the last printed digit."""
        digits = self.printed.rstrip("%")
        decimals = len(digits.partition(".")[2])
        return 0.5 * 10.0**-decimals / (100 if self.printed.endswith("%") else 1)

    def agrees(self, ours: float | None) -> bool:
        """Whether a number rounds to the printed one."""
        return ours is not None and abs(ours - self.value) <= self.tolerance * (1 + 1e-9)

    def is_cut_off(self, ours: float | None) -> bool:
        """Whether a number is the printed one where digits are cut off instead of rounded."""
        return ours is not None and 0 <= ours - self.value < 2 * self.tolerance


def number_of(printed: str) -> float:
    """A printed number; percentages as fractions."""
    return float(printed.rstrip("%")) / (100 if printed.endswith("%") else 1)


_SECTIONS = """
Section 2 | recordings | 920 | recordings
Section 2 | patients | 126 | patients
Section 1 | cycles | 6898 | cycles
Section 2 | hours of audio | 5.5 | hours
Section 2 | devices | 4 | devices_used
Section 2 | body locations | 7 | locations.used
Section 2 | patients recorded at all seven locations | 100% | locations.share_at_all
Section 2 | lowest sample rate (Hz) | 4000 | sample_rates.lowest_hz
Section 2 | highest sample rate (Hz) | 44100 | sample_rates.highest_hz
Section 2.1 | normal, share of cycles | 53% | class_shares.normal
Section 2.1 | shortest cycle (s) | 0.2 | cycle_s.shortest
Section 2.1 | longest cycle (s) | 16.2 | cycle_s.longest
Section 2.1 | mean cycle (s) | 2.7 | cycle_s.mean
Section 2.1 | Litt3200, windows blank at the top | 100% | blank_rows.devices.Litt3200.top_row
Section 2.1 | AKGC417L, share of cycles | 63% | devices.AKGC417L.share
Section 3 | official split, share of cycles in train | 60% | official.sides.train.share
Section 3, footnote 4 | official split, patients in both train and test | 0 | \
official.shared_patients
Table 3 | AKGC417L, share of cycles | 63% | devices.AKGC417L.share
Table 3 | Meditron, share of cycles | 21% | devices.Meditron.share
Table 3 | Litt3200, share of cycles | 9% | devices.Litt3200.share
Table 3 | LittC2SE, share of cycles | 7% | devices.LittC2SE.share
Section 6.1 | normal cycles | 3642 | classes.normal
Section 6.1 | crackle cycles | 1864 | classes.crackle
Section 6.1 | wheeze cycles | 886 | classes.wheeze
Section 6.1 | both cycles | 506 | classes.both
Figure 4 | cycles under 3 s, share | 65% | cycle_s.shares.under 3 s
Figure 4 | cycles of 4 to 6 s, share | 33% | cycle_s.shares.4 to 6 s
"""
_TABLE_4 = {  # patients, then cycles by class, then all cycles
    "AKGC417L": "32 1922 1543 500 381 4346",
    "Meditron": "64 1037 215 148 56 1456",
    "Litt3200": "11 347 77 126 44 594",
    "LittC2SE": "23 336 29 112 25 502",
}
RECORDINGS, PATIENTS, DEVICES = 920, 126, set(_TABLE_4)
"""By these the published data set is recognised."""
_ADDED_UP = "Table 4 | patients, added up over devices | 130 | patients_by_device"
_TABLE_5 = {
    "AKGC417L": "0.53 0.83 0.56 0.75",
    "Meditron": "0.28 0.11 0.17 0.11",
    "Litt3200": "0.10 0.02 0.14 0.09",
    "LittC2SE": "0.09 0.04 0.13 0.05",
}
_TEXT = """
Section 6.1, text | Meditron, patients | 64 | devices.Meditron.patients
Section 6.1, text | Meditron, cycles | 1468 | devices.Meditron.cycles
Section 6.1, text | Meditron, cycles a patient | 22.9 | devices.Meditron.cycles_a_patient
Section 6.1, text | AKGC417L, patients | 32 | devices.AKGC417L.patients
Section 6.1, text | AKGC417L, cycles | 4364 | devices.AKGC417L.cycles
Section 6.1, text | AKGC417L, cycles a patient | 136.4 | devices.AKGC417L.cycles_a_patient
Section 6.1, text | AKGC417L, share of all crackle | 83% | devices.AKGC417L.share_of_class.crackle
"""
_MORE: Mapping[str, Mapping[str, Any]] = {
    "locations.share_at_all": {
        "told": "it holds for {locations[patients_at_all]} of {patients} patients"
    },
    "sample_rates.lowest_hz": {"of_audio": True},
    "sample_rates.highest_hz": {"of_audio": True},
    "blank_rows.devices.Litt3200.top_row": {"of_audio": True},
    "official.shared_patients": {
        "told": "{official[touched_cycles]} test cycles are theirs, {official[touched_both]} of "
        "them both"
    },
    "cycle_s.shares.4 to 6 s": {
        "instead": ("cycle_s.shares.over 3 to 6 s", "the share of cycles over 3 and up to 6 s")
    },
    "devices.Meditron.cycles_a_patient": {"made_of": ("1468", "64")},
    "devices.AKGC417L.cycles_a_patient": {"made_of": ("4364", "32")},
}
"""What else there is to say of a number, by where it is in the census."""


def _listed(lines: str) -> Iterator[Claim]:
    """Where, what, printed and at, a line each."""
    for line in lines.strip().splitlines():
        where, what, printed, at = line.split(" | ")
        yield Claim(where, what, printed, at, **_MORE.get(at, {}))


def _table_4() -> Iterator[Claim]:
    for device, row in _TABLE_4.items():
        patients, *cycles, total = row.split()
        at = f"devices.{device}"
        yield Claim("Table 4", f"{device}, patients", patients, f"{at}.patients")
        for name, count in zip(CLASSES["4-class"], cycles, strict=True):
            yield Claim("Table 4", f"{device}, {name}", count, f"{at}.classes.{name}")
        yield Claim("Table 4", f"{device}, cycles", total, f"{at}.cycles")


CLAIMS: tuple[Claim, ...] = (
    *_listed(_SECTIONS),
    *_table_4(),
    *_listed(_ADDED_UP),
    *(
        Claim("Table 5", f"{device}, share of all {n}", s, f"devices.{device}.share_of_class.{n}")
        for device, row in _TABLE_5.items()
        for n, s in zip(CLASSES["4-class"], row.split(), strict=True)
    ),
    *_listed(_TEXT),
)
"""Every number of the paper about the data set that a directory of recordings can be held to."""
