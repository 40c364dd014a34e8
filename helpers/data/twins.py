"""Images that are, or nearly are, in two places: a test image that was trained on tests little."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

TWIN = 0.95  # correlation of all pixels from which two images count as near-duplicates
THUMBNAIL = 8  # pixels of a thumbnail's side
BLOCK = 2**23  # correlations that are in memory at once, 32 MB


@dataclass(frozen=True)
class Matches:
    """Of each image, the one among others that it is most like: (N,) each."""

    position: np.ndarray  # in the array of the others
    correlation: np.ndarray  # of all values in full size, -1 to 1
    is_mirrored: np.ndarray  # whether its mirror image is what fits


def nearest(images: np.ndarray, others: np.ndarray, among: np.ndarray) -> Matches:
    """The best match among other images of each image, as it is or mirrored.

    As in notebook 1, it is chosen by the correlation of thumbnails of 8 x 8 pixels, and then
    correlated in full size.

    Args:
        images, others: uint8 (N, S, S, 3) and (M, S, S, 3), S a multiple of 8.
        among: positions in `others` of those that count, at least one.
    """
    bank = np.empty((len(among), 3 * THUMBNAIL**2), np.float32)
    for i in range(0, len(among), 1000):  # a copy of all would take much memory
        bank[i : i + 1000] = _standardised(_thumbnails(others[among[i : i + 1000]]))
    rows = max(1, BLOCK // len(among))
    starts = range(0, len(images), rows)
    found = [_nearest_of(images[i : i + rows], others, among, bank.T) for i in starts]
    return Matches(*map(np.concatenate, zip(*found, strict=True)))


def _nearest_of(images, others, among, bank):
    positions, correlations = [], []
    for view in (images, images[:, :, ::-1]):
        positions.append(among[(_standardised(_thumbnails(view)) @ bank).argmax(axis=1)])
        correlations.append(_correlations(view, others, positions[-1]))
    is_mirrored = correlations[1] > correlations[0]
    return np.where(is_mirrored, *positions[::-1]), np.maximum(*correlations), is_mirrored


def _correlations(images, others, positions):
    """Of each image with the other one at its position; a few at a time, as floats are large."""
    found = [
        (_standardised(images[i : i + 64]) * _standardised(others[positions[i : i + 64]])).sum(1)
        for i in range(0, len(images), 64)
    ]
    return np.concatenate(found)


def _thumbnails(images):
    """Sums over squares of uint8 images (N, S, S, 3): float32 (N, 8, 8, 3)."""
    side = images.shape[1] // THUMBNAIL
    thumbnails = np.zeros((len(images), THUMBNAIL, THUMBNAIL, 3), np.float32)
    for i in range(side):
        for j in range(side):
            thumbnails += images[:, i::side, j::side]
    return thumbnails


def _standardised(images):
    """Each image's values, centred and of length 1: their dot products are correlations.

    An image of one colour has none with any other.
    """
    rows = images.reshape(len(images), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 1e-3, lengths, np.inf)


def same(*arrays: np.ndarray) -> list[list[int]]:
    """Images that are equal pixel by pixel: sorted positions, a list for each such group.

    Positions count on from one array, uint8 (N, S, S, 3), to the next.
    """
    groups, images = defaultdict(list), [image for array in arrays for image in array]  # views
    for position, image in enumerate(images):
        groups[hash(image.tobytes())].append(position)
    found = []
    for group in groups.values():
        while len(group) > 1:  # once, unless a hash meets two different images
            equal = [i for i in group if np.array_equal(images[i], images[group[0]])]
            if len(equal) > 1:
                found.append(equal)
            group = [i for i in group if i not in equal]
    return sorted(found)
