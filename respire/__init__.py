"""respire: how good is a lung-sound recipe *really*?

RespireNet (Gairola et al. 2020) on Ray, with patient-disjoint splits, baselines beside every
Score, and test data that selects nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from respire.data.splits.split import Cut
    from respire.errors import InputError
    from respire.evaluation.assess import assess
    from respire.evaluation.decided import decided
    from respire.inference.model import load_model
    from respire.metrics import Measure
    from respire.recipe.presets import load_recipe
    from respire.recipe.recipe import Recipe
    from respire.study.by_hand import open_study, train
    from respire.study.place import Place

__version__ = "0.1.0"
__all__ = [
    "Cut",
    "InputError",
    "Measure",
    "Place",
    "Recipe",
    "__version__",
    "assess",
    "decided",
    "load_model",
    "load_recipe",
    "open_study",
    "train",
]

_FROM = {
    "Cut": "respire.data.splits.split",
    "InputError": "respire.errors",
    "Measure": "respire.metrics",
    "Place": "respire.study.place",
    "Recipe": "respire.recipe.recipe",
    "assess": "respire.evaluation.assess",
    "decided": "respire.evaluation.decided",
    "load_model": "respire.inference.model",
    "load_recipe": "respire.recipe.presets",
    "open_study": "respire.study.by_hand",
    "train": "respire.study.by_hand",
}
"""Where the public names live; each is imported when it is first asked for (PEP 562)."""


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
