import torch
from hypothesis import given
from hypothesis import strategies as st

from respire.features.colour import level, shades

images = st.builds(
    lambda seed, batch, rows, frames: torch.rand(
        batch, rows, frames, generator=torch.Generator().manual_seed(seed)
    ).mul_(255),
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(2, 30),
)


@given(images, st.integers(0, 10**6))
def test_what_colours_all_sound_alike_changes_nothing_where_rows_are_level(image, seed):
    gain = 80 * torch.rand(image.shape[1], 1, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(level(image + gain), level(image.clone()), atol=0.05, rtol=0)


@given(images)
def test_level_shades_fill_the_range_and_every_row_has_the_same_mean(image):
    shade = level(image.clone())
    assert shade.amin((1, 2)).abs().max() == 0
    torch.testing.assert_close(shade.amax((1, 2)), torch.full((len(shade),), 255.0))
    means = shade.mean(2)
    torch.testing.assert_close(means, means[:, :1].expand_as(means), atol=0.05, rtol=0)


def test_a_click_stands_out_of_steady_rows_that_hid_it():
    steady = torch.tensor([200.0, 100.0, 0.0])[None, :, None].repeat(1, 1, 50)
    steady[0, 1, 20] += 50
    shade = level(steady.clone())
    assert shade[0, 1, 20] == 255
    assert shade[0, :, :20].max() < 10
    assert steady[0, 1, 20] < steady[0, 0, 20]


def test_silence_has_no_range_and_stays_dark():
    silence = torch.zeros(2, 5, 7)
    assert not level(shades(silence)).any()


@given(images)
def test_shades_are_upside_down_decibels_over_the_whole_range(image):
    decibels = -image / 4
    shade = shades(decibels.clone())
    low, high = decibels.amin((1, 2), keepdim=True), decibels.amax((1, 2), keepdim=True)
    torch.testing.assert_close(shade, (decibels.flip(1) - low) / (high - low) * 255)
