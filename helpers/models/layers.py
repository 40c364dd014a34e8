"""The layers and blocks that several architectures share; all of them work on every backend."""

import math
from collections.abc import Callable

from helpers.backend import keras

PACKAGE = "cifar_study"
register = keras.saving.register_keras_serializable(package=PACKAGE)

# A new initializer at each call: one that serves two layers would give both the same numbers.
Start = Callable[[], keras.initializers.Initializer]
KERAS_DEFAULT: Start = keras.initializers.GlorotUniform  # of dense layers and convolutions

SIZES = (32, 64, 96)  # sides of the images that the study's architectures take, in pixels


def pixels(size: int):
    """The input of an architecture of the study: uint8 (N, size, size, 3).

    Raises:
        ValueError: none of `SIZES`.
    """
    if size not in SIZES:
        raise ValueError(
            f"images of {size} pixels: choose a size from {', '.join(map(str, SIZES))}"
        )
    return keras.Input((size, size, 3), dtype="uint8", name="pixels")


@register
class PadShortcut(keras.layers.Layer):
    """Parameter-free shortcut of a residual block that shrinks its maps (He et al. 2015, option A).

    (N, H, W, C) -> (N, H/2, W/2, filters): every second pixel, new channels filled with zeros.
    """

    # As of a convolution, so that explanations know which pixels are read.
    kernel_size, strides, padding = (1, 1), (2, 2), "valid"

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def call(self, inputs):
        extra = self.filters - inputs.shape[-1]
        half = inputs[:, ::2, ::2]
        return keras.ops.pad(half, [[0, 0], [0, 0], [0, 0], [extra // 2, extra - extra // 2]])

    def compute_output_shape(self, input_shape):
        n, height, width, _ = input_shape
        return n, -(-height // 2), -(-width // 2), self.filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer for maps (N, H, W, C), in one operation on TensorFlow instead of ten.

    That makes ResNet-20's training step a fifth shorter.  The class keeps its name because files
    of weights go by it.
    """

    def call(self, inputs, training=None):
        if keras.backend.backend() != "tensorflow" or self.axis not in (-1, 3):
            return super().call(inputs, training=training)
        import tensorflow as tf

        is_training = bool(training and self.trainable)
        scale = self.gamma if self.scale else tf.ones(inputs.shape[-1:])
        offset = self.beta if self.center else tf.zeros(inputs.shape[-1:])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=keras.ops.cast(scale, "float32"),
            offset=keras.ops.cast(offset, "float32"),
            mean=[] if is_training else self.moving_mean,
            variance=[] if is_training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=is_training,
        )
        if is_training:
            # TensorFlow's variance has Bessel's correction, Keras's has not.
            values = tf.cast(tf.size(inputs) / inputs.shape[-1], variance.dtype)
            variance *= 1 - 1 / values
            self.moving_mean.assign(self._moved(self.moving_mean, mean))
            self.moving_variance.assign(self._moved(self.moving_variance, variance))
        return outputs

    def _moved(self, moving, of_batch):
        return moving * self.momentum + of_batch * (1 - self.momentum)


@register
class ClassToken(keras.layers.Layer):
    """Puts one learned token before the others: (N, T, D) -> (N, T + 1, D).

    `initializer` is that of the token (default: truncated normal of scale 0.02).
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer or _truncated_normal())

    def build(self, input_shape):
        self.token = self.add_weight(
            shape=(1, 1, input_shape[-1]), initializer=self.initializer, name="token"
        )

    def call(self, inputs):
        token = keras.ops.broadcast_to(
            self.token, (keras.ops.shape(inputs)[0], 1, inputs.shape[-1])
        )
        return keras.ops.concatenate([token, inputs], axis=1)

    def compute_output_shape(self, input_shape):
        n, tokens, dimension = input_shape
        return n, tokens + 1, dimension

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "initializer": initializer}


@register
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector per position: (N, T, D) -> (N, T, D).

    `entries` is the number of vectors in the table, at least T (default: T); `initializer` the
    table's (default: truncated normal of scale 0.02).
    """

    def __init__(self, entries: int | None = None, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.entries = entries
        self.initializer = keras.initializers.get(initializer or _truncated_normal())

    def build(self, input_shape):
        _, tokens, dimension = input_shape
        self.table = self.add_weight(
            shape=(1, self.entries or tokens, dimension),
            initializer=self.initializer,
            name="table",
        )

    def call(self, inputs):
        return inputs + self.table[:, : inputs.shape[1]]

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "entries": self.entries, "initializer": initializer}


@register
class AttentionWeights(keras.layers.Layer):
    """Softmax of the scaled query-key products (Vaswani et al. 2017, section 3.2.1).

    Queries, keys and values side by side, (N, T, 3 x heads x key dimension), give attention
    weights (N, heads, T, T): row i says what token i looks at.  A layer of its own, so that
    explanations can ask for its output.
    """

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, qkv):
        query = split_heads(qkv, self.heads, part=0)
        key = split_heads(qkv, self.heads, part=1)
        scores = keras.ops.matmul(query, keras.ops.transpose(key, (0, 1, 3, 2)))
        return keras.ops.softmax(scores / math.sqrt(query.shape[-1]), axis=-1)

    def compute_output_shape(self, input_shape):
        n, tokens, _ = input_shape
        return n, self.heads, tokens, tokens

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


@register
class AttentionMix(keras.layers.Layer):
    """Mixes the values by attention weights, heads side by side.

    Weights (N, heads, T, T) and queries, keys and values (N, T, 3 x heads x key dimension)
    give (N, T, heads x key dimension).
    """

    def call(self, weights, qkv):
        value = split_heads(qkv, weights.shape[1], part=2)
        mixed = keras.ops.transpose(keras.ops.matmul(weights, value), (0, 2, 1, 3))
        return keras.ops.reshape(mixed, (-1, qkv.shape[1], qkv.shape[2] // 3))

    def compute_output_shape(self, weights_shape, qkv_shape):
        n, tokens, width = qkv_shape
        return n, tokens, width // 3


@register
class SequencePooling(keras.layers.Layer):
    """Weighted mean of the tokens, weights learned (Hassani et al. 2021, section 3.2, "SeqPool").

    (N, T, D) -> (N, D).  `score_dtype` is the policy of the dense layer inside (default: the
    layer's own); `quantize` changes it, and a file of the model has to tell.
    """

    def __init__(self, score_dtype=None, **kwargs):
        super().__init__(**kwargs)
        self.score_dtype = keras.dtype_policies.get(score_dtype) if score_dtype else None

    def build(self, input_shape):
        policy = self.score_dtype or self.dtype_policy
        self.score = keras.layers.Dense(1, dtype=policy, name="score")
        self.score.build(input_shape)

    def call(self, inputs):
        weights = keras.ops.softmax(self.score(inputs), axis=1)  # (N, T, 1)
        return keras.ops.sum(weights * inputs, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[2]

    def get_config(self):
        config = super().get_config()
        policy = self.score.dtype_policy if self.built else self.score_dtype
        if policy is not None and policy != self.dtype_policy:
            config["score_dtype"] = keras.dtype_policies.serialize(policy)
        return config


def split_heads(qkv, heads: int, part: int):
    """One of queries (part 0), keys (1) and values (2), heads apart.

    (N, T, 3 x heads x key dimension) -> (N, heads, T, key dimension).
    """
    _, tokens, width = qkv.shape
    width //= 3
    # Cut before the transpose: moving all three parts at once took half as long again.
    own = qkv[:, :, part * width : (part + 1) * width]
    own = keras.ops.reshape(own, (-1, tokens, heads, width // heads))
    return keras.ops.transpose(own, (0, 2, 1, 3))


def attention_block(
    x,
    name: str,
    heads: int,
    key_dimension: int,
    dropout: float,
    attention_dropout: float,
    qkv_bias: bool,
    qkv_start: Start = KERAS_DEFAULT,
    projection_start: Start = KERAS_DEFAULT,
):
    """The first half of a pre-norm transformer layer: (N, T, D) -> (N, T, D).

    x + attention(norm(x)); `dropout` follows the output projection, `attention_dropout` the
    weights of attention.
    """
    layers = keras.layers
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    qkv = layers.Dense(
        3 * heads * key_dimension,
        use_bias=qkv_bias,
        kernel_initializer=qkv_start(),
        name=f"{name}_qkv",
    )(y)
    weights = AttentionWeights(heads, name=f"{name}_attention_weights")(qkv)
    weights = layers.Dropout(attention_dropout, name=f"{name}_attention_dropout")(weights)
    y = AttentionMix(name=f"{name}_attention_mix")(weights, qkv)
    y = layers.Dense(x.shape[-1], kernel_initializer=projection_start(), name=f"{name}_projection")(
        y
    )
    y = layers.Dropout(dropout, name=f"{name}_projection_dropout")(y)
    return layers.Add(name=f"{name}_attention")([x, y])


def encoder_block(
    x,
    name: str,
    heads: int,
    key_dimension: int,
    mlp_width: int,
    dropout: float,
    attention_dropout: float,
    qkv_bias: bool,
    kernel_start: Start = KERAS_DEFAULT,
):
    """One pre-norm transformer layer (Xiong et al. 2020): (N, T, D) -> (N, T, D).

    x + attention(norm(x)), then x + MLP(norm(x)), with exact GELU.  `kernel_start` makes the
    initializers of all dense kernels.
    """
    layers = keras.layers
    x = attention_block(
        x,
        name,
        heads,
        key_dimension,
        dropout,
        attention_dropout,
        qkv_bias,
        qkv_start=kernel_start,
        projection_start=kernel_start,
    )
    y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    y = layers.Dense(
        mlp_width, activation="gelu", kernel_initializer=kernel_start(), name=f"{name}_mlp1"
    )(y)
    y = layers.Dropout(dropout, name=f"{name}_mlp1_dropout")(y)
    y = layers.Dense(x.shape[-1], kernel_initializer=kernel_start(), name=f"{name}_mlp2")(y)
    y = layers.Dropout(dropout, name=f"{name}_mlp2_dropout")(y)
    return layers.Add(name=f"{name}_mlp")([x, y])


def encoder(x, depth: int, name: str = "block", **settings):
    """`depth` transformer layers, named `block1` to `block<depth>`; settings: `encoder_block`."""
    for i in range(1, depth + 1):
        x = encoder_block(x, f"{name}{i}", **settings)
    return x


def patch_tokens(x, patch: int, dimension: int, use_bias: bool = True, **initializers):
    """Images (N, H, W, C) -> one token per patch x patch square, (N, T, D), in reading order.

    `initializers` are the convolution's: `kernel_initializer`, `bias_initializer`.
    """
    x = keras.layers.Conv2D(
        dimension, patch, strides=patch, use_bias=use_bias, name="patches", **initializers
    )(x)
    return flatten_map(x)


def conv_tokens(x, widths: tuple[int, ...], size: int):
    """CCT's tokenizer (Hassani et al. 2021, section 3.3): (N, size, size, C) -> tokens (N, T, D).

    Each width is a 3x3 convolution without bias, ReLU, and 3x3 max-pooling that halves the map;
    the last is D.  There are as many tokens at every size: `pooled_as_at_32`.
    """
    for i, filters in enumerate(widths, start=1):
        x = keras.layers.Conv2D(
            filters, 3, padding="same", use_bias=False, activation="relu", name=f"conv{i}"
        )(x)
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{i}")(x)
    return flatten_map(pooled_as_at_32(x, size))


def pooled_as_at_32(x, size: int):
    """A map of images of that size, average-pooled to the sides that it has at 32 pixels.

    Attention would cost the square of the tokens: 81 times as much at 96 pixels, where CCT-7's
    2,304 tokens have 85 MB of weights an image and layer, and `cct` trains a quarter as many images
    a second without this pooling.  And the networks between `vit` and `cct` go on to differ by one
    thing at a time, since all have the same number of tokens.
    """
    if size == 32:
        return x
    return keras.layers.AveragePooling2D(size // 32, name="pool_tokens")(x)


def flatten_map(x):
    """A feature map (N, h, w, D) -> tokens (N, h x w, D), in reading order."""
    return keras.layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]), name="tokens")(x)


def _truncated_normal():
    # The usual scale of Vision Transformers; Keras's own default would start ten times larger.
    return keras.initializers.TruncatedNormal(stddev=0.02)
