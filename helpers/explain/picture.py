"""What a recorded model sees in a user's own picture."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps

from helpers import explain, training
from helpers.data import CIFAR10_CLASSES, VARIANTS
from helpers.records.runs import Run
from helpers.results import metrics, plots

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


def draw(path: Path, run: Run, file: Path, label: str | None = None) -> str:
    """Draw the maps of one picture, for one class, by every method that the model allows.

    Args:
        path: the picture; its square middle is shrunk to the model's input.
        run: a recorded run on CIFAR-10's classes, with its weights.
        file: where the drawing goes, a PNG; overwritten.
        label: name of the class to explain (default: the predicted one).

    Returns:
        What the model predicts, and where the drawing is.

    Raises:
        NotImplementedError: Keras runs on JAX.
        ValueError: no picture in the file, an unknown class, a model of other classes.
        OSError: the file cannot be read, or the drawing cannot be written.
    """
    classes = CIFAR10_CLASSES
    if VARIANTS[run.info["data"]].source != "cifar10":
        raise ValueError(f"{run.name} knows other classes than CIFAR-10's: choose cifar10/...")
    if label is not None and label not in classes:
        raise ValueError(f"unknown class {label!r}: choose from {', '.join(classes)}")
    if file.resolve() == path.resolve():
        raise ValueError(f"{file} is the picture itself: choose another name for the drawing")
    if file.suffix.lower() != ".png":
        raise ValueError(f"{file}: choose a name that ends in .png")
    model = training.load_model(run)
    image = read(path, model.input_shape[1:3])[None]
    probabilities = metrics.softmax(training.predict_logits(model, image))[0]
    best = np.argsort(-probabilities)
    explained = best[0] if label is None else classes.index(label)

    maps = {  # where there is no gradient, an empty panel says so
        name: explain.maps_or_dead(method, model, image, explained)
        for name, method in explain.methods(model).items()
    }
    title = f"{classes[explained]}\n{probabilities[explained]:.2f}"
    plots.use_style()
    figure = plots.heatmaps(image, maps, [title])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(plots.png(figure))
    plt.close(figure)
    guesses = ", ".join(f"{classes[i]} {probabilities[i]:.2f}" for i in best[:3])
    return f"{plots.label(run.info['model'])}: {guesses}\n{file}: maps for {classes[explained]}"


def read(path: Path, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """A picture's square middle as RGB, uint8 (H, W, 3) of `size`; what is transparent is white.

    Raises:
        ValueError: the file holds no picture that can be read.
        OSError: there is no such file.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in EIGHT_BITS:
                raise ValueError(
                    f"{path} has more than 8 bits a colour (mode {picture.mode}): save it with 8"
                )
            upright = ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            upright = upright.convert("RGB")
    except (OSError, Image.DecompressionBombError, SyntaxError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # there is no such file, or no right to read it
        # Damage is an OSError without a number, or a syntax error in Pillow's words.
        raise ValueError(f"{path} is no picture that can be read: pass a PNG or JPEG") from None
    return np.asarray(ImageOps.fit(upright, size[::-1], Image.Resampling.LANCZOS))
