"""What every figure starts from: the style, the models' colours, and how a figure is written."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython import get_ipython
from matplotlib import rcParamsDefault
from matplotlib.figure import Figure
from PIL import Image

from helpers import config, files


class _Look(NamedTuple):
    label: str
    colour: str
    marker: str


# A family is told by its marker and hues, a member by its lightness. For readers who confuse red
# and green or blue and yellow, the nearest two colours are still 16 CIELAB units apart.
MODELS = {
    "cnn_baseline": _Look("CNN baseline", "#56B4E9", "o"),
    "resnet20": _Look("ResNet-20", "#0072B2", "o"),
    "resnet18": _Look("ResNet-18", "#0A2A5E", "o"),
    "fast_cnn": _Look("Fast CNN", "#7200CC", "o"),
    "vit": _Look("ViT", "#D55E00", "s"),
    "vit_seqpool": _Look("ViT, sequence pooling", "#B86038", "s"),
    "vit_lite": _Look("ViT-Lite-7/4", "#F0A500", "s"),
    "vit_128": _Look("ViT at 128 px", "#7F2A00", "s"),
    "hybrid_token": _Look("CNN-token hybrid", "#009E73", "D"),
    "hybrid_dual": _Look("Dual-branch hybrid", "#CC79A7", "D"),
    "fast_hybrid": _Look("Fast hybrid", "#96C369", "D"),
    "vit_stem": _Look("ViT, CCT's tokenizer", "#904878", "D"),
    "cct": _Look("CCT-2/3x2", "#005C42", "D"),
    "cct_7": _Look("CCT-7/3x1", "#00E8A0", "D"),
    "efficientnet_lite0": _Look("EfficientNet-Lite0", "#B45CFC", "^"),
}

# For what is no model, Tol's muted colours, none of them a model's; those faint on white come last.
PALETTE = ["#332288", "#CC6677", "#999933", "#882255", "#AA4499", "#000000", "#DDCC77", "#88CCEE"]

INK, GREY, PALE = "#262626", "#7F7F7F", "#EDEDED"

HEAT, SIGNED, COUNTS = "viridis", "RdBu_r", "Blues"
GAINS = "RdBu"  # a loss is red

# Methods of explanation have the same line everywhere; what they are compared with is grey.
DASHES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 2)))

LINES = {
    "Grad-CAM": ("#332288", "-"),
    "Grad-CAM++": ("#AA4499", "--"),
    "HiResCAM": ("#88CCEE", "-."),
    "SmoothGrad": ("#CC6677", ":"),
    "Occlusion": ("#999933", "-."),
    "Attention rollout": ("#882255", DASHES[4]),
    "Attention x gradient": ("#000000", DASHES[5]),
    "Random map": (GREY, ":"),
    "Centre Gaussian": (GREY, "-"),
}

WIDTH = 8.2  # inches: 900 pixels at the resolution of inline figures

_INLINE_DPI, _SAVED_DPI = 110, 150

# The error, but for a thousandth, of a picture stored in few colours, of 255 levels: a file's, and
# that of a notebook's pictures, which otherwise make it several times as large.
_UNSEEN, _INLINE_UNSEEN = 6, 16

AXIS_LABELS = {
    "parameters": "Parameters",
    "macs": "MACs per image",
    "minutes": "Training time (minutes)",
    "seconds_training": "Training time (s)",
    "training_flops": "Training (floating-point operations)",
    "images_per_second": "Throughput (images/s)",
    "accuracy": "Test accuracy",
    "validation_accuracy": "Validation accuracy",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "roc_auc_ovr": "One-vs-rest ROC AUC",
    "nll": "Negative log-likelihood (nats)",
    "ece": "Expected calibration error",
}


def use_style() -> None:
    """Set the defaults of all figures; call it once at the top of a notebook.

    They start from Matplotlib's own: what the user's `matplotlibrc` or style sheets have set, down
    to which way up an image lies, is undone.
    In a notebook, figures are from then on shown as `png` makes them, in few colours wherever the
    eye can do without the rest, so that its file stays small.
    """
    rc = {
        "figure.dpi": _INLINE_DPI,
        "savefig.dpi": _SAVED_DPI,
        "axes.edgecolor": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#DDDDDD",
        "legend.frameon": False,
        "lines.linewidth": 1.7,
        # What `rcdefaults` leaves as it is.
        "figure.max_open_warning": rcParamsDefault["figure.max_open_warning"],
    }
    shell = get_ipython()
    if shell is not None:
        plt.switch_backend(plt.get_backend())  # loaded later, it would undo what follows
    plt.rcdefaults()
    # DejaVu Sans comes with matplotlib, so that text is the same everywhere: 10 pt, ticks 9 pt.
    sns.set_theme("paper", "ticks", PALETTE, "DejaVu Sans", font_scale=1.05, rc=rc)
    if shell is not None:
        formatter = shell.display_formatter.formatters["image/png"]
        formatter.for_type(Figure, lambda figure: png(figure, _INLINE_DPI, _INLINE_UNSEEN))


def save(figure: Figure, name: str) -> Path:
    """Write `figure` to `config.FIGURES / f"{name}.png"` and return that path.

    `name` may hold a folder ("02_cnn/learning_curves"), which is made. The file keeps neither date
    nor version, so that drawing it again gives the same bytes.
    """
    path = config.FIGURES / f"{name}.png"
    files.keep(path, png(figure))
    return path


def png(figure: Figure, dpi: int = _SAVED_DPI, unseen: float = _UNSEEN) -> bytes:
    """Return the figure as a PNG, a third as large as matplotlib's own where 256 colours will do.

    They will if all but a thousandth of the values, 0 to 255, change by at most `unseen`: those of
    lines, bars and matrices, not of photographs, nor, in a file, of maps drawn over them.
    """
    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, bbox_inches="tight")
    whole = Image.open(drawn).convert("RGB")
    few = whole.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    error = np.abs(np.asarray(few.convert("RGB"), float) - np.asarray(whole))
    enough = np.quantile(error, 0.999) <= unseen
    (few if enough else whole).save(stored, "PNG", optimize=True, dpi=(dpi, dpi))
    return stored.getvalue()


def colour(model_name: str) -> str:
    """Return the model's colour, as a hexadecimal string; grey if the model is unknown."""
    return look_of(model_name).colour


def marker(model_name: str) -> str:
    """Return the marker of the model's family; a circle if the model is unknown."""
    return look_of(model_name).marker


def label(model_name: str) -> str:
    """Return the model's display name; the name itself if the model is unknown."""
    return look_of(model_name).label


def look_of(name: object) -> _Look:
    return MODELS.get(name, _Look(str(name), GREY, "o"))


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Map models to their own colours, and what is no model to those of the palette in turn."""
    names = list(names)
    if not names:
        raise ValueError("there is nothing to draw: pass at least one label with its values")
    others = [name for name in names if name not in MODELS]
    if len(others) > len(PALETTE):
        raise ValueError(
            f"there are {len(PALETTE)} colours for {len(others)} labels that are no models: "
            "split them over several figures"
        )
    free = dict(zip(others, PALETTE, strict=False))
    return {name: free.get(name, colour(name)) for name in names}
