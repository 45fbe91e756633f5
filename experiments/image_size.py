"""What is a larger image worth?

The spectrogram is enlarged 1, 2 and 3 times (64x219, 128x438 and 192x657 with recipe scratch; the
released code enlarges 3 times), and each is trained on the same patient-disjoint splits;
differences are from the smallest. What each size costs, benchmark.py says (--parts step
--sizes 1 2 3).
The same command resumes, and a run that another experiment has done is not done again.
"""

from respire.command.questions import image_size

if __name__ == "__main__":
    image_size(__doc__)
