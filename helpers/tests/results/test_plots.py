"""Figures say what their data say: texts, places and colours are compared with hand-made ones."""

import io
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color, to_rgb
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.testing import assert_allclose
from PIL import Image

from helpers import config
from helpers.results import plots
from helpers.results.plots.style import MODELS as ALL_MODELS
from helpers.results.plots.style import PALETTE

MODELS = [
    "cnn_baseline",
    "resnet20",
    "resnet18",
    "fast_cnn",
    "vit",
    "vit_seqpool",
    "vit_lite",
    "vit_128",
    "hybrid_token",
    "hybrid_dual",
    "fast_hybrid",
    "vit_stem",
    "cct",
    "cct_7",
]
CLASSES = ["cat", "deer", "dog"]


@pytest.fixture(autouse=True)
def style():
    plt.switch_backend("Agg")
    with plt.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def history(val_accuracy: list[float]) -> pd.DataFrame:
    val_accuracy = np.array(val_accuracy)
    return pd.DataFrame(
        {
            "epoch": np.arange(1, len(val_accuracy) + 1),
            "loss": 1 - val_accuracy,
            "accuracy": val_accuracy + 0.05,
            "val_loss": 2 - val_accuracy,
            "val_accuracy": val_accuracy,
        }
    )


def runs() -> pd.DataFrame:
    """Models, of which several stand so close together that careless names would collide."""
    accuracy = (
        np.array([89, 91.5, 95.1, 94, 79, 80.2, 88.5, 86, 90.5, 93, 92, 87.4, 88.7, 94.6]) / 100
    )
    parameters = (
        np.array([550, 272, 11200, 1970, 2700, 290, 3700, 2750, 1000, 3200, 1860, 350, 284, 3760])
        * 1e3
    )
    seconds = np.array([9, 12, 140, 11, 50, 51, 70, 300, 20, 80, 18, 24, 15, 260]) * 100
    frame = pd.DataFrame({"model": MODELS, "accuracy": accuracy, "parameters": parameters})
    frame["seconds_training"] = seconds
    return frame.assign(low=accuracy - 0.006, high=accuracy + 0.006)


def bins() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lower": [0.0, 0.25, 0.5, 0.75],
            "upper": [0.25, 0.5, 0.75, 1.0],
            "count": [0, 10, 30, 60],
            "confidence": [np.nan, 0.4, 0.6, 0.9],
            "accuracy": [np.nan, 0.5, 0.4, 0.85],
        }
    )


BLIND = {"random": "over chance", "centre": "over the centre"}


def gains() -> pd.DataFrame:
    """Grad-CAM of two models by two tests against two references; one was not tested."""
    rows = [
        ("vit", "deletion", "random", 0.12, 1),
        ("vit", "deletion", "centre", -0.3, -1),
        ("vit", "ROAD", "random", 0.021, 0),
        ("vit", "ROAD", "centre", -0.004, -1),
        ("cct", "deletion", "random", 0.3, 1),
        ("cct", "ROAD", "random", 0.06, 1),
        ("cct", "ROAD", "centre", 0.05, 1),
    ]
    return pd.DataFrame(rows, columns=["model", "score", "reference", "gain", "better"])


def answers() -> pd.DataFrame:
    """One test that is answered, one with two of three seeds, one without any."""
    return pd.DataFrame(
        {
            "question": ["cnn_or_vit", "cnn_or_vit", "hybrid_few"],
            "setting": ["all images", "all images", "few images"],
            "test": ["equal epochs", "equal compute", "against the CNN"],
            "sides": ["ViT → ResNet-20", "ViT → ResNet-20", "CNN baseline → token hybrid"],
            "matters": [1.0, 1.0, 2.0],
            "difference": [19.0, -0.5, np.nan],
            "low": [18.4, -3.0, np.nan],
            "high": [19.7, 2.0, np.nan],
            "verdict": [
                "answered: ResNet-20 ahead",
                "not all recorded (2 of 3 seeds)",
                "not all recorded (0 of 3 seeds)",
            ],
        }
    )


def answered_by_seed() -> pd.DataFrame:
    """A fresh seed, one seen before and one that no test plans; two of the second test."""
    return pd.DataFrame(
        {
            "question": "cnn_or_vit",
            "test": ["equal epochs"] * 3 + ["equal compute"] * 2,
            "difference": [18.8, 19.2, 3.0, -0.6, -0.4],
            "planned": [True, True, False, True, True],
            "fresh": [True, False, True, True, True],
        }
    )


def epochs() -> pd.DataFrame:
    """A system with two seeds of ours and an ablation, and one that is not recorded."""
    curves = [
        ("A: ViT", "published", "vit_128", -1, [40, 60]),
        ("A: ViT", "ours", "vit_128", 0, [41, 59]),
        ("A: ViT", "ours", "vit_128", 1, [43, 61]),
        ("A: ViT", "dropout everywhere", "vit_128", 0, [30, 50]),
        ("C: hybrid", "published", "hybrid_token", -1, [35, 55]),
    ]
    columns = ["system", "run", "model", "seed", "epoch", "accuracy"]
    rows = [
        (*curve, epoch, value)
        for *curve, values in curves
        for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=columns)


def rates() -> pd.DataFrame:
    """A ROC curve with one point below what is drawn."""
    return pd.DataFrame(
        {"false positive rate": [0, 1e-3, 0.1, 1], "true positive rate": [0, 0.4, 0.9, 1]}
    )


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def tick_texts(axis) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def legend_texts(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def searched():
    """Eight trials of each of two models, at 0.50 to 0.57 and 0.60 to 0.67."""
    rows = [
        {"model": model, "trial": trial, "validation accuracy": base + trial / 100}
        for model, base in (("vit", 0.5), ("resnet20", 0.6))
        for trial in range(8)
    ]
    return pd.DataFrame(rows)


FIGURES = {
    "class_distribution": lambda: plots.class_distribution(
        {"train": np.array([4500, 900, 4500]), "test": np.array([1000, 1000, 1000])}, CLASSES
    ),
    "image_grid": lambda: plots.image_grid(
        pixels(12, 8, 8, 3), titles=["automobile → airplane 0.98"] * 12, row_labels=["hard", "soft"]
    ),
    "channel_histograms": lambda: plots.channel_histograms(pixels(3, 8, 8, 3)),
    "learning_curves": lambda: plots.learning_curves({m: history([0.2, 0.5]) for m in MODELS}),
    "confusion_matrix": lambda: plots.confusion_matrix(np.diag([900, 800, 700]), CLASSES),
    "per_class_bars": lambda: plots.per_class_bars(
        {m: np.full(3, 0.5) for m in MODELS}, CLASSES, "Recall", highlight=["cat"]
    ),
    "grouped_bars": lambda: plots.grouped_bars(
        pd.DataFrame({"recall": [0.5, 0.6]}, ["no treatment", "class weights"]), "Score"
    ),
    "accuracy_against": lambda: plots.accuracy_against(
        runs(), "parameters", low="low", high="high"
    ),
    "accuracy_over_cost": lambda: plots.accuracy_over_cost(
        {m: spent() for m in MODELS}, "training_flops"
    ),
    "scores_with_intervals": lambda: plots.scores_with_intervals(
        runs(), "accuracy", "low", "high", "model", "Test accuracy"
    ),
    "reproductions": lambda: plots.reproductions(epochs()),
    "questions": lambda: plots.questions(answers(), answered_by_seed()),
    "recall_heatmap": lambda: plots.recall_heatmap(
        pd.DataFrame(np.full((len(MODELS), 3), 0.5), MODELS, CLASSES), ["cat"]
    ),
    "roc_curves": lambda: plots.roc_curves(
        dict.fromkeys(MODELS, rates()), dict.fromkeys(MODELS, 0.9)
    ),
    "trials": lambda: plots.trials(searched()),
    "reliability": lambda: plots.reliability(dict.fromkeys(MODELS[:4], bins())),
    "filters": lambda: plots.filters(np.ones((3, 3, 3, 20))),
    "patches": lambda: plots.patches(pixels(32, 32, 3), 4),
    "position_similarity": lambda: plots.position_similarity(np.eye(64), (8, 8)),
    "heatmaps": lambda: plots.heatmaps(
        pixels(2, 8, 8, 3),
        {f"A method with a long name {n}": np.ones((2, 8, 8)) for n in range(5)},
        ["true cat\npredicted dog 0.87"] * 2,
        captions={"A method with a long name 1": ["automobile 0.87"] * 2},
    ),
    "attention_grid": lambda: plots.attention_grid(pixels(8, 8, 3), np.ones((6, 4)), (2, 2), 1),
    "line_panels": lambda: plots.line_panels(
        probabilities({name: ["Grad-CAM", "random"] for name in MODELS[:5]}),
        "share",
        "probability",
        "method",
        "Share of pixels deleted",
        "Probability of the class",
    ),
    "gain_cells": lambda: plots.gain_cells(gains(), BLIND),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_fits_its_page_and_is_shown_once(name):
    figure = FIGURES[name]()
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()
    width, height = figure.get_size_inches()
    assert width <= 8.3  # some 900 pixels at 110 dpi
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= -0.02
    assert drawn.y0 >= -0.02
    assert drawn.x1 <= width + 0.02
    assert drawn.y1 <= height + 0.02


# --- style, names and files ---------------------------------------------------------------------


def test_models_have_one_colour_each_and_a_marker_by_family():
    assert len({plots.colour(name).lower() for name in ALL_MODELS}) == len(ALL_MODELS)
    assert [plots.marker(name) for name in ALL_MODELS] == ["o"] * 4 + ["s"] * 4 + ["D"] * 6 + ["^"]
    assert plots.label("hybrid_token") == "CNN-token hybrid"
    assert plots.label("vit_lite") == "ViT-Lite-7/4"


def test_unknown_model_is_a_grey_circle_with_its_own_name():
    red, green, blue = to_rgb(plots.colour("mlp"))
    assert red == green == blue
    assert (plots.marker("mlp"), plots.label("mlp")) == ("o", "mlp")


# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; they act on linear RGB.
VISION = {
    "usual": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ_for_colour_blind_readers(vision):
    def cielab(colour: str) -> np.ndarray:
        encoded = np.array(to_rgb(colour))
        linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
        seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        ratio = np.array(to_xyz) @ seen / [0.9505, 1.0, 1.089]
        x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    for group in ([plots.colour(name) for name in ALL_MODELS], PALETTE):
        colours = [cielab(colour) for colour in group]
        assert min(np.linalg.norm(a - b) for a, b in combinations(colours, 2)) > 15


def test_what_is_no_model_has_no_model_s_colour():
    assert not {plots.colour(name) for name in ALL_MODELS} & set(PALETTE)


def test_save_is_reproducible_and_names_no_software(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "FIGURES", tmp_path)
    first = plots.save(FIGURES["accuracy_against"](), "07_comparison/accuracy")
    plt.close("all")
    second = plots.save(FIGURES["accuracy_against"](), "again")
    assert first == tmp_path / "07_comparison" / "accuracy.png"
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        assert set(image.info) == {"dpi"}
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_few_colours_are_stored_where_they_are_enough():
    line, photograph = FIGURES["accuracy_against"](), plots.image_grid(pixels(40, 32, 32, 3))
    for figure, unseen, mode in ((line, 6, "P"), (photograph, 6, "RGB"), (photograph, 255, "P")):
        whole, stored = io.BytesIO(), io.BytesIO(plots.png(figure, unseen=unseen))
        figure.savefig(whole, dpi=150, bbox_inches="tight")
        with Image.open(stored) as small, Image.open(whole) as large:
            assert small.mode == mode
            difference = np.asarray(small.convert("RGB"), float) - np.asarray(large.convert("RGB"))
        assert np.quantile(np.abs(difference), 0.999) <= (unseen if mode == "P" else 0)
        assert len(stored.getvalue()) < len(whole.getvalue())


# --- data and images ----------------------------------------------------------------------------


def test_class_distribution_writes_the_numbers():
    axes = FIGURES["class_distribution"]().axes[0]
    assert texts(axes) == ["4,500", "900", "4,500", "1,000", "1,000", "1,000"]
    assert tick_texts(axes.xaxis) == CLASSES
    assert axes.get_ylabel() == "Images"


def test_image_grid_shows_pixels_titles_and_rows():
    images = pixels(5, 4, 4, 3)
    figure = plots.image_grid(
        images,
        titles=["a", "b", "c", "two\nlines", "e"],
        columns=3,
        row_labels=["first", "second"],
        title_colours=["black", "red", "black", "black", "black"],
    )
    assert len(figure.axes) == 6
    for axes, image in zip(figure.axes, images, strict=False):
        assert np.array_equal(axes.images[0].get_array(), image)
        assert axes.images[0].get_interpolation() == "nearest"
        assert not axes.get_xticks().size
    assert [axes.get_title() for axes in figure.axes[:5]] == ["a", "b", "c", "two\nlines", "e"]
    assert same_color(figure.axes[1].title.get_color(), "red")
    assert [figure.axes[i].get_ylabel() for i in (0, 1, 3)] == ["first", "", "second"]
    assert not figure.axes[5].axison


def test_image_grid_breaks_long_titles_so_that_neighbours_do_not_touch():
    titles = ["automobile → airplane 0.98"] * 10
    figure = plots.image_grid(pixels(10, 4, 4, 3), titles)
    figure.canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert figure.axes[0].get_title().replace("\n", " ") == titles[0]


def test_channel_histograms_count_pixels():
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[0, ..., 0] = 255  # red: one half 255, the other 0
    images[..., 1] = 10
    figure = plots.channel_histograms(images)
    red, green, blue = (line.get_ydata() for line in figure.axes[0].lines)
    assert (red[0], red[255], green[10], blue[0]) == (50, 50, 100, 100)
    assert red.sum() == green.sum() == blue.sum() == 100
    assert legend_texts(figure) == [
        "Red (mean 127.5, SD 127.5)",
        "Green (mean 10.0, SD 0.0)",
        "Blue (mean 0.0, SD 0.0)",
    ]


# --- training and scores ------------------------------------------------------------------------


def test_learning_curves_mark_the_earlier_of_two_best_epochs():
    figure = plots.learning_curves({"vit": history([0.3, 0.6, 0.5, 0.6])})
    loss, accuracy = figure.axes
    training, validation, best = accuracy.lines
    assert (training.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert training.get_ydata() == pytest.approx([0.35, 0.65, 0.55, 0.65])
    assert validation.get_ydata() == pytest.approx([0.3, 0.6, 0.5, 0.6])
    assert best.get_xydata().tolist() == [[2, 0.6]]
    assert loss.lines[2].get_xydata().tolist() == [[2, 1.4]]
    assert best.get_marker() == "s"
    assert same_color(validation.get_color(), plots.colour("vit"))
    assert legend_texts(figure) == ["training", "validation", "best epoch", "ViT"]


def test_learning_curves_of_a_score_that_training_lacks():
    curve = history([0.3, 0.6, 0.5]).assign(val_macro_recall=[0.1, 0.2, 0.4])
    loss, recall = plots.learning_curves({"vit": curve}, score="macro_recall").axes
    validation, best = recall.lines
    assert validation.get_ydata() == pytest.approx([0.1, 0.2, 0.4])
    assert best.get_xydata().tolist() == [[3, 0.4]]
    assert loss.lines[2].get_xydata().tolist() == [[3, 1.5]]
    assert recall.get_ylabel() == "Macro recall"


def test_learning_curves_mark_the_epoch_of_the_lowest_loss():
    curve = history([0.3, 0.6, 0.5]).assign(val_loss=[1.5, 1.4, 1.2])
    loss, accuracy = plots.learning_curves({"vit": curve}, by_loss=True).axes
    assert loss.lines[2].get_xydata().tolist() == [[3, 1.2]]
    assert accuracy.lines[2].get_xydata().tolist() == [[3, 0.5]]


def test_labels_that_are_no_models_take_no_models_colour():
    blue = plots.colour("resnet20")
    curves = {"seed 0": history([0.1]), "resnet20": history([0.2]), "seed 1": history([0.3])}
    lines = plots.learning_curves(curves).axes[0].lines[1::3]
    assert [same_color(line.get_color(), blue) for line in lines] == [False, True, False]
    assert not same_color(lines[0].get_color(), lines[2].get_color())


def test_confusion_matrix_writes_percentages_of_the_row():
    figure = plots.confusion_matrix(np.array([[3, 1, 0], [0, 0, 0], [1, 1, 6]]), CLASSES)
    axes, bar = figure.axes
    assert texts(axes) == ["75.0", "25.0", "", "", "", "", "12.5", "12.5", "75.0"]
    assert tick_texts(axes.xaxis) == tick_texts(axes.yaxis) == CLASSES
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    cells = axes.collections[0].get_array().ravel().tolist()
    assert cells == [75, 25, 0, 0, 0, 0, 12.5, 12.5, 75]
    assert bar.get_ylabel() == "% of the true class"
    dark, light = axes.texts[8].get_color(), axes.texts[6].get_color()
    assert np.mean(to_rgb(dark)) > 0.9  # white text on the darkest cell
    assert np.mean(to_rgb(light)) < 0.3


def test_confusion_matrix_of_many_classes_has_no_text():
    axes = plots.confusion_matrix(np.eye(21, dtype=int), [f"c{i}" for i in range(21)]).axes[0]
    assert not axes.texts
    assert tick_texts(axes.xaxis) == []


def test_per_class_bars_draw_the_values_and_mark_classes():
    values = {"resnet20": np.array([0.1, 0.2, 0.3]), "vit": np.array([0.4, 0.5, 0.6])}
    figure = plots.per_class_bars(values, CLASSES, "Recall", highlight=("cat", "dog"))
    axes = figure.axes[0]
    for container, (name, heights) in zip(axes.containers, values.items(), strict=True):
        assert [bar.get_height() for bar in container] == heights.tolist()
        assert same_color(container[0].get_facecolor(), plots.colour(name))
    weights = [text.get_fontweight() for text in axes.get_xticklabels()]
    assert weights[0] == weights[2] == "bold"
    assert weights[1] != "bold"
    assert legend_texts(figure) == ["ResNet-20", "ViT"]


def test_grouped_bars_stand_around_their_tick_with_intervals():
    frame = pd.DataFrame({"recall": [0.5, 0.6], "F1": [0.4, 0.3], "x": [0.1, 0.2]}, ["vit", "none"])
    axes = plots.grouped_bars(frame, "Score", errors=(frame - 0.1, frame + 0.2)).axes[0]
    assert tick_texts(axes.xaxis) == ["ViT", "none"]
    assert axes.get_ylabel() == "Score"
    for group in range(2):
        bars = [container[group] for container in axes.containers]
        assert [bar.get_height() for bar in bars] == frame.iloc[group].tolist()
        middle = (bars[0].get_x() + bars[-1].get_x() + bars[-1].get_width()) / 2
        assert middle == pytest.approx(group)
    recall = axes.collections[0].get_segments()
    assert [segment[:, 1].tolist() for segment in recall] == [
        pytest.approx([0.4, 0.7]),
        pytest.approx([0.5, 0.8]),
    ]


@pytest.mark.parametrize("x", ["parameters", "seconds_training"])
@pytest.mark.parametrize("interval", [{}, {"low": "low", "high": "high"}])
def test_accuracy_against_names_every_point_without_collisions(x, interval):
    figure = plots.accuracy_against(runs(), x, **interval)
    axes = figure.axes[0]
    figure.canvas.draw()
    assert sorted(texts(axes)) == sorted(map(plots.label, MODELS))
    names = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the point
    points = [line.get_window_extent().padded(4) for line in axes.lines]  # and intervals
    assert not any(a.overlaps(b) for a, b in combinations(names, 2))
    assert not any(name.overlaps(point) for name in names for point in points)
    assert all(axes.bbox.containsx(name.x0) and axes.bbox.containsx(name.x1) for name in names)


def test_accuracy_against_draws_points_and_intervals_on_a_log_axis():
    axes = plots.accuracy_against(runs(), "parameters", low="low", high="high").axes[0]
    assert axes.get_xscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Parameters", "Test accuracy")
    interval, vit = axes.lines[2 * MODELS.index("vit") :][:2]
    assert vit.get_xydata().tolist() == [[2.7e6, 0.79]]
    assert vit.get_marker() == "s"
    assert same_color(vit.get_color(), plots.colour("vit"))
    assert_allclose(interval.get_xydata(), [[2.7e6, 0.784], [2.7e6, 0.796]])
    assert axes.xaxis.get_major_formatter()(2e6) == "2M"


def test_accuracy_against_names_a_model_with_several_runs_once():
    frame = pd.concat([runs(), runs().assign(accuracy=0.5)])
    axes = plots.accuracy_against(frame, "parameters").axes[0]
    assert len(axes.lines) == 2 * 2 * len(MODELS)  # a point and its interval, here of no length
    assert len(axes.texts) == len(MODELS)
    axes = plots.accuracy_against(frame.assign(name="run"), "parameters").axes[0]
    assert texts(axes) == ["run"]


def test_pareto_front_steps_along_the_rows_that_none_beats():
    frame = pd.DataFrame(
        {
            "model": ["vit", "cct", "resnet20", "cnn_baseline", "fast_cnn"],
            "training_flops": [3.0, 2.0, 1.0, 1.0, 4.0],
            "accuracy": [0.8, 0.7, 0.6, 0.5, 0.8],
        }
    )
    axes = plots.accuracy_against(frame, "training_flops", front=True).axes[0]
    front = axes.lines[0]
    assert front.get_xydata().tolist() == [[1, 0.6], [2, 0.6], [2, 0.7], [3, 0.7], [3, 0.8]]
    pieces = [Bbox(piece) for piece in pairwise(axes.transData.transform(front.get_xydata()))]
    for text in axes.texts:
        assert not any(Text.get_window_extent(text).overlaps(piece) for piece in pieces)


def spent(accuracies=(0.5, 0.4, 0.7)):
    steps = np.arange(1, 1 + len(accuracies))
    return pd.DataFrame({"training_flops": 0.1 * steps, "val_accuracy": accuracies})


def test_accuracy_over_cost_keeps_the_best_so_far():
    curves = {"fast_cnn/fast_11": spent(), "fast_cnn/airbench94": spent(), "vit": spent()}
    figure = plots.accuracy_over_cost(curves, "training_flops")
    axes = figure.axes[0]
    for line in axes.lines:
        np.testing.assert_allclose(line.get_xydata(), [[0.1, 0.5], [0.2, 0.5], [0.3, 0.7]])
    assert [line.get_label() for line in axes.lines] == [
        "Fast CNN, fast_11",
        "Fast CNN, airbench94",
        "ViT",
    ]
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "-"]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "Training (floating-point operations)"


def test_names_far_from_crowded_points_get_a_line():
    accuracy = np.linspace(0.8, 0.81, len(MODELS))
    frame = pd.DataFrame({"model": MODELS, "macs": 1e6, "accuracy": accuracy})
    frame.loc[len(MODELS)] = ["mlp", 1e6, 0.0]  # squeezes them into one spot
    axes = plots.accuracy_against(frame, "macs").axes[0]
    assert any(text.arrow_patch for text in axes.texts)
    assert axes.get_xlabel() == "MACs per image"


def test_scores_with_intervals_are_sorted_and_written_out():
    frame = pd.DataFrame(
        {
            "strategy": ["none", "weights", "focal"],
            "f1": [0.5, 0.7, 0.6],
            "low": [0.4, 0.65, 0.5],
            "high": [0.55, 0.75, 0.7],
        }
    )
    figure = plots.scores_with_intervals(frame, "f1", "low", "high", "strategy", "Macro F1")
    axes = figure.axes[0]
    assert tick_texts(axes.yaxis) == ["none", "focal", "weights"]  # from bottom to top
    assert texts(axes)[2] == "0.700 [0.650, 0.750]"
    assert axes.get_xlabel() == "Macro F1"
    assert [c.get_segments()[0].tolist() for c in axes.collections] == [
        [[0.4, 0], [0.55, 0]],
        [[0.5, 1], [0.7, 1]],
        [[0.65, 2], [0.75, 2]],
    ]


def test_scores_with_intervals_take_the_look_of_column_model():
    frame = runs().assign(run=[f"{name}, 30 epochs" for name in MODELS])
    axes = plots.scores_with_intervals(frame, "accuracy", "low", "high", "run", "Accuracy").axes[0]
    assert tick_texts(axes.yaxis)[0] == "vit, 30 epochs"
    assert same_color(axes.lines[0].get_color(), plots.colour("vit"))
    assert axes.lines[0].get_marker() == "s"


def test_questions_show_planned_seeds_and_verdicts_row_by_row():
    axes = plots.questions(answers(), answered_by_seed()).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [18.8, 19.2, -0.6, -0.4]
    hollow = [same_color(dot.get_markerfacecolor(), "white") for dot in dots]
    assert hollow == [False, True, False, False]
    assert [round(float(dot.get_ydata()[0])) for dot in dots] == [0, 0, 1, 1]
    assert [" ".join(text.split()) for text in texts(axes)] == [
        "+19.0: ResNet-20 ahead",
        "not all recorded (2 of 3 seeds)",
        "not all recorded (0 of 3 seeds)",
    ]
    assert tick_texts(axes.yaxis)[2] == "token hybrid minus CNN baseline\nfew images"
    assert tick_texts(axes.yaxis)[0] == "ResNet-20 minus ViT\nall images, equal epochs"
    low, high = axes.get_xlim()
    assert low < -3
    assert high > 19.7


def test_questions_without_a_run_can_be_drawn():
    empty = answers().iloc[2:].reset_index(drop=True)
    axes = plots.questions(empty, answered_by_seed().iloc[:0]).axes[0]
    assert axes.get_xlim() == (-2.5, 2.5)


def test_reproductions_draw_seeds_their_mean_and_what_is_published():
    figure = plots.reproductions(epochs())
    first, second = figure.axes[:2]
    drawn = [line.get_ydata().tolist() for line in first.lines]
    assert drawn == [[41, 59], [43, 61], [30, 50], [42, 60], [40, 60]]
    assert [line.get_linestyle() for line in first.lines] == ["-", "-", "--", "-", "-"]
    assert same_color(first.lines[3].get_color(), plots.colour("vit_128"))
    assert first.get_title() == "A: ViT (2 seeds)"
    assert second.get_title() == "C: hybrid (not recorded yet)"
    assert legend_texts(figure)[-1] == "dropout everywhere"


def test_recall_heatmap_writes_percentages_and_marks_classes():
    frame = pd.DataFrame([[0.5, 0.255, 1], [0, 0.75, 0.6]], ["vit", "two seeds"], CLASSES)
    axes = plots.recall_heatmap(frame, ["deer"]).axes[0]
    assert texts(axes) == ["50", "26", "100", "0", "75", "60"]
    assert tick_texts(axes.yaxis) == ["ViT", "two seeds"]
    bold = [tick.get_fontweight() == "bold" for tick in axes.get_xticklabels()]
    assert bold == [False, True, False]


def test_roc_curves_are_in_the_model_s_colour_with_their_area():
    figure = plots.roc_curves({"vit": rates()}, {"vit": 0.9484})
    line, chance = figure.axes[0].lines
    assert same_color(line.get_color(), plots.colour("vit"))
    assert line.get_xdata().tolist() == [1e-3, 0.1, 1]
    assert_allclose(chance.get_ydata(), chance.get_xdata())
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["ViT: 0.948"]


def test_accuracy_over_cost_of_many_runs_keeps_the_best_of_the_best_eight_models():
    curves = {f"{model}/short": spent() for model in MODELS}
    for number, model in enumerate(MODELS):
        curves[f"{model}/long"] = spent().assign(val_accuracy=0.8 + number / 100)
    figure = plots.accuracy_over_cost(curves, "training_flops")
    assert legend_texts(figure) == [f"{plots.label(model)}, long" for model in MODELS[-8:]]


def test_trials_stand_by_number_on_the_line_of_their_model():
    axes = plots.trials(searched()).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ResNet-20", "ViT"]
    placed = {(round(text.xy[0], 2), text.xy[1]): text.get_text() for text in axes.texts}
    assert len(placed) == 16
    assert placed[0.63, 0] == "3"
    assert placed[0.57, 1] == "7"


def test_trials_that_would_hide_each_other_leave_the_line():
    frame = searched()
    frame["validation accuracy"] = [0.5, 0.501, 0.502, *np.linspace(0.55, 0.7, 13)]
    texts = plots.trials(frame).axes[0].texts
    assert [text.xy[1] for text in texts if text.xy[0] < 0.51] == [1, 0.7, 1.3]


def test_a_trial_that_diverged_has_no_disc():
    frame = searched()
    frame.loc[3, "validation accuracy"] = np.nan
    assert len(plots.trials(frame).axes[0].texts) == 15


@pytest.mark.parametrize(
    ("number", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (5, 2, 3)]
)
def test_reliability_has_three_panels_a_row_but_two_of_four(number, rows, columns):
    axes = plots.reliability(dict.fromkeys(MODELS[:number], bins())).axes
    assert axes[0].get_gridspec().get_geometry() == (rows, columns)


def test_reliability_draws_no_accuracy_of_a_rare_bin():
    rare = bins().assign(count=lambda table: table["count"] * [0, 0.002, 1, 1])
    _, curve = plots.reliability({"vit": rare}).axes[0].lines
    assert curve.get_xydata().tolist() == [[0.6, 0.4], [0.9, 0.85]]


def test_reliability_leaves_empty_bins_out_and_gives_the_error():
    figure = plots.reliability({"vit": bins(), "another": bins()})
    axes, second = figure.axes
    # (10 * 0.1 + 30 * 0.2 + 60 * 0.05) / 100
    assert axes.get_title() == "ViT: ECE 0.100"
    assert second.get_title() == "another: ECE 0.100"
    diagonal, curve = axes.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert curve.get_xydata().tolist() == [[0.4, 0.5], [0.6, 0.4], [0.9, 0.85]]
    assert [bar.get_height() for bar in axes.patches] == [0.1, 0.3, 0.6]
    assert (axes.get_ylabel(), second.get_ylabel()) == ("Accuracy", "")
    assert same_color(curve.get_color(), plots.colour("vit"))


# --- what models look at ------------------------------------------------------------------------


def test_filters_are_scaled_one_by_one_about_grey():
    kernels = np.zeros((2, 2, 3, 3))
    kernels[0, 0, :, 0] = (4, -2, 0)
    kernels[1, 1, :, 1] = (-0.001, 0, 0.001)
    mosaic = plots.filters(kernels).axes[0].images[0].get_array()
    zoom = 12  # two weights a side become 24 pixels; the gap is 3
    assert mosaic.shape == (24, 3 * 24 + 2 * 3, 3)
    assert_allclose(mosaic[0, 0], [1, 0.25, 0.5])
    assert_allclose(mosaic[0, zoom], 0.5)
    assert_allclose(mosaic[23, 27 + 23], [0, 0.5, 1])
    assert_allclose(mosaic[0, 24], 1)
    assert np.all(mosaic[:, 54:] == 0.5)  # a kernel of zeros


def test_patches_are_cut_and_numbered_in_reading_order():
    image = pixels(4, 6, 3)
    whole, cut = plots.patches(image, 2).axes
    assert np.array_equal(whole.images[0].get_array(), image)
    assert texts(cut) == ["0", "1", "2", "3", "4", "5"]
    assert cut.texts[4].get_position() == (3.5, 3.5)
    mosaic = cut.images[0].get_array()
    assert mosaic.shape == (5, 8, 3)
    assert_allclose(mosaic[3:5, 3:5], image[2:4, 2:4] / 255)
    assert np.all(mosaic[2] == 1)
    assert np.all(mosaic[:, [2, 5]] == 1)


def test_position_similarity_lays_maps_out_like_the_patches():
    similarity = np.linspace(-1, 1, 36).reshape(6, 6)
    figure = plots.position_similarity(similarity, (2, 3))
    axes, bar = figure.axes
    drawn = axes.images[0]
    assert drawn.get_clim() == (-1, 1)
    mosaic = np.ma.filled(drawn.get_array(), np.nan)
    assert mosaic.shape == (5, 11)
    assert_allclose(mosaic[3:5, 4:7], similarity[4].reshape(2, 3))  # row 1, column 1
    assert np.isnan(mosaic[2]).all()
    assert tick_texts(axes.yaxis) == ["0", "1"]
    assert axes.get_xticks().tolist() == [1, 5, 9]
    assert bar.get_ylabel() == "Cosine similarity"


def test_position_similarity_of_large_grids_draws_every_other_map():
    similarity = np.arange(256.0)[:, None] / 256 * np.ones(256)
    axes = plots.position_similarity(similarity, (16, 16)).axes[0]
    assert tick_texts(axes.xaxis) == [str(number) for number in range(1, 16, 2)]
    mosaic = axes.images[0].get_array()
    assert mosaic.shape == (8 * 17 - 1, 8 * 17 - 1)
    assert mosaic[0, 17] == (1 * 16 + 3) / 256


def test_titles_and_captions_of_many_heatmaps_stand_apart():
    names = ["Grad-CAM++", "HiResCAM", "SmoothGrad", "Occlusion", "Rollout", "Attention x gradient"]
    images, maps = np.zeros((1, 8, 8, 3), np.uint8), np.ones((1, 8, 8))
    captions = {name: ["automobile 0.95"] for name in names}
    figure = plots.heatmaps(images, dict.fromkeys(names, maps), captions=captions)
    figure.draw_without_rendering()
    panels = figure.axes[1:7]
    for texts in ([axes.title for axes in panels], [axes.xaxis.label for axes in panels]):
        boxes = [text.get_window_extent() for text in texts]
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_heatmaps_scale_every_map_and_keep_its_order():
    images = pixels(2, 3, 3, 3)
    maps = np.random.default_rng(1).normal(5, 3, (2, 3, 3))
    maps[1] *= 100
    figure = plots.heatmaps(images, {"CAM": maps, "flat": np.full((2, 3, 3), 7.0)}, ["a", "b\nc"])
    grid = np.array(figure.axes[:6]).reshape(2, 3)
    assert [axes.get_title() for axes in grid[0]] == ["Image", "CAM", "flat"]
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["a", "b\nc"]
    for row, values in enumerate(maps):
        assert np.array_equal(grid[row, 0].images[0].get_array(), images[row])
        under, over = grid[row, 1].images
        assert np.ptp(under.get_array(), axis=2).max() == 0  # grey
        drawn = over.get_array()
        assert (drawn.min(), drawn.max()) == (0, 1)
        assert np.array_equal(np.argsort(drawn, axis=None), np.argsort(values, axis=None))
        assert over.get_clim() == (0, 1)
        assert over.get_alpha() is None
        assert over.cmap(0.0)[3] == 0  # the image stays visible
        assert over.cmap(0.4)[3] < over.cmap(1.0)[3] < 0.8
        assert np.all(grid[row, 2].images[1].get_array() == 0)
    assert figure.axes[6].get_ylabel() == "Relative\nvalue"


def test_the_user_s_matplotlibrc_changes_no_figure(fresh_python, tmp_path):
    code = """
import sys
import numpy as np
from helpers.results import plots
plots.use_style()
images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
figure = plots.heatmaps(images, {"CAM": np.arange(72.0).reshape(2, 6, 6)}, ["a", "b"])
sys.stdout.buffer.write(plots.png(figure).hex().encode())
"""
    settings = tmp_path / "matplotlibrc"
    settings.write_text(
        "image.origin: lower\nimage.cmap: gray\nimage.interpolation: bicubic\n"
        "text.usetex: True\nfont.size: 30\nfont.family: serif\naxes.facecolor: red\n"
        "savefig.transparent: True\nsavefig.pad_inches: 2\nfigure.autolayout: True\n"
        "figure.max_open_warning: 1\n"
    )
    usual, changed = (
        fresh_python(code, MATPLOTLIBRC=path, MPLBACKEND="Agg").stdout
        for path in (None, str(settings))
    )
    assert len(usual) > 1000
    assert changed == usual


def test_images_are_upright_without_the_study_s_style_too():
    with plt.rc_context({"image.origin": "lower"}):
        values = np.arange(9.0).reshape(1, 3, 3)
        figure = plots.heatmaps(pixels(1, 3, 3, 3), {"CAM": values})
    for axes in figure.axes[:2]:
        assert axes.get_ylim() == (2.5, -0.5)
        assert {drawn.origin for drawn in axes.images} == {"upper"}


def test_heatmaps_on_one_scale_are_drawn_as_they_are():
    maps = np.linspace(0.4, 0.6, 9).reshape(1, 3, 3)
    figure = plots.heatmaps(pixels(1, 3, 3, 3), {"CAM": maps}, own_scale=False)
    _, over = figure.axes[1].images
    assert np.array_equal(over.get_array(), maps[0])
    assert over.get_clim() == (0, 1)


def test_heatmaps_write_captions_and_leave_the_image_where_a_map_is_nan():
    maps = {"CAM": np.full((2, 3, 3), np.nan), "rollout": np.ones((2, 3, 3))}
    figure = plots.heatmaps(pixels(2, 3, 3, 3), maps, captions={"CAM": ["0.87", "no map"]})
    grid = np.array(figure.axes[:6]).reshape(2, 3)
    captions = [[axes.get_xlabel() for axes in row] for row in grid]
    assert captions == [["", "0.87", ""], ["", "no map", ""]]
    assert np.ma.getmaskarray(grid[0, 1].images[1].get_array()).all()  # drawn as transparent


def test_heatmaps_across_have_a_column_an_image():
    images, maps = pixels(4, 3, 3, 3), np.random.default_rng(1).random((4, 3, 3))
    captions = {"CAM": ["cat 0.87"] * 4}
    options = {"captions": captions, "across": True, "alpha": 1}
    figure = plots.heatmaps(images, {"CAM": maps, "SG": maps}, list("abcd"), **options)
    grid = np.array(figure.axes[:12]).reshape(3, 4)
    assert [axes.get_title() for axes in grid[0]] == list("abcd")
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["Image", "CAM", "SG"]
    assert [axes.get_xlabel() for axes in grid[:, 3]] == ["", "cat 0.87", ""]
    for number in range(4):
        assert np.array_equal(grid[0, number].images[0].get_array(), images[number])
        drawn = grid[2, number].images[1]
        assert drawn.get_alpha() == 1
        assert np.argmax(drawn.get_array()) == np.argmax(maps[number])


def test_captions_that_are_too_long_are_broken():
    maps = np.ones((8, 8, 8))
    captions = {"CAM": ["automobile 0.95"] * 7 + ["cat 0.41"]}
    figure = plots.heatmaps(pixels(8, 8, 8, 3), {"CAM": maps}, captions=captions, across=True)
    texts = [axes.get_xlabel() for axes in figure.axes[8:16]]
    assert texts == ["automobile\n0.95"] * 7 + ["cat 0.41"]


def test_attention_grid_frames_the_query_and_shares_the_scale():
    attention = np.array([[0.1, 0.2, 0.3, 0.2, 0.1, 0.1], [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]])
    figure = plots.attention_grid(pixels(4, 6, 3), attention, (2, 3), query=5)
    image, *heads, bar = figure.axes
    assert [axes.get_title() for axes in (image, *heads)] == ["Image", "Head 1", "Head 2"]
    for axes, weights in zip(heads, attention, strict=True):
        drawn = axes.images[1]
        assert_allclose(drawn.get_array(), weights.reshape(2, 3))
        assert drawn.get_clim() == (0, 0.5)
        assert drawn.get_extent() == [-0.5, 5.5, 3.5, -0.5]
    for axes in (image, *heads):
        (frame,) = axes.patches
        assert frame.get_bbox().bounds == (3.5, 1.5, 2, 2)
    assert bar.get_ylabel() == "Attention weight"


def test_attention_grid_takes_titles():
    figure = plots.attention_grid(
        pixels(4, 4, 3), np.full((2, 4), 0.25), (2, 2), titles=["Block 1", "Block 2"]
    )
    assert [axes.get_title() for axes in figure.axes[:3]] == ["Image", "Block 1", "Block 2"]


def test_attention_grid_of_a_mean_has_no_frame():
    figure = plots.attention_grid(pixels(4, 4, 3), np.full((5, 4), 0.25), (2, 2))
    assert len(figure.axes) == 2 * 5 + 1  # six panels, four hidden, the colour bar
    assert not any(axes.patches for axes in figure.axes[:10])


def probabilities(lines: dict[str, list[str]]) -> pd.DataFrame:
    """Falling probabilities by model and method, those of the n-th method divided by n."""
    return pd.DataFrame(
        [
            {"model": model, "method": name, "share": share, "probability": value / place}
            for model, names in lines.items()
            for place, name in enumerate(names, start=1)
            for share, value in ((0, 0.9), (0.5, 0.3), (1, 0.1))
        ]
    )


def test_line_panels_have_one_style_a_line_and_the_same_axes():
    frame = probabilities({"vit": ["Grad-CAM", "rollout", "random"], "resnet20": ["random"]})
    figure = plots.line_panels(frame, "share", "probability", "method", "Share", "Probability")
    vit, resnet = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["ViT", "ResNet-20"]
    assert_allclose(vit.lines[1].get_xydata(), [[0, 0.45], [0.5, 0.15], [1, 0.05]])
    style = [(line.get_color(), line.get_linestyle()) for line in vit.lines]
    assert len(set(style)) == 3
    assert [(line.get_color(), line.get_linestyle()) for line in resnet.lines] == style[2:]
    assert legend_texts(figure) == ["Grad-CAM", "rollout", "random"]
    assert (resnet.get_ylim(), vit.get_ylim()) == ((0, 1), (0, 1))
    assert (vit.get_ylabel(), resnet.get_ylabel()) == ("Probability", "")
    below = frame.assign(probability=frame["probability"] - 0.5)
    axes = plots.line_panels(below, "share", "probability", "method", "", "").axes[0]
    assert axes.get_ylim()[0] == below["probability"].min()


def test_gains_are_cells_with_a_star_where_they_differ():
    figure = plots.gain_cells(gains(), BLIND)
    left, right, bar = figure.axes
    assert [axes.get_title() for axes in (left, right)] == list(BLIND.values())
    assert tick_texts(left.yaxis) == ["deletion", "ROAD"]
    assert not any(tick_texts(right.yaxis))
    assert tick_texts(right.xaxis) == ["ViT", "CCT-2/3x2"]
    assert [text.get_text() for text in left.texts] == ["+12*", "+30*", "+2", "+6*"]
    assert [text.get_text() for text in right.texts] == ["\u221230*", "0*", "+5*"]
    assert {axes.collections[0].get_clim() for axes in (left, right)} == {(-30, 30)}
    low, middle, high = plt.get_cmap("RdBu")([0.0, 0.5, 1.0])[:, :3]
    assert low[0] > low[2]  # a loss is red, a gain blue, and 0 nearly white
    assert high[2] > high[0]
    assert middle.min() > 0.9
    assert bar.get_ylabel() == "Gain, in hundredths"


# --- errors -------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"recall": [0.5]}, ["a"])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.image_grid(np.zeros((2, 4, 4, 3))), "pass uint8"),
        (lambda: plots.image_grid(pixels(4, 4, 3)), "pass uint8"),
        (lambda: plots.image_grid(pixels(0, 4, 4, 3)), "N > 0"),
        (lambda: plots.image_grid(pixels(2, 4, 4, 3), ["a"]), "titles has 1 entries: pass 2"),
        (lambda: plots.image_grid(pixels(2, 4, 4, 3), row_labels=["a", "b"]), "pass 1, one a row"),
        (lambda: plots.class_distribution({"train": np.ones(2)}, CLASSES), "'train'.*pass 3"),
        (lambda: plots.per_class_bars({"vit": np.ones(21)}, ["c"] * 21, "y"), "at most 20"),
        (
            lambda: plots.per_class_bars({"vit": np.ones(3)}, CLASSES, "y", ["frog"]),
            "choose from the classes",
        ),
        (lambda: plots.learning_curves({"vit": pd.DataFrame({"epoch": [1]})}), "add them"),
        (
            lambda: plots.learning_curves({f"seed {k}": history([0.5]) for k in range(9)}),
            "split them",
        ),
        (lambda: plots.confusion_matrix(np.eye(2, dtype=int), CLASSES), r"pass \(3, 3\)"),
        (lambda: plots.confusion_matrix(np.eye(3), CLASSES), "pass numbers of images"),
        (lambda: plots.grouped_bars(FRAME, "y", (FRAME, FRAME.T)), r"low\.loc"),
        (lambda: plots.accuracy_against(runs(), "macs"), r"\['macs'\] are missing"),
        (lambda: plots.accuracy_against(runs(), "parameters", low="low"), "name both"),
        (
            lambda: plots.accuracy_against(runs().assign(parameters=0), "parameters"),
            "pass positive",
        ),
        (lambda: plots.filters(np.zeros((3, 3, 16, 8))), "first layer"),
        (lambda: plots.patches(pixels(32, 32, 3), 5), "divides both sides"),
        (lambda: plots.patches(pixels(32, 32, 3), 0), "divides both sides"),
        (lambda: plots.learning_curves({}), "nothing to draw"),
        (lambda: plots.reliability({}), "nothing to draw"),
        (lambda: plots.position_similarity(np.eye(65), (8, 8)), "drop the class token"),
        (
            lambda: plots.heatmaps(pixels(2, 8, 8, 3), {"CAM": np.ones((2, 4, 4))}),
            r"'CAM'.*resize them to \(2, 8, 8\)",
        ),
        (
            lambda: plots.heatmaps(
                pixels(2, 8, 8, 3), {"CAM": np.ones((2, 8, 8))}, captions={"CAM": ["cat"]}
            ),
            "captions.*has 1 entries: pass 2, one a image",
        ),
        (
            lambda: plots.heatmaps(
                pixels(1, 8, 8, 3), {"CAM": np.ones((1, 8, 8))}, captions={"Grad-CAM": ["cat"]}
            ),
            r"captions of \['Grad-CAM'\]: name columns of maps",
        ),
        (
            lambda: plots.gain_cells(gains().drop(columns="score"), BLIND),
            r"\['score'\] are missing",
        ),
        (
            lambda: plots.attention_grid(pixels(8, 8, 3), np.ones((3, 65)), (8, 8)),
            "without the class token",
        ),
        (
            lambda: plots.attention_grid(pixels(8, 8, 3), np.ones((3, 4)), (2, 2), query=4),
            "from 0 to 3",
        ),
        (
            lambda: plots.attention_grid(pixels(8, 8, 3), np.ones((3, 4)), (2, 2), titles=["a"]),
            "titles has 1 entries: pass 3, one a head",
        ),
    ],
)
def test_bad_input_is_refused_with_the_fix_and_leaves_no_figure(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not plt.get_fignums()
