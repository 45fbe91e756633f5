"""How far can a Score be trusted, and does one recipe beat another?

The same recipe is trained on many splits with several training seeds each, as many runs at once as
the cluster has room for. The report says how much of the spread is the split's and how much the
seed's, what a result on one split with one seed is worth, how many splits would be needed, and
what makes a split lucky. --compare puts a second recipe on the same splits and patients. The same
command resumes; a run that is finished, here or in another experiment, is not trained again.
"""

from dataclasses import dataclass

import tyro

from respire.command.command import GridOptions, command


@dataclass(frozen=True)
class SeedVarianceOptions(GridOptions):
    """What every grid can be told, and what to compare."""

    stratify: tyro.conf.FlagCreatePairsOff[bool] = False
    """Run splits stratified by device and class beside the plain ones."""
    compare: tuple[str, str] | None = None
    """Two recipes A B to compare: each a name, a name and overrides, or overrides of --recipe, such
    as small,features.padding=zero."""
    describe: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw 1,000 splits, say what their test sides are made of, and train nothing."""
    folds: str | None = None
    """With --describe: the released code's list of patients and folds (patient_list_foldwise.txt),
    each of which is placed among the random splits."""


def main(options: SeedVarianceOptions) -> None:
    """Run the grid, or describe splits, and print the report's tables."""
    if options.describe:
        from respire.experiments.split_ranges.run import describe

        print(describe(options, options.folds))
        return
    from respire.experiments.seed_variance.run import seed_variance

    print(seed_variance(options, options.compare))


if __name__ == "__main__":
    command(SeedVarianceOptions, main, __doc__)
