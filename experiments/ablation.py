"""What is each of the paper's techniques worth? Table 1 and the single steps of section 3.

CBA: concatenation-based augmentation; BRC: blank region clipping; FT: device-specific fine-tuning.
All rows of one split and task are trained on the same patients, and each is compared with the row
that the paper compares it with. The same command resumes, and a run that another experiment has
done is not done again.
"""

from respire.command.questions import ablation

if __name__ == "__main__":
    ablation(__doc__)
