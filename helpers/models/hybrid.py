"""Hybrids: a convolutional network and tokens in one model, fused in three different ways."""

import math

from helpers.backend import keras
from helpers.models.cnn import conv_maps, token_head
from helpers.models.layers import (
    BatchNormalization,
    ClassToken,
    PositionEmbedding,
    SequencePooling,
    attention_block,
    conv_tokens,
    encoder,
    patch_tokens,
    pixels,
)
from helpers.models.vit import scaled_pixels, small_encoder

layers = keras.layers


def hybrid_token(classes: int, token_activation: str | None = None, size: int = 32) -> keras.Model:
    """The lightweight CNN-token hybrid: the CNN baseline with tokens beside its pooled map.

    2x2 patches of the (8, 8, 128) map give 16 tokens of 512 values; one dense layer maps each
    to 128, their average joins the map's global average.  Without that branch it is
    `cnn_baseline`.  Larger images give larger maps and more tokens, 64 at 64 pixels, 144 at 96:
    without attention they cost little.

    `token_activation` follows the tokens' dense layer: None by the text of the system's authors,
    which makes the branch one linear map of the mean patch, "relu" by their code.
    """
    inputs = pixels(size)
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    maps = conv_maps(x)
    side = size // 8
    tokens = layers.Reshape((side, 2, side, 2 * 128), name="split_patches")(maps)
    tokens = layers.Permute((1, 3, 2, 4), name="group_patches")(tokens)
    tokens = layers.Reshape((side**2, 512), name="tokens")(tokens)
    tokens = layers.Dense(128, activation=token_activation, name="token_embedding")(tokens)
    pooled = [
        layers.GlobalAveragePooling2D(name="pooled_map")(maps),
        layers.GlobalAveragePooling1D(name="pooled_tokens")(tokens),
    ]
    x = layers.Concatenate(name="fusion")(pooled)
    return keras.Model(inputs, token_head(x, classes), name="hybrid_token")


def hybrid_dual(
    classes: int,
    as_published: bool = False,
    l2: float = 1e-3,
    dropout: bool = True,
    size: int = 32,
) -> keras.Model:
    """The dual-branch hybrid: a ViT beside a CNN, each on the pixels, concatenated before logits.

    Args:
        classes: number of logits.
        as_published: whether each transformer layer is that of the authors' code
            (`_published_block`), and positions, class token and attention start as theirs.  Else it
            is a usual pre-norm layer, with dropout of 0.1 after attention and MLP.  Both have the
            same weights.
        l2: penalty on the convolutions' kernels.
        dropout: whether there is any, in either branch.
        size: side of the images in pixels; the ViT's patches grow with it, the CNN's maps too.
    """
    inputs = pixels(size)
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    tokens = _branch_head(_vit_branch(x, size // 8, as_published, dropout), "vit", dropout)
    maps = _branch_head(_cnn_branch(x, l2), "cnn", dropout)
    fused = layers.Concatenate(name="fusion")([tokens, maps])
    return keras.Model(inputs, layers.Dense(classes, name="logits")(fused), name="hybrid_dual")


def cct(classes: int, size: int = 32) -> keras.Model:
    """Compact Convolutional Transformer CCT-2/3x2 (Hassani et al. 2021, section 3).

    Two convolutions, each with ReLU and 3x3 max-pooling of stride 2, make the 64 tokens that
    `vit` cuts from the pixels; the encoder is the same but for the MLP's width; sequence
    pooling weighs the tokens.
    """
    inputs, x = scaled_pixels(size)
    x = small_encoder(conv_tokens(x, (64, 128), size), mlp_width=128)
    x = SequencePooling(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="cct")


def cct_7(classes: int, size: int = 32) -> keras.Model:
    """CCT-7/3x1 (Hassani et al. 2021, table 1): 7 layers of 4 heads, dimension 256, 256 tokens.

    The authors report 94.78 % on CIFAR-10 after 200 epochs.  Their stochastic depth, which
    has no weights, is left out.
    """
    inputs, x = scaled_pixels(size)
    x = conv_tokens(x, (256,), size)
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
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = SequencePooling(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="cct_7")


def vit_stem(classes: int, size: int = 32) -> keras.Model:
    """`vit` with one of the two things that make it a CCT: its convolutional tokenizer.

    The other is the sequence pooling, alone in `vit_seqpool`.
    """
    inputs, x = scaled_pixels(size)
    x = small_encoder(conv_tokens(x, (64, 128), size), mlp_width=256)
    x = layers.GlobalAveragePooling1D(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="vit_stem")


def _vit_branch(x, patch, as_published, dropout):
    """(N, S, S, 3) -> the class token after 6 layers, (N, 64)."""
    of_positions = of_token = None
    if as_published:
        # What Keras starts an `Embedding` and a weight called "random_normal" with.
        of_positions = keras.initializers.RandomUniform(-0.05, 0.05)
        of_token = keras.initializers.RandomNormal(stddev=0.05)
    x = patch_tokens(x, patch, dimension=64)
    # 65 entries for 64 patches, as in the original, which sized the table for the class token.
    x = PositionEmbedding(entries=65, initializer=of_positions, name="positions")(x)
    x = ClassToken(of_token, name="class_token")(x)
    rate = 0.1 if dropout else 0.0
    if as_published:
        for i in range(1, 7):
            x = _published_block(x, f"block{i}", rate)
    else:
        x = encoder(
            x,
            depth=6,
            heads=4,
            key_dimension=64,
            mlp_width=128,
            dropout=rate,
            attention_dropout=rate,
            qkv_bias=True,
        )
    return layers.Dropout(0.3 if dropout else 0.0, name="vit_dropout")(x[:, 0])


def _published_block(x, name, rate):
    """A transformer layer of the authors' code: (N, T, 64) -> (N, T, 64).

    Two things in it are peculiar.  The second residual adds to the normalised activation, not to
    the stream: norm(x) + MLP(norm(x)).  And both layers of the MLP have GELU and dropout; the
    attention's projection has none.
    """
    x = attention_block(
        x,
        name,
        heads=4,
        key_dimension=64,
        dropout=0.0,
        attention_dropout=rate,
        qkv_bias=True,
        qkv_start=_one_by_one,
    )
    x = y = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    for i, width in enumerate((128, 64), start=1):
        y = layers.Dense(width, activation="gelu", name=f"{name}_mlp{i}")(y)
        y = layers.Dropout(rate, name=f"{name}_mlp{i}_dropout")(y)
    return layers.Add(name=f"{name}_mlp")([x, y])


def _one_by_one():
    """Queries, keys and values start as three dense layers 64 -> 256, not as one 64 -> 768.

    So Keras's `MultiHeadAttention` has it, which the authors' code uses.
    """
    limit = math.sqrt(6 / (64 + 4 * 64))
    return keras.initializers.RandomUniform(-limit, limit)


def _cnn_branch(x, l2):
    """(N, S, S, 3) -> the pooled map of four convolutions, (N, 256)."""
    for i, filters in enumerate((32, 64, 128, 256), start=1):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            name=f"conv{i}",
        )(x)
        x = BatchNormalization(name=f"conv{i}_norm")(x)
        x = layers.ReLU(name=f"conv{i}_relu")(x)
        if i in (2, 3):
            x = layers.MaxPooling2D(name=f"pool{i}")(x)
    return layers.GlobalAveragePooling2D(name="pooled_map")(x)


def _branch_head(x, name, dropout):
    """Dense 256 and 128 with GELU and dropout 0.5."""
    for i, width in enumerate((256, 128), start=1):
        x = layers.Dense(width, activation="gelu", name=f"{name}_dense{i}")(x)
        x = layers.Dropout(0.5 if dropout else 0.0, name=f"{name}_dense{i}_dropout")(x)
    return x
