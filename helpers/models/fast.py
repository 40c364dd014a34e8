"""Networks for short training, after the airbench94 of Jordan 2024.

"94% on CIFAR-10 in 3.29 Seconds on a Single GPU", section 3: a first layer that whitens and is
never trained, identity initialisation, batch normalisation without scale, max-pooling, a small
head.  Sizes are the paper's; its bias after the whitening is left out, and the normalisation's
epsilon is PyTorch's.  Logits are float32 whatever the other layers compute in.
"""

import numpy as np

from helpers.backend import keras
from helpers.models.layers import (
    BatchNormalization,
    PositionEmbedding,
    SequencePooling,
    encoder,
    flatten_map,
    pixels,
    pooled_as_at_32,
    register,
)

layers = keras.layers
PAPER_WIDTHS = (64, 256, 256)
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of CIFAR-10's training pixels


def fast_cnn(
    classes: int, widths: tuple[int, int, int] = PAPER_WIDTHS, size: int = 32
) -> keras.Model:
    """Whitening, three groups of two 3x3 convolutions, max-pooling, logits scaled by 1/9.

    The whitening has to be adapted to training images first: `adapt_whitening`.
    """
    inputs = pixels(size)
    x = _groups(inputs, widths)
    x = layers.GlobalMaxPooling2D(name="pooled_map")(x)
    x = layers.Dense(classes, use_bias=False, dtype="float32", name="unscaled_logits")(x)
    logits = layers.Rescaling(1 / 9, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="fast_cnn")


def fast_hybrid(classes: int, size: int = 32) -> keras.Model:
    """The fast CNN with two transformer layers in place of its third group.

    The second group's map (N, 7, 7, 256) becomes 49 tokens with learned positions; their weighted
    mean is classified.  The larger maps of larger images are average-pooled to as many.
    """
    inputs = pixels(size)
    x = _groups(inputs, PAPER_WIDTHS[:2])
    x = PositionEmbedding(name="positions")(flatten_map(pooled_as_at_32(x, size)))
    x = encoder(
        x,
        depth=2,
        heads=4,
        key_dimension=64,
        mlp_width=512,
        dropout=0.0,
        attention_dropout=0.0,
        qkv_bias=False,
    )
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = SequencePooling(name="pool")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="fast_hybrid")


def adapt_whitening(model: keras.Model, images: np.ndarray) -> None:
    """Set a model's whitening, if it has one, from training images, uint8 (N, S, S, 3)."""
    for layer in model.layers:
        if isinstance(layer, Whitening):
            inputs = keras.Model(model.input, layer.input).predict(images, 500, verbose=0)
            layer.adapt(inputs)


@register
class Whitening(layers.Layer):
    """A fixed 2x2 convolution that decorrelates pixels: (N, H, W, 3) -> (N, H-1, W-1, 24).

    Its twelve filters are the eigenvectors of the patches' second moments, each divided by the
    root of its eigenvalue, and their negatives (Jordan 2024, section 3.2).
    """

    EPSILON = 5e-4  # the paper's, so that the flattest filters do not amplify noise
    # As of a convolution, so that explanations know which pixels are read.
    kernel_size, strides, padding = (2, 2), (1, 1), "valid"

    def build(self, input_shape):
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(2, 2, channels, 8 * channels), trainable=False, name="kernel"
        )

    def adapt(self, inputs: np.ndarray) -> None:
        """Set the filters from inputs (N, H, W, channels)."""
        windows = np.lib.stride_tricks.sliding_window_view(inputs, (2, 2), axis=(1, 2))
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 4 * inputs.shape[-1])
        moments = patches.T.astype(np.float64) @ patches / len(patches)
        eigenvalues, eigenvectors = np.linalg.eigh(moments)
        filters = eigenvectors / np.sqrt(eigenvalues + self.EPSILON)
        filters = np.concatenate([filters, -filters], axis=1)
        self.kernel.assign(filters.reshape(self.kernel.shape))

    def call(self, inputs):
        return keras.ops.conv(inputs, self.kernel, padding="valid")

    def compute_output_shape(self, input_shape):
        n, height, width, channels = input_shape
        return n, height - 1, width - 1, 8 * channels


@register
class QuickBias(layers.Layer):
    """Adds a bias per channel that SGD moves 64 times as fast.

    A step of SGD on b, where factor x b is added, moves the sum by factor^2 times the gradient.
    """

    FACTOR = 8.0

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def call(self, inputs):
        return inputs + self.FACTOR * self.bias

    def compute_output_shape(self, input_shape):
        return input_shape


@register
class PartialIdentity(keras.initializers.Initializer):
    """A convolution's first filters pass on its input's channels, the others are random.

    (Dirac initialisation; Jordan 2024, section 3.3.)
    """

    def __call__(self, shape, dtype=None):
        height, width, inputs, outputs = shape
        random = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")(shape, dtype)
        passing = np.zeros(shape, np.float32)
        same = range(min(inputs, outputs))
        passing[height // 2, width // 2, same, same] = 1.0
        is_passing = np.arange(outputs) < inputs
        return keras.ops.where(is_passing, keras.ops.cast(passing, random.dtype), random)


def _groups(inputs, widths):
    """Pixels -> the map of the last group: whitening, then per width two 3x3 convolutions.

    A map's sides are 15, 7 and 3 after the first, second and third group, of 32 pixels.
    """
    x = layers.Rescaling(
        [1 / std for std in STD],
        offset=[-mean / std for mean, std in zip(MEAN, STD, strict=True)],
        name="scale",
    )(inputs)
    x = Whitening(name="whitening")(x)
    x = layers.Activation("gelu", name="whitening_gelu")(x)
    for group, width in enumerate(widths, start=1):
        x = _conv(x, width, f"group{group}_conv1")
        x = layers.MaxPooling2D(name=f"group{group}_pool")(x)
        x = _norm(x, f"group{group}_norm1")
        x = _conv(x, width, f"group{group}_conv2")
        x = _norm(x, f"group{group}_norm2")
    return x


def _conv(x, filters, name):
    return layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=PartialIdentity(),
        name=name,
    )(x)


def _norm(x, name):
    x = BatchNormalization(momentum=0.6, epsilon=1e-5, center=False, scale=False, name=name)(x)
    x = QuickBias(name=f"{name}_bias")(x)
    return layers.Activation("gelu", name=f"{name}_gelu")(x)
