"""How fast and how large is every part of respire on this machine, and what could the machine do?

Measures the input path (by stage, by effect, and beside a loader that works sample by sample), the
train step, Ray's own cost, how seconds and memory grow with the cycles, and the preparation of the
recordings that --data names. Let the machine do nothing else meanwhile.
"""

from respire.command.benchmarks import benchmark

if __name__ == "__main__":
    benchmark(__doc__)
