"""Tasks and their classes."""

from typing import Literal

Task = Literal["4-class", "2-class"]
CLASSES: dict[Task, tuple[str, ...]] = {
    "4-class": ("normal", "crackle", "wheeze", "both"),
    "2-class": ("normal", "abnormal"),
}
NORMAL = 0
"""Index of the normal class, in either task."""
UNKNOWN = -1
"""In place of a class: that of a cycle or window which nobody has labelled."""
