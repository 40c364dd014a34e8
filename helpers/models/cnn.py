"""Convolutional networks: a plain one, and ResNet-20 and ResNet-18 with skip connections."""

from helpers.backend import keras
from helpers.models.layers import BatchNormalization, PadShortcut, pixels

layers = keras.layers


def conv_maps(x):
    """The CNN baseline's feature maps: 3x3 convolutions of 32, 64 and 128 filters.

    (N, S, S, 3) -> (N, S/4, S/4, 128): max-pooling follows the first two.
    """
    for i, filters in enumerate((32, 64, 128), start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i}")(x)
        if i < 3:
            x = layers.MaxPooling2D(name=f"pool{i}")(x)
    return x


def token_head(x, classes: int):
    """Dense 128, dropout 0.3, logits: the head that CNN baseline and CNN-token hybrid share."""
    x = layers.Dense(128, activation="relu", name="dense")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def cnn_baseline(classes: int, size: int = 32) -> keras.Model:
    """Three convolutions, global average pooling, one hidden layer: the hybrid's CNN parent."""
    inputs = pixels(size)
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = conv_maps(x)
    x = layers.GlobalAveragePooling2D(name="pooled_map")(x)
    return keras.Model(inputs, token_head(x, classes), name="cnn_baseline")


def resnet20(classes: int, l1: float = 0.0, l2: float = 0.0, size: int = 32) -> keras.Model:
    """ResNet-20 for CIFAR (He et al. 2015, section 4.2): 3 stages of 3 blocks, 16-32-64 filters.

    Shortcuts are free of parameters (option A).  `l1` and `l2` penalise the kernels of all
    convolutions and of the last dense layer.
    """
    penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
    inputs = pixels(size)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    x = _conv(x, 16, "stem", regularizer=penalty)
    x = layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, 4):
            name = f"stage{stage}_block{block}"
            shrink = x.shape[-1] != filters
            shortcut = PadShortcut(filters, name=f"{name}_shortcut")(x) if shrink else x
            x = basic_block(x, shortcut, filters, 2 if shrink else 1, name, penalty)
    x = layers.GlobalAveragePooling2D(name="pooled_map")(x)
    x = layers.Dense(classes, kernel_regularizer=penalty, name="logits")(x)
    return keras.Model(inputs, x, name="resnet20")


def resnet18(classes: int, size: int = 32) -> keras.Model:
    """torchvision's ResNet-18 with a stem for small images: 3x3, stride 1, no max-pooling.

    He et al. 2015, table 1; shortcuts that change shape are 1x1 convolutions (option B).
    """
    inputs = pixels(size)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    x = _conv(x, 64, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in range(1, 3):
            name = f"stage{stage}_block{block}"
            stride = 2 if x.shape[-1] != filters else 1
            shortcut = x
            if stride == 2:
                shortcut = _conv(x, filters, f"{name}_shortcut", size=1, stride=2)
            x = basic_block(x, shortcut, filters, stride, name)
    x = layers.GlobalAveragePooling2D(name="pooled_map")(x)
    x = layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, x, name="resnet18")


def basic_block(x, shortcut, filters: int, stride: int, name: str, regularizer=None):
    """Two 3x3 convolutions and a skip connection (He et al. 2015, figure 2)."""
    x = _conv(x, filters, f"{name}_conv1", stride=stride, regularizer=regularizer)
    x = layers.ReLU(name=f"{name}_relu1")(x)
    x = _conv(x, filters, f"{name}_conv2", regularizer=regularizer)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _conv(x, filters, name, size=3, stride=1, regularizer=None):
    """Convolution without bias, then batch normalisation, with PyTorch's padding and constants.

    Padding is symmetric: with a stride of 2, TensorFlow's "same" would pad right and bottom
    only, and weights would not carry over.
    """
    padding = "same"
    if stride > 1:
        padding = "valid"
        if size > 1:
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
        kernel_regularizer=regularizer,
        name=name,
    )(x)
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
