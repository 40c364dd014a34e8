"""Hybrids: a convolutional network and tokens in one model, fused in three different ways."""

from helpers.backend import keras
from helpers.models.cnn import conv_maps, token_head
from helpers.models.layers import (
    BatchNormalization,
    ClassToken,
    PositionEmbedding,
    SequencePooling,
    encoder,
    flatten_map,
    patch_tokens,
)

layers = keras.layers


def hybrid_token(classes: int) -> keras.Model:
    """The lightweight CNN-token hybrid: the CNN baseline with tokens beside its pooled map.

    2x2 patches of the (8, 8, 128) map give 16 tokens of 512 values; one dense layer maps each
    to 128, their average joins the map's global average.  Without that branch it is
    `cnn_baseline`.
    """
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    maps = conv_maps(x)
    tokens = layers.Reshape((4, 2, 4, 2 * 128), name="split_patches")(maps)
    tokens = layers.Permute((1, 3, 2, 4), name="group_patches")(tokens)
    tokens = layers.Reshape((16, 512), name="tokens")(tokens)
    tokens = layers.Dense(128, name="token_embedding")(tokens)
    pooled = [
        layers.GlobalAveragePooling2D(name="pooled_map")(maps),
        layers.GlobalAveragePooling1D(name="pooled_tokens")(tokens),
    ]
    x = layers.Concatenate(name="fusion")(pooled)
    return keras.Model(inputs, token_head(x, classes), name="hybrid_token")


def hybrid_dual(classes: int, normalised_residual: bool = False) -> keras.Model:
    """The dual-branch hybrid: a ViT beside a CNN, each on the pixels, concatenated before logits.

    The original adds its second residual to the normalised activation (`normalised_residual`);
    here it is added to the stream, as the pre-norm transformer has it.
    """
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    tokens = _vit_branch(x, normalised_residual)
    branches = [_branch_head(tokens, "vit"), _branch_head(_cnn_branch(x), "cnn")]
    fused = layers.Concatenate(name="fusion")(branches)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(fused), name="hybrid_dual")


def cct(classes: int) -> keras.Model:
    """Compact Convolutional Transformer CCT-2/3x2 (Hassani et al. 2021, section 3).

    Two convolutions, each with ReLU and 3x3 max-pooling of stride 2, make the 64 tokens that
    `vit` cuts from the pixels; the encoder is the same but for the MLP's width; sequence
    pooling weighs the tokens.
    """
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    for i, filters in enumerate((64, 128), start=1):
        x = layers.Conv2D(
            filters, 3, padding="same", use_bias=False, activation="relu", name=f"conv{i}"
        )(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{i}")(x)
    x = flatten_map(x)
    x = PositionEmbedding(name="positions")(x)
    x = encoder(
        x,
        depth=2,
        heads=2,
        key_dimension=64,
        mlp_width=128,
        dropout=0.0,
        attention_dropout=0.1,
        qkv_bias=False,
    )
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = SequencePooling(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="cct")


def _vit_branch(x, normalised_residual):
    """(N, 32, 32, 3) -> the class token after 6 layers, (N, 64)."""
    x = patch_tokens(x, patch=4, dimension=64)
    # 65 entries for 64 patches, as in the original, which sized the table for the class token.
    x = PositionEmbedding(entries=65, name="positions")(x)
    x = ClassToken(name="class_token")(x)
    x = encoder(
        x,
        depth=6,
        heads=4,
        key_dimension=64,
        mlp_width=128,
        dropout=0.1,
        attention_dropout=0.1,
        qkv_bias=True,
        normalised_residual=normalised_residual,
    )
    return layers.Dropout(0.3, name="vit_dropout")(x[:, 0])


def _cnn_branch(x):
    """(N, 32, 32, 3) -> the pooled map of four convolutions, (N, 256)."""
    for i, filters in enumerate((32, 64, 128, 256), start=1):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_regularizer=keras.regularizers.L2(1e-3),
            name=f"conv{i}",
        )(x)
        x = BatchNormalization(name=f"conv{i}_norm")(x)
        x = layers.ReLU(name=f"conv{i}_relu")(x)
        if i in (2, 3):
            x = layers.MaxPooling2D(name=f"pool{i}")(x)
    return layers.GlobalAveragePooling2D(name="pooled_map")(x)


def _branch_head(x, name):
    """Dense 256 and 128 with GELU and dropout 0.5."""
    for i, width in enumerate((256, 128), start=1):
        x = layers.Dense(width, activation="gelu", name=f"{name}_dense{i}")(x)
        x = layers.Dropout(0.5, name=f"{name}_dense{i}_dropout")(x)
    return x
