"""What does a run need on 100, 1,000 or 10,000 hours of recordings, and what gives out first?

A model on paper: counts, bytes and seconds grow in proportion to the hours, at rates that were
measured: those of a results.json. GPU times follow from --windows-per-s or --peak-tflops alone:
none has been measured.
"""

from respire.command.benchmarks import scale

if __name__ == "__main__":
    scale(__doc__)
