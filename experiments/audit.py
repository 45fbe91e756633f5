"""What is the data set made of, and is what the paper says about it true?

Cycles by device and class, their lengths, sample rates, patients a device, who is on both sides of
the official split, and how many windows are blank at the top: of any recordings that --data takes.
Of the published data set every number is held against the paper's, and its errata are listed.
Nothing is trained.
"""

from respire.command.questions import audit

if __name__ == "__main__":
    audit(__doc__)
