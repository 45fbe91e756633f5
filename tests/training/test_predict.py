import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.training.predict import count_votes


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_majority_of_a_cycles_windows_wins_and_of_equals_the_first_class(windows):
    whole = torch.tensor([cycle for cycle, _ in windows])
    predicted = np.array([label for _, label in windows])
    votes = count_votes(torch.from_numpy(predicted), whole, 5, 4).argmax(1)
    for cycle in set(whole.tolist()):
        counted = np.bincount(predicted[whole.numpy() == cycle], minlength=4)
        assert votes[cycle] == counted.argmax()
