"""What does a larger image cost, and what is it worth?

The spectrogram is enlarged 1, 2 and 3 times (64x219, 128x438 and 192x657 with recipe scratch; the
released code enlarges 3 times), and stage 1 is trained on each, on one split with one seed. Costs
are seconds and memory, worth is the Score. The same command resumes; a size that is finished is not
trained again.
"""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from respire.command.command import RECIPES, Options, command
from respire.recipe.presets import scratch
from respire.recipe.recipe import Recipe

SIZES, QUICK_SIZES = (1, 2, 3), (1, 2)


@dataclass(frozen=True)
class ImageSizeOptions(Options):
    """What every experiment can be told, and which sizes."""

    preset: Annotated[str, tyro.conf.arg(name="recipe", metavar=RECIPES)] = "scratch"
    """Recipe to start from; any field of it can be overridden below."""
    recipe: Recipe = field(default_factory=scratch)
    """The recipe's fields; features.upsample is what is compared."""
    sizes: tuple[int, ...] | None = None
    """How many times the spectrogram is enlarged; left out, 1 2 3, with --quick 1 2."""


def main(options: ImageSizeOptions) -> None:
    """Train on every size, and print the table of the report."""
    from respire.benchmark.image_size import compare_sizes

    print(compare_sizes(options, options.sizes or (QUICK_SIZES if options.quick else SIZES)))


if __name__ == "__main__":
    command(ImageSizeOptions, main, __doc__)
