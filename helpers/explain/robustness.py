"""How recorded models bear corrupted images: noise, blur, brightness, contrast, pixels, JPEG.

`python -m helpers robustness` computes it, without training, in a few minutes on two cores. The
corruptions are like six of CIFAR-10-C (Hendrycks and Dietterich 2019, "Benchmarking neural network
robustness to common corruptions and perturbations", section 3), with the strengths of its code, by
torchvision and, of JPEG, Pillow. Brightness is multiplied here and added to the value of HSV there:
factors are those that a value of one half gets there. Contrast is about the mean grey here, about
each channel's mean there. The images are the first 200 of each class on
the test set, where CIFAR-10-C has all of them.
"""

import io

import numpy as np
import pandas as pd
from PIL import Image

from helpers import data, records, training
from helpers.experiments.recipes import SEARCHED as FAMILIES
from helpers.records import runs
from helpers.results import robustness, tables

SEED = 0
RECIPES = ("short", "matched")  # one schedule for all; each family's own
PER_CLASS = 200  # test images

# Five severities each: standard deviation in shares of the range; standard deviation in pixels;
# factor; share of the contrast that stays; share of the pixels a side; quality.
CORRUPTIONS = {
    "Gaussian noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "Gaussian blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "brightness": (1.1, 1.2, 1.3, 1.4, 1.6),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "JPEG": (80, 65, 58, 50, 40),
}
_KERNEL = [9, 9]  # pixels: four standard deviations of the widest blur to either side


def run() -> pd.DataFrame:
    """Evaluate the runs of `sources`, and write `robustness.table` with the digests of weights.

    Beside it is written what `robustness.by_corruption` makes of it, as a table to read. Gives
    the latter.

    Raises:
        FileNotFoundError: none of the runs is recorded, or one is without its weights.
        helpers.data.DataError: CIFAR-10 is not at hand, and cannot be downloaded.
    """
    chosen = sources()
    images, labels = first_images()
    views = {(robustness.CLEAN, 0): images} | {
        (name, severity): corrupt(images, name, severity)
        for name, strengths in CORRUPTIONS.items()
        for severity in range(1, len(strengths) + 1)
    }
    rows = []
    for run in chosen:
        rows += rows_of(run, views, labels)
        print(f"{run.name}: evaluated", flush=True)
    frame = pd.DataFrame(rows)
    path = robustness.file()
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    records.write_sources(path, chosen)
    return tables.save(
        robustness.by_corruption(robustness.table()), "07_comparison/robustness_by_corruption"
    )


def sources() -> list[runs.Run]:
    """The runs to be evaluated: seed 0 of the five families, by each recipe that has them all.

    Raises:
        FileNotFoundError: no recipe has them all.
    """
    found = []
    for recipe in RECIPES:
        names = [f"cifar10/{family}/{recipe}" for family in FAMILIES]
        if all(runs.folder(name, SEED).exists() for name in names):
            found += [runs.read(name, SEED) for name in names]
    if not found:
        raise FileNotFoundError(
            f"none of {', '.join(RECIPES)} is recorded of all families: "
            f"python -m helpers train 'cifar10/*/{RECIPES[0]}'"
        )
    return found


def first_images() -> tuple[np.ndarray, np.ndarray]:
    """The first `PER_CLASS` test images of each class, in the test set's order, and labels."""
    whole = data.load("cifar10")
    chosen = np.sort(
        np.concatenate(
            [
                np.flatnonzero(whole.y_test == label)[:PER_CLASS]
                for label in range(len(whole.classes))
            ]
        )
    )
    return whole.x_test[chosen], whole.y_test[chosen]


def rows_of(run: runs.Run, views: dict, labels: np.ndarray) -> list[dict]:
    """Rows of `robustness.table` for a run; `views` are images by corruption and severity."""
    model = training.load_model(run)
    rows = []
    for (name, severity), images in views.items():
        accuracy = float((training.predict_logits(model, images).argmax(axis=1) == labels).mean())
        clean = rows[0]["accuracy"] if rows else accuracy
        rows.append(
            {"experiment": run.name, "model": run.info["model"], "recipe": run.info["recipe"]}
            | {"corruption": name, "severity": severity, "images": len(labels)}
            | {"accuracy": accuracy, "relative": accuracy / clean}
        )
    return rows


def corrupt(images: np.ndarray, name: str, severity: int) -> np.ndarray:
    """Images, uint8 (N, H, W, 3), corrupted: the same noise for the same images, whoever asks.

    Raises:
        ValueError: no such corruption, or severity, which goes from 1 to 5.
    """
    if name not in CORRUPTIONS or not 1 <= severity <= len(CORRUPTIONS[name]):
        raise ValueError(
            f"no corruption {name!r} of severity {severity}: choose from "
            f"{', '.join(CORRUPTIONS)}, and 1 to 5"
        )
    import torch
    from torchvision.transforms.v2 import functional as of

    strength = CORRUPTIONS[name][severity - 1]
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if name == "Gaussian noise":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(severity)
            noisy = of.gaussian_noise(pixels / 255, sigma=strength)
        changed = (255 * noisy).round().to(torch.uint8)
    elif name == "Gaussian blur":
        changed = of.gaussian_blur(pixels, _KERNEL, [strength, strength])
    elif name == "brightness":
        changed = of.adjust_brightness(pixels, strength)
    elif name == "contrast":
        changed = of.adjust_contrast(pixels, strength)
    elif name == "pixelate":
        changed = torch.stack([_pixelate(image, strength, of) for image in pixels])
    else:
        changed = torch.stack([_jpeg(image, strength, of) for image in pixels])
    return changed.numpy().transpose(0, 2, 3, 1)


def _jpeg(image, quality, of):
    """Written and read by Pillow: torchvision will let go of its own."""
    file = io.BytesIO()
    of.to_pil_image(image).save(file, "JPEG", quality=quality)
    return of.pil_to_tensor(Image.open(file))


def _pixelate(image, share, of):
    """Fewer pixels, then as many as before: both by boxes, which only Pillow's images have."""
    size = list(image.shape[1:])
    box = of.InterpolationMode.BOX
    small = of.resize(of.to_pil_image(image), [int(share * length) for length in size], box)
    return of.pil_to_tensor(of.resize(small, size, box))
