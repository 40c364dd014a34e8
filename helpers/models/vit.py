"""Vision Transformers (Dosovitskiy et al. 2021): tokens of pixels, then a transformer encoder."""

from helpers.backend import keras
from helpers.models.layers import ClassToken, PositionEmbedding, encoder, patch_tokens

layers = keras.layers


def vit(classes: int) -> keras.Model:
    """A small ViT: patch 4, 64 tokens of dimension 128, 2 layers of 2 heads, average pooling.

    Its encoder is that of `cct`, the hybrid, but for the width of the MLP (256 instead of 128),
    which makes up for the parameters of the hybrid's convolutional tokenizer.
    """
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    x = patch_tokens(x, patch=4, dimension=128)
    x = PositionEmbedding(name="positions")(x)
    x = encoder(
        x,
        depth=2,
        heads=2,
        key_dimension=64,
        mlp_width=256,
        dropout=0.0,
        attention_dropout=0.1,
        qkv_bias=False,
    )
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="pooled_tokens")(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="vit")


def vit_lite(classes: int) -> keras.Model:
    """ViT-Lite-7/4 (Hassani et al. 2021, table 1): patch 4, dimension 256, 7 layers of 4 heads."""
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    x = patch_tokens(x, patch=4, dimension=256, use_bias=False)
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


def vit_128(classes: int) -> keras.Model:
    """The earlier study's ViT: images enlarged to 128 x 128, patch 16, dimension 768, 6 layers."""
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    x = layers.UpSampling2D(4, interpolation="bilinear", name="enlarge")(x)
    x = patch_tokens(x, patch=16, dimension=768)
    x = ClassToken(name="class_token")(x)
    x = PositionEmbedding(name="positions")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    x = encoder(
        x,
        depth=6,
        heads=12,
        key_dimension=64,
        mlp_width=3072,
        dropout=0.1,
        attention_dropout=0.1,
        qkv_bias=True,
    )
    return keras.Model(inputs, _class_token_logits(x, classes), name="vit_128")


def _class_token_logits(x, classes):
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return layers.Dense(classes, name="logits")(x[:, 0])
