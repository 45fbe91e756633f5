"""What a recording is like as a whole, by its windows or cycles."""

import pandas as pd

RULE = "the class of most windows or cycles; of several alike, the one that comes first"
"""How a recording's class follows; told wherever it is."""


def of_recordings(answers: pd.DataFrame) -> pd.DataFrame:
    """A row a recording.

    Args:
        answers: a row a window or cycle, those of a recording one after the other and in order
            (inference/model.py, ``Model.predict``).

    Returns:
        In the order of the answers: file, device, model str; windows int64, how many; abnormal
        float64, the share of them that are not normal; longest_abnormal int64, the most such ones
        in a row; class str (RULE).
    """
    classes = [name.removeprefix("p_") for name in answers.columns if name.startswith("p_")]
    rows = []
    for file, heard in answers.groupby("file", sort=False):
        abnormal = heard["class"] != classes[0]
        runs = abnormal.groupby((~abnormal).cumsum()).sum()
        votes = heard["class"].value_counts().reindex(classes, fill_value=0)
        rows.append(
            {
                "file": file,
                **heard.iloc[0][["device", "model"]],
                "windows": len(heard),
                "abnormal": abnormal.mean(),
                "longest_abnormal": int(runs.max()),
                "class": votes.idxmax(),
            }
        )
    return pd.DataFrame(rows)
