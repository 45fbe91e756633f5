"""Does a network look at blank rows, and does clipping them move its attention?

One recipe is trained on the same split and seed without and with blank region clipping (BRC).
Grad-CAM++ maps of layer 4 are drawn for all test cycles, one by one and on average, as the
paper's Fig. 3 and Fig. 5. The report adds the number that these only suggest: the share of
attention that lies on blank rows. The same command resumes.
"""

from dataclasses import dataclass, replace
from typing import Self

from respire.command.command import GridOptions, command


@dataclass(frozen=True)
class AttentionOptions(GridOptions):
    """What every grid can be told; one training of each variant unless more is asked for."""

    splits: int = 1
    """How many splits; --split-seed is the first one's seed, the others follow."""
    seeds: int = 1
    """How many training seeds on each split; --seed is the first."""

    def shortened(self) -> Self:
        """The options that ``--quick`` stands for: an image just high enough, of few frames."""
        short = super().shortened()
        features = replace(short.recipe.features, n_mels=64, hop=512, upsample=2)
        return replace(short, recipe=replace(short.recipe, features=features), splits=1, seeds=1)


def main(options: AttentionOptions) -> None:
    """Train both variants, and print the report's tables."""
    from respire.experiments.attention_maps.run import attention_maps

    print(attention_maps(options))


if __name__ == "__main__":
    command(AttentionOptions, main, __doc__)
