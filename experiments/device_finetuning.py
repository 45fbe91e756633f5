"""What does fine-tuning for each device bring? Table 3 and Fig. 6 of the paper, and section 2.1.

The common model and its four fine-tuned copies are read on the same test cycles, device by device.
The same command resumes, and a run that another experiment has done is not done again.
"""

from respire.command.questions import device_finetuning

if __name__ == "__main__":
    device_finetuning(__doc__)
