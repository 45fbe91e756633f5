"""Catalogues as large as a test wants them."""

import numpy as np
import pandas as pd


def repeated(cycles: pd.DataFrame, times: int) -> pd.DataFrame:
    """A catalogue so many times over, each time with other patients; sorted as catalogues are.

    Args:
        cycles: a catalogue (data/corpora/icbhi.py); patients below 1,000.
        times: at least 1.
    """
    starts = np.flatnonzero(~cycles["recording"].duplicated().to_numpy())
    counts = np.diff(np.append(starts, len(cycles)))
    once = cycles.iloc[starts]
    number, which = np.divmod(np.arange(times * len(starts)), len(starts))
    patients = once["patient"].to_numpy()[which] + 1000 * number
    rest = once["recording"].str.partition("_")[2].to_numpy()[which]
    names = pd.Series(patients).astype(str).str.cat(pd.Series(rest), sep="_")
    order = np.argsort(names.to_numpy(), kind="stable")
    length = counts[which[order]]
    recording = np.repeat(order, length)
    within = np.arange(len(recording)) - np.repeat(np.cumsum(length) - length, length)
    made = cycles.take(starts[which[recording]] + within).reset_index(drop=True)
    made["recording"] = names.take(recording).reset_index(drop=True)
    made["patient"] = patients[recording]
    return made
