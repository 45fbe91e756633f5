"""Does one device teach the others? Table 6 of the paper, and a table it does not have.

Trained on AKGC417L alone, as in the paper; then on all devices but one, for each of the four, which
tells what a recipe is worth on a stethoscope that it has never heard. All rows are tested on the
same patients. The same command resumes, and a run that another experiment has done is not done
again.
"""

from respire.command.questions import single_device

if __name__ == "__main__":
    single_device(__doc__)
