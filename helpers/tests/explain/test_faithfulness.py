"""The tests of maps against cases small enough to work out by hand."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage, stats

from helpers import explain
from helpers.backend import keras
from helpers.explain import faithfulness

layers = keras.layers


def red_mean(size: int) -> keras.Model:
    """Logits (mean red / 10, 0)."""
    inputs = keras.Input((size, size, 3), dtype="uint8")
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(0.1)(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x), name="red_mean")
    model.get_layer("logits").set_weights([np.array([[1, 0], [0, 0], [0, 0]]), np.zeros(2)])
    return model


def sigmoid(values) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(values, float)))


def reds(*values: int) -> np.ndarray:
    """One 2 x 2 image of these reds."""
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, ..., 0] = np.reshape(values, (2, 2))
    return image


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# Of (40, 30, 20, 10), the third pixel is the most relevant, then the first, the fourth, the second.
RELEVANCE = np.reshape([3, 1, 4, 2], (1, 2, 2))


@pytest.mark.parametrize(
    ("curve", "steps", "means"),
    [
        (faithfulness.deletion_curve, 4, [25, 26.25, 22.5, 26.25, 25]),
        (faithfulness.deletion_curve, 2, [25, 22.5, 25]),
        (faithfulness.insertion_curve, 4, [25, 23.75, 27.5, 23.75, 25]),
        (faithfulness.insertion_curve, 2, [25, 27.5, 25]),
    ],
)
def test_curves_worked_out_by_hand(curve, steps, means):
    found = curve(red_mean(2), reds(40, 30, 20, 10), 0, RELEVANCE, steps, "mean")
    np.testing.assert_allclose(found, sigmoid(np.array([means]) / 10), rtol=1e-5)


def test_one_deletes_what_the_other_inserts():
    model, images = red_mean(8), pixels(3, 8, 8, 3)
    maps = explain.random_maps(3, (8, 8))
    for fill in faithfulness.FILLS:
        inserted = faithfulness.insertion_curve(model, images, 0, maps, 5, fill)
        deleted = faithfulness.deletion_curve(model, images, 0, -maps, 5, fill)
        np.testing.assert_allclose(inserted, deleted[:, ::-1], rtol=1e-5)


def test_a_blurred_image_takes_the_place_of_what_goes():
    images = pixels(2, 16, 16, 3)
    curve = faithfulness.deletion_curve(
        red_mean(16), images, 0, explain.random_maps(2, (16, 16)), 4, "blur"
    )
    reds = images[..., 0].astype(float)
    blurred = [np.rint(ndimage.gaussian_filter(red, 2, mode="nearest")) for red in reds]
    np.testing.assert_allclose(curve[:, -1], sigmoid(np.mean(blurred, axis=(1, 2)) / 10), rtol=1e-5)
    np.testing.assert_allclose(
        curve[:, 0], sigmoid(images[..., 0].mean(axis=(1, 2)) / 10), rtol=1e-5
    )


def test_equal_pixels_go_in_a_random_order():
    images = np.zeros((200, 2, 2, 3), np.uint8)
    images[:, 0, 0, 0] = 200  # in reading order, always the first to go
    flat = np.zeros((200, 2, 2))
    curve = faithfulness.deletion_curve(red_mean(2), images, 0, flat, 4, "mean")
    with_the_first_pixel_gone = curve[:, 1] < curve[:, 0]
    assert 25 < with_the_first_pixel_gone.sum() < 75  # a quarter of 200, give or take
    again = faithfulness.deletion_curve(red_mean(2), images, 0, flat, 4, "mean")
    np.testing.assert_array_equal(again, curve)
    other = faithfulness.deletion_curve(red_mean(2), images, 0, flat, 4, "mean", seed=1)
    assert (other != curve).any()


def test_many_images_are_predicted_in_parts(monkeypatch):
    model, images, maps = red_mean(8), pixels(5, 8, 8, 3), explain.random_maps(5, (8, 8))
    whole = faithfulness.deletion_curve(model, images, 0, maps)
    monkeypatch.setattr(faithfulness, "BATCH", 2)
    np.testing.assert_allclose(faithfulness.deletion_curve(model, images, 0, maps), whole, 1e-6)


def test_area_under():
    curves = np.array([[1, 1, 1], [1, 0.5, 0], [1, 0, 0], [0.5, 1, 0]])
    np.testing.assert_allclose(faithfulness.area_under(curves), [1, 0.5, 0.25, 0.625])


# --- ROAD ---------------------------------------------------------------------------------------


def test_a_removed_pixel_becomes_the_weighted_mean_of_its_neighbours():
    image = pixels(3, 3, 3)
    removed = np.zeros((3, 3), bool)
    removed[1, 1] = True
    rng = np.random.default_rng(0)
    filled = faithfulness._imputed(image, removed, rng)
    beside = image[[0, 1, 1, 2], [1, 0, 2, 1]].astype(float)
    across = image[[0, 0, 2, 2], [0, 2, 0, 2]].astype(float)
    expected = beside.sum(axis=0) / 6 + across.sum(axis=0) / 12
    noise = np.random.default_rng(0).normal(0, 2.55, 3)
    np.testing.assert_array_equal(filled[1, 1], np.clip(np.rint(expected + noise), 0, 255))
    np.testing.assert_array_equal(filled[~removed], image[~removed])


def test_a_large_hole_satisfies_the_equations_of_all_its_pixels():
    image, removed = pixels(9, 7, 3), np.zeros((9, 7), bool)
    removed[:, 2:] = True  # up to three of the image's sides
    without_noise = SimpleNamespace(normal=lambda *_: 0.0)
    filled = faithfulness._imputed(image, removed, without_noise).astype(float)
    weights = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    inside = ndimage.convolve(np.ones((9, 7)), weights, mode="constant")
    for colour in range(3):
        mean = ndimage.convolve(filled[..., colour], weights, mode="constant") / inside
        # Rounded to whole grey levels, each side of the equation.
        np.testing.assert_allclose(filled[..., colour][removed], mean[removed], atol=1)


def test_road_takes_the_most_relevant_share():
    images = np.zeros((1, 10, 10, 3), np.uint8)
    images[0, :3, :, 0] = 250  # three tenths are red
    maps = images[..., 0].astype(float)
    curves = {
        name: faithfulness.road_curve(red_mean(10), images, 0, relevance, (0.1, 0.3, 0.5))
        for name, relevance in {"true": maps, "opposite": -maps}.items()
    }
    before = sigmoid(7.5)
    np.testing.assert_allclose(curves["opposite"], before, atol=0.01)  # nothing red is gone
    assert curves["true"][0, 1] < 0.7  # all of it, but for the noise
    assert (np.diff(curves["true"][0, :2]) < 0).all()


# --- average drop and increase ------------------------------------------------------------------


def test_drop_and_increase_worked_out_by_hand():
    images = reds(200, 100, 0, 0)
    model = red_mean(2)
    before = sigmoid(75 / 10)
    halves = np.array([[[0.5, 1], [0, 0]]])  # of the map's range: 100 and 100 are left
    drop, increase = faithfulness.masked_change(model, images, 0, halves)
    np.testing.assert_allclose(drop, (before - sigmoid(5)) / before, rtol=1e-4)
    np.testing.assert_array_equal(increase, [0])
    # For the other class, less red is a rise.
    drop, increase = faithfulness.masked_change(model, images, 1, halves)
    np.testing.assert_array_equal(drop, [0])
    np.testing.assert_array_equal(increase, [1])


def test_a_signed_map_hides_what_speaks_against_the_class():
    images, model = reds(200, 100, 100, 100), red_mean(2)
    signed = np.array([[[2.0, 1], [-1, -2]]])
    drop, _ = faithfulness.masked_change(model, images, 0, signed)
    expected, _ = faithfulness.masked_change(model, images, 0, np.maximum(signed, 0))
    np.testing.assert_array_equal(drop, expected)


def test_a_map_that_is_the_same_everywhere_dims_nothing_or_all():
    images, model = reds(200, 100, 100, 100), red_mean(2)
    for level, mean in ((0.3, 125), (0.0, 0)):
        drop, _ = faithfulness.masked_change(model, images, 0, np.full((1, 2, 2), level))
        before, _ = faithfulness.masked_change(model, images, 0, np.ones((1, 2, 2)))
        assert before == 0
        assert (drop > 0) == (mean == 0)


def test_a_probability_of_zero_cannot_drop():
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    x = layers.Dense(2)(layers.Flatten()(layers.Rescaling(1.0)(inputs)))
    model = keras.Model(inputs, x)
    model.set_weights([np.zeros((12, 2)), np.array([200.0, 0])])
    drop, _ = faithfulness.masked_change(model, reds(1, 2, 3, 4), 1, np.ones((1, 2, 2)))
    np.testing.assert_array_equal(drop, [0])


def test_road_takes_images_of_one_colour():
    filled = faithfulness._imputed(pixels(9, 9, 1), np.eye(9, dtype=bool), np.random.default_rng(0))
    assert filled.shape == (9, 9, 1)


def test_a_gain_is_of_a_known_score():
    one, two = np.array([1.0]), np.array([3.0])
    assert faithfulness.gain("ROAD", one, two) == 2
    assert faithfulness.gain("average increase", one, two) == -2
    with pytest.raises(ValueError, match="unknown score 'deletion': choose from deletion, mean"):
        faithfulness.gain("deletion", one, two)


# --- all of them --------------------------------------------------------------------------------


def test_by_every_score_the_true_map_beats_chance_and_its_opposite_loses():
    rng = np.random.default_rng(0)
    images = np.zeros((20, 16, 16, 3), np.uint8)
    # A red square somewhere, and nothing else.
    corners = rng.integers(0, 12, (20, 2))
    for image, (y, x) in zip(images, corners, strict=True):
        image[y : y + 4, x : x + 4, 0] = 255
    model = red_mean(16)
    true = images[..., 0].astype(float)
    chance = explain.random_maps(20, (16, 16), grid=(16, 16))
    of = {
        name: faithfulness.scores(model, images, 0, maps)[0]
        for name, maps in {"true": true, "opposite": -true, "chance": chance}.items()
    }
    names = (*faithfulness.LOWERED, *faithfulness.RAISED)
    assert set(of["true"]) == set(names)
    for name in names:
        assert all(values[name].shape == (20,) for values in of.values())
        gains = faithfulness.gain(name, of["true"][name], of["chance"][name])
        if name != "average increase":  # nothing to rise: black is the least red
            assert gains.mean() > 0, name
            assert faithfulness.gain(name, of["true"][name], of["opposite"][name]).mean() > 0
        np.testing.assert_array_equal(
            faithfulness.gain(name, of["chance"][name], of["true"][name]), -gains
        )


def test_scores_come_with_the_mean_curves():
    model, images, maps = red_mean(8), pixels(4, 8, 8, 3), explain.random_maps(4, (8, 8))
    found, curves = faithfulness.scores(model, images, 1, maps)
    assert set(curves) == {f"{a}, {b}" for a in ("deletion", "insertion") for b in ("mean", "blur")}
    expected = faithfulness.insertion_curve(model, images, 1, maps, fill="blur")
    np.testing.assert_allclose(curves["insertion, blur"], expected.mean(axis=0), rtol=1e-5)
    for name, curve in curves.items():
        assert curve.shape == (faithfulness.STEPS + 1,)
        np.testing.assert_allclose(faithfulness.area_under(curve[None]), found[name].mean())


def test_rank_correlation_is_spearmans():
    maps, others = explain.random_maps(4, (8, 8)), explain.random_maps(4, (8, 8), seed=1)
    others[1], others[2], others[3] = 2 * maps[1] + 1, -maps[2], np.nan
    found = faithfulness.rank_correlation(maps, others)
    expected = stats.spearmanr(maps[0].ravel(), others[0].ravel()).statistic
    np.testing.assert_allclose(found[:3], [expected, 1, -1], atol=1e-6)
    assert np.isnan(found[3])
    others[0] = 0.5  # the same everywhere: no order to correlate
    with warnings.catch_warnings(action="error"):
        assert np.isnan(faithfulness.rank_correlation(maps, others)[0])


def test_rank_correlation_takes_pairs():
    maps = explain.random_maps(2, (4, 4))
    for others in (maps[:1], maps.reshape(2, 2, 8)):
        with pytest.raises(ValueError, match="pass pairs of one shape"):
            faithfulness.rank_correlation(maps, others)


# --- refusals -----------------------------------------------------------------------------------

IMAGES, MAPS = np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4))


@pytest.mark.parametrize("test", [faithfulness.deletion_curve, faithfulness.insertion_curve])
@pytest.mark.parametrize(
    ("maps", "steps", "fill", "message"),
    [
        (MAPS[:1], 16, "mean", r"\(1, 4, 4\): pass one for each image, \(2, 4, 4\)"),
        (MAPS[:, :2], 16, "mean", "pass one for each image"),
        (MAPS * np.nan, 16, "mean", "NaN or infinities: leave out"),
        (MAPS, 0, "mean", "steps is 0: pass 1 to 16"),
        (MAPS, 17, "mean", "steps is 17: pass 1 to 16"),
        (MAPS, 16, "black", "unknown fill 'black': choose from mean, blur"),
    ],
)
def test_curves_refuse(test, maps, steps, fill, message):
    with pytest.raises(ValueError, match=message):
        test(red_mean(4), IMAGES, 0, maps, steps, fill)


@pytest.mark.parametrize("shares", [(), (0.0,), (0.5, 1.0), (-0.1,), (0.01,), (0.99,)])
def test_road_refuses_shares(shares):
    with pytest.raises(ValueError, match="pass numbers above 0 and below 1"):
        faithfulness.road_curve(red_mean(4), IMAGES, 0, MAPS, shares)


@pytest.mark.parametrize("test", [faithfulness.road_curve, faithfulness.masked_change])
def test_the_other_tests_refuse_unfit_maps(test):
    with pytest.raises(ValueError, match="NaN or infinities: leave out"):
        test(red_mean(4), IMAGES, 0, MAPS * np.nan)
