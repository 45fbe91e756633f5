"""respire: how good is a lung-sound recipe *really*?

RespireNet (Gairola et al. 2020) on Ray, with patient-disjoint splits, baselines beside every
Score, and test data that selects nothing.
"""

__version__ = "0.1.0"
