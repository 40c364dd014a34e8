"""The study's architectures.  Each takes uint8 pixels (N, S, S, 3) and gives logits (N, classes).

The side S is 32, or 64 or 96 for users' pictures; that of the pre-trained network any, 224 at best.
Importing this package registers every custom layer, so that a saved `.keras` file loads.  A new
architecture goes here: its builder into a file of its family and into `BUILDERS`, its name, colour
and marker in figures into `MODELS` of `helpers.results.plots.style`.
"""

from helpers.backend import keras, require_settings
from helpers.models import cnn, fast, hybrid, lite, vit
from helpers.models.counting import layer_table, macs, trainable_parameters
from helpers.models.fast import adapt_whitening

BUILDERS = {
    "cnn_baseline": cnn.cnn_baseline,
    "resnet20": cnn.resnet20,
    "resnet18": cnn.resnet18,
    "fast_cnn": fast.fast_cnn,
    "fast_hybrid": fast.fast_hybrid,
    "vit": vit.vit,
    "vit_seqpool": vit.vit_seqpool,
    "vit_lite": vit.vit_lite,
    "vit_128": vit.vit_128,
    "hybrid_token": hybrid.hybrid_token,
    "hybrid_dual": hybrid.hybrid_dual,
    "vit_stem": hybrid.vit_stem,
    "cct": hybrid.cct,
    "cct_7": hybrid.cct_7,
    "efficientnet_lite0": lite.efficientnet_lite0,
}

__all__ = [
    "BUILDERS",
    "adapt_whitening",
    "build",
    "layer_table",
    "macs",
    "trainable_parameters",
]


def build(name: str, classes: int = 10, **options) -> keras.Model:
    """An uncompiled model with fresh weights, from its name in `BUILDERS`.

    Args:
        name: the architecture.
        classes: number of logits, at least 2.
        options: what the architecture's builder takes besides: `size`, the images' side in pixels,
            and e.g. `l2` of `resnet20`.

    Raises:
        ValueError: an unknown name, fewer than two classes, an option the builder lacks, a size
            that it does not take; Keras set to another order of axes.
    """
    require_settings()
    if name not in BUILDERS:
        raise ValueError(f"unknown model {name!r}: choose from {', '.join(BUILDERS)}")
    if classes < 2:
        raise ValueError(f"a classifier needs at least 2 classes, not {classes}")
    try:
        return BUILDERS[name](classes, **options)
    except TypeError as error:
        raise ValueError(f"model {name!r} does not take these options: {error}") from error
