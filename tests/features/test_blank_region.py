from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn.functional import interpolate

from respire.benchmark.per_sample import blank_rows, clip_blank_region
from respire.features.blank_region import BlankRegion, stretch
from respire.recipe.fields import Features
from respire.recipe.presets import released_code

EXACT = Features()
RELEASED = released_code().features
MAPS = ["magma", "grey"]
SHADE = st.one_of(st.floats(0, 255, width=32), st.sampled_from([0.0, 255.0]))
ROW = st.sampled_from(["black", "faint", "light", "mixed"])


@st.composite
def shade_images(draw: st.DrawFn) -> np.ndarray:
    """[M, F] with rows that are black, all but black, light, or anything."""
    kinds = draw(st.lists(ROW, min_size=1, max_size=12))
    width = draw(st.integers(1, 30))
    rows = []
    for kind in kinds:
        row = draw(arrays.arrays(np.float32, width, elements=SHADE))
        if kind == "black":
            row = row * np.float32(0.02)
        elif kind == "faint":
            light = draw(st.integers(0, width))
            row = np.where(np.arange(width) < light, 200, 0).astype(np.float32)
        elif kind == "light":
            row = row / 2 + 100
        rows.append(row)
    return np.stack(rows).astype(np.float32)


@settings(max_examples=300)
@given(shade_images(), st.sampled_from([EXACT, RELEASED]), st.sampled_from(MAPS))
def test_as_many_rows_are_cut_as_by_the_released_codes_loop(shade, features, colour_map):
    features = replace(features, colour_map=colour_map)
    rows = BlankRegion(features).rows(torch.from_numpy(shade)[None])
    assert rows.tolist() == [blank_rows(shade, features)]


@settings(max_examples=100)
@given(shade_images(), st.sampled_from([EXACT, RELEASED]))
def test_the_clipped_image_is_that_of_a_loop_over_columns(shade, features):
    clipped = BlankRegion(features)(torch.from_numpy(shade)[None])[0].numpy()
    assert clipped.dtype == np.float32
    # Positions in single precision are off by at most 1e-6 rows, rows differ by at most 255.
    np.testing.assert_allclose(clipped, clip_blank_region(shade, features), atol=2e-3)


def image_with(blank: int, filled: int, width: int = 20) -> torch.Tensor:
    """Rows of random light shades under blank ones."""
    shade = torch.rand(1, blank + filled, width, generator=torch.Generator().manual_seed(0))
    shade = 100 + 155 * shade
    shade[:, :blank] = 3.0
    return shade


@pytest.mark.parametrize(
    ("blank", "filled", "exact", "one_more"),
    [(0, 8, 0, 1), (3, 5, 3, 4), (7, 1, 7, 0), (8, 0, 0, 0), (6, 2, 6, 7)],
    ids=["none blank", "some", "all but the last", "all", "all but two"],
)
def test_the_released_code_cuts_a_row_too_many_where_one_is_left(blank, filled, exact, one_more):
    shade = image_with(blank, filled)
    assert BlankRegion(EXACT).rows(shade).tolist() == [exact]
    assert BlankRegion(RELEASED).rows(shade).tolist() == [one_more]


@pytest.mark.parametrize(("light", "rows"), [(4, 1), (5, 0)])
def test_a_row_is_blank_from_80_percent_of_black_on(light, rows):
    shade = image_with(0, 8)
    shade[:, 0] = 0
    shade[:, 0, :light] = 255
    assert BlankRegion(EXACT).rows(shade).tolist() == [rows]


def test_a_blank_row_under_the_highest_filled_one_stays():
    shade = image_with(2, 6)
    shade[:, 4] = 0
    assert BlankRegion(EXACT).rows(shade).tolist() == [2]


def one_image_a_shade() -> torch.Tensor:
    """The first row of each of 256 has one shade, the second is light."""
    shade = torch.full((256, 2, 5), 255.0)
    shade[:, 0] = torch.arange(256)[:, None]
    return shade


@pytest.mark.parametrize("colour_map", MAPS)
@pytest.mark.parametrize(
    ("blank_db", "top_db"), [(0, 80), (0.1, 80), (4.7, 80), (4.7, 60), (20, 80), (80, 80)]
)
def test_black_is_what_lies_below_the_level_in_either_colour_map(colour_map, blank_db, top_db):
    features = replace(EXACT, colour_map=colour_map, blank_db=blank_db, top_db=top_db)
    rows = BlankRegion(features).rows(one_image_a_shade())
    # 255 is never black: the second row is not.
    darker = round(255 * blank_db / top_db)
    assert rows.tolist() == [1] * darker + [0] * (256 - darker)
    assert rows.tolist() == [blank_rows(one.numpy(), features) for one in one_image_a_shade()]


def test_the_default_level_is_the_released_codes_grey_level_in_magma():
    # cvtColor(image, COLOR_BGR2GRAY) < 10, of the colours that magma has.
    colour = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, :3]
    grey = np.rint(colour @ [0.299, 0.587, 0.114])
    for features in (EXACT, RELEASED):
        rows = BlankRegion(replace(features, blank_region="clip")).rows(one_image_a_shade())
        np.testing.assert_array_equal(rows == 1, grey < 10)


@pytest.mark.parametrize("blank_region", ["keep", "clip"])
def test_windows_without_blank_rows_keep_every_bit(blank_region):
    features = replace(EXACT, blank_region=blank_region)
    shade = image_with(0, 64, 219)
    beside = torch.cat([image_with(20, 44, 219), shade, image_with(63, 1, 219)])
    assert torch.equal(BlankRegion(features)(beside)[1], shade[0])


def test_a_window_that_is_all_blank_keeps_every_bit():
    shade = image_with(64, 0, 219)
    for features in (EXACT, RELEASED):
        assert torch.equal(BlankRegion(features)(shade), shade)


def test_blank_rows_stay_where_the_recipe_keeps_them():
    shade = image_with(20, 44, 219)
    assert torch.equal(BlankRegion(replace(EXACT, blank_region="keep"))(shade), shade)


@settings(max_examples=100)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1), st.data())
def test_stretching_is_bilinear_resizing_of_what_is_left(height, width, seed, data):
    shade = 255 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    rows = [data.draw(st.integers(0, height - 1)) for _ in range(3)]
    stretched = stretch(shade, torch.tensor(rows))
    for image, cut, ours in zip(shade, rows, stretched, strict=True):
        theirs = interpolate(
            image[None, None, cut:], (height, width), mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(ours, theirs[0, 0], atol=2e-3, rtol=0)


def test_an_image_is_clipped_the_same_in_any_batch():
    shade = torch.cat([image_with(blank, 32 - blank) for blank in (0, 5, 31, 12, 32)])
    for features in (EXACT, RELEASED):
        clip = BlankRegion(features)
        apart = torch.cat([clip(image) for image in shade.split(1)])
        assert torch.equal(clip(shade), apart)
