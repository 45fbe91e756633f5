import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from respire.errors import InputError
from respire.runtime.choices import check_name, run_name

ALLOWED = re.compile(r"[A-Za-z0-9._-]{1,128}")


@given(st.text(max_size=140))
@example("../../escaped")
@example(".")
@example("..")
@example("")
@example("a\n")
@example("x" * 128)
@example("x" * 129)
def test_a_name_is_one_segment_or_is_refused_in_one_line(name: str) -> None:
    if ALLOWED.fullmatch(name) and name not in (".", ".."):
        assert check_name(name) == run_name(name, "anything", "0123456789") == name
    else:
        with pytest.raises(InputError, match=r"^--name ") as refused:
            check_name(name)
        assert len(str(refused.value).splitlines()) == 1
        assert "make room" not in str(refused.value)


@given(st.text(min_size=1), st.sampled_from(["", "0123456789abcdef"]))
@example("small,features.padding=zero" * 20, "0123456789abcdef")
def test_a_name_that_is_made_obeys_the_rule_and_ends_in_its_key(what: str, key: str) -> None:
    made = run_name(None, what, key)
    assert ALLOWED.fullmatch(made)
    assert made.endswith(key[:8])
