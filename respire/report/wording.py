"""What reports call those whom cycles are grouped by: patients, unless the corpus has others.

All prose and every figure speaks of patients; where the groups are dates of recording, intervals
are over dates, and here alone that is said instead.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

T = TypeVar("T")
_ALONE = re.compile(r"(?<![\w:./-])(p)atient(s?)(?!\w|[:/]\S)", re.IGNORECASE)
"""The word, and no part of a name of a file, a recording or a field."""


def worded(thing: T, groups: str) -> T:
    """A text, or all texts and figures of a report, with patients called what they are.

    Figures are changed, all else is copied; mappings, as the content of results.json, stay.

    Args:
        thing: a text, a figure, a list or dataclass of such.
        groups: what one of them is (data/corpora/corpus.py), such as "date".
    """
    return thing if groups == "patient" else _worded(thing, groups)


def _worded(thing: Any, groups: str) -> Any:
    if isinstance(thing, str):
        return _ALONE.sub(
            lambda word: (groups.title() if word[1] == "P" else groups) + word[2], thing
        )
    if isinstance(thing, Figure):
        _word_figure(thing, groups)
    elif isinstance(thing, list | tuple):
        return type(thing)(_worded(part, groups) for part in thing)
    elif is_dataclass(thing) and not isinstance(thing, type):
        parts = {part.name: getattr(thing, part.name) for part in fields(thing)}
        return replace(
            thing,
            **{
                name: _worded(part, groups)
                for name, part in parts.items()
                if not isinstance(part, Mapping)
            },
        )
    return thing


def _word_figure(figure: Figure, groups: str) -> None:
    for axis in figure.findobj(Axis):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if (ours := _worded(labels, groups)) != labels:
            axis.set_ticklabels(ours)
    for text in figure.findobj(Text):
        text.set_text(_worded(text.get_text(), groups))
