"""How far can a Score be trusted, and does one recipe beat another?

The same recipe is trained on many splits with several training seeds each, as many runs at once as
the cluster has room for. The report says how much of the spread is the split's and how much the
seed's, what a result on one split with one seed is worth, how many splits would be needed, and
what makes a split lucky. --compare puts a second recipe on the same splits and patients. The same
command resumes; a run that is finished, here or in another experiment, is not trained again.
"""

from respire.command.questions import seed_variance

if __name__ == "__main__":
    seed_variance(__doc__)
