"""Tables of where the attention lies."""

from respire.experiments.attention_maps.summary import CHANGE, Attention, Mean
from respire.metrics import percent
from respire.report.numbers import NONE, between, ends, signed
from respire.report.table import Table

GROUPS = {"all": "all windows", "blank_top": "blank on top"}
PARTS = {"blank": "Blank rows", "lower": "Lower half of the mel bands"}


def shares(attention: Attention) -> Table:
    """Where the attention lies, in each group of windows, of each variant and of their change."""
    rows = []
    for group, label in GROUPS.items():
        for part, title in PARTS.items():
            for name, groups in attention.compared.items():
                of_group = getattr(groups, group)
                means, shown = getattr(of_group, part), change if name == CHANGE else level
                rows.append(
                    (
                        *(label, title, name),
                        *shown(means.attention),
                        shown(means.rows)[0],
                        *change(means.excess),
                        f"{of_group.windows:,}",
                        f"{of_group.patients:,}",
                        f"{of_group.without_attention:,}",
                    )
                )
    return Table(
        "Share of attention (%)",
        (
            *("Windows", "Where", "", "Attention", "Interval", "Spread evenly", "Excess"),
            *("Interval of excess", "n", "Patients", "Without a map"),
        ),
        tuple(rows),
        text_columns=3,
        note="n: windows; intervals: 95%, by t over patients (none with fewer than "
        "10). Blank on top: windows that clipping changes. Blank rows: those of the image that the "
        "network is given, by the recipe's rule; clipping removes the ones on top, so that the "
        "network with BRC cannot look at them. Lower half: of the mel bands of the unclipped "
        "window. Spread evenly: the same share of the image's rows. Excess: attention less that, "
        "in points. Maps fall off towards the edges of any image, and blank rows lie at one. "
        "Change: with less without, the same windows. Without a map: windows where no channel "
        "speaks for the predicted class, left out of the means.",
    )


def by_split(attention: Attention) -> Table:
    """The same shares on each split, its training seeds pooled."""
    rows = []
    for name, variant in attention.variants.items():
        for split_seed, groups in variant.splits.items():
            for group, label in GROUPS.items():
                of_group = getattr(groups, group)
                parts = [getattr(of_group, part) for part in PARTS]
                means = [mean for part in parts for mean in (part.attention, part.rows)]
                cells = (level(mean)[0] for mean in means)
                rows.append((name, split_seed, label, *cells, f"{of_group.windows:,}"))
    return Table(
        "Share of attention by split (%)",
        (
            *("", "Split", "Windows", "Blank rows", "Spread evenly"),
            *("Lower half", "Spread evenly", "n"),
        ),
        tuple(rows),
        text_columns=3,
        note="n: windows, those of all training seeds together.",
    )


def level(mean: Mean | None) -> tuple[str, str]:
    """A share and its interval, in percent."""
    return (NONE, NONE) if mean is None else (percent(mean.value), ends(mean.ends))


def change(mean: Mean | None) -> tuple[str, str]:
    """A difference of shares and its interval, in points."""
    return (NONE, NONE) if mean is None else (signed(mean.value), between(mean.ends))
