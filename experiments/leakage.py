"""What are five shortcuts worth? Points of Score that say nothing about patients.

Choosing the epoch on test, padding test cycles by their labels, testing patients that were trained
on (the official split has two), and splitting by recording or by cycle instead of by patient. Each
is compared with the same recipe without it, on the same splits where that can be; all but the
official one are stamped. The same command resumes, and a run that another experiment has done is
not done again.
"""

from respire.command.questions import leakage

if __name__ == "__main__":
    leakage(__doc__)
