"""Vision Transformers (Dosovitskiy et al. 2021): tokens of pixels, then a transformer encoder.

Patches grow with the images, size / 8 pixels, so that there are 64 of them at every size: the
products of attention would grow with the fourth power of the size.
"""

import math

from helpers.backend import keras
from helpers.models.layers import (
    KERAS_DEFAULT,
    ClassToken,
    PositionEmbedding,
    SequencePooling,
    encoder,
    patch_tokens,
    pixels,
)

layers = keras.layers


def vit(classes: int, size: int = 32) -> keras.Model:
    """A small ViT: patch 4, 64 tokens of dimension 128, 2 layers of 2 heads, average pooling.

    Its encoder is that of `cct`, the hybrid, but for the width of the MLP (256 instead of 128),
    which makes up for the parameters of the hybrid's convolutional tokenizer.
    """
    inputs, x = scaled_pixels(size)
    x = small_encoder(patch_tokens(x, patch=size // 8, dimension=128), mlp_width=256)
    x = layers.GlobalAveragePooling1D(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="vit")


def vit_seqpool(classes: int, size: int = 32) -> keras.Model:
    """`vit` with one of the two things that make it a CCT: its sequence pooling.

    The other is the convolutional tokenizer, alone in `vit_stem`.
    """
    inputs, x = scaled_pixels(size)
    x = small_encoder(patch_tokens(x, patch=size // 8, dimension=128), mlp_width=256)
    x = SequencePooling(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="vit_seqpool")


def vit_lite(classes: int, size: int = 32) -> keras.Model:
    """ViT-Lite-7/4 (Hassani et al. 2021, table 1): patch 4, dimension 256, 7 layers of 4 heads."""
    inputs, x = scaled_pixels(size)
    x = patch_tokens(x, patch=size // 8, dimension=256, use_bias=False)
    x = ClassToken(name="class_token")(x)
    x = PositionEmbedding(name="positions")(x)
    x = encoder(
        x,
        depth=7,
        heads=4,
        key_dimension=64,
        mlp_width=512,
        dropout=0.0,
        attention_dropout=0.1,
        qkv_bias=False,
    )
    return keras.Model(inputs, _class_token_logits(x, classes), name="vit_lite")


def vit_128(classes: int, dropout_everywhere: bool = False, size: int = 32) -> keras.Model:
    """The earlier study's ViT: images enlarged to 128 x 128, patch 16, dimension 768, 6 layers.

    It is the `VisionTransformer` of timm 1.0 with `drop_rate=0.1`: dropout before the last layer
    alone, and timm's first weights.

    Args:
        classes: number of logits.
        dropout_everywhere: dropout of 0.1 after the positions, on the attention and after both
            dense layers of each half of a block, but not before the last layer; first weights are
            Keras's, of tokens and positions truncated normals of scale 0.02.  This is what this
            study trained before it had the authors' code.
        size: side of the images in pixels.
    """
    if dropout_everywhere:
        rate, head_rate, start = 0.1, 0.0, KERAS_DEFAULT
        of_patches, of_positions, of_token = {}, None, None
    else:
        rate, head_rate, start = 0.0, 0.1, _timm_normal
        of_patches, of_positions = _pytorch_convolution(fan_in=16 * 16 * 3), _timm_normal()
        of_token = keras.initializers.RandomNormal(stddev=1e-6)

    inputs, x = scaled_pixels(size)
    x = _enlarge(x, size)
    x = patch_tokens(x, patch=16, dimension=768, **of_patches)
    x = ClassToken(of_token, name="class_token")(x)
    x = PositionEmbedding(initializer=of_positions, name="positions")(x)
    x = layers.Dropout(rate, name="dropout")(x)
    x = encoder(
        x,
        depth=6,
        heads=12,
        key_dimension=64,
        mlp_width=3072,
        dropout=rate,
        attention_dropout=rate,
        qkv_bias=True,
        kernel_start=start,
    )
    return keras.Model(inputs, _class_token_logits(x, classes, head_rate, start), name="vit_128")


def scaled_pixels(size: int):
    """The input of uint8 pixels (N, size, size, 3), and the same scaled to [-1, 1]."""
    inputs = pixels(size)
    return inputs, layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)


def small_encoder(tokens, mlp_width: int):
    """The encoder of `vit`, `cct` and what lies between them: (N, T, 128) -> (N, T, 128).

    Learned positions, 2 layers of 2 heads, a last norm.
    """
    x = PositionEmbedding(name="positions")(tokens)
    x = encoder(
        x,
        depth=2,
        heads=2,
        key_dimension=64,
        mlp_width=mlp_width,
        dropout=0.0,
        attention_dropout=0.1,
        qkv_bias=False,
    )
    return layers.LayerNormalization(epsilon=1e-6, name="norm")(x)


def _enlarge(x, size):
    if 128 % size == 0:
        return layers.UpSampling2D(128 // size, interpolation="bilinear", name="enlarge")(x)
    return layers.Resizing(128, 128, name="enlarge")(x)


def _class_token_logits(x, classes, dropout=0.0, start=KERAS_DEFAULT):
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = x[:, 0]
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return layers.Dense(classes, kernel_initializer=start(), name="logits")(x)


def _timm_normal():
    # timm cuts its truncated normal at -2 and 2, a hundred deviations off: it is a normal.
    return keras.initializers.RandomNormal(stddev=0.02)


def _pytorch_convolution(fan_in):
    """PyTorch's first weights of a convolution: kernel and bias uniform within 1 / sqrt(fan_in)."""
    limit = 1 / math.sqrt(fan_in)
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-limit, limit),
        "bias_initializer": keras.initializers.RandomUniform(-limit, limit),
    }
