"""How long should the network listen? Table 2 of the paper: windows of 1 to 9 seconds.

Each length is trained on the same patient-disjoint splits; differences are from the recipe's own
length. The same command resumes, and a run that another experiment has done is not done again.
"""

from respire.command.questions import window_length

if __name__ == "__main__":
    window_length(__doc__)
