"""What to know about a folder of pictures before training on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helpers.data import twins
from helpers.data.folders import FolderData, split_folder

if TYPE_CHECKING:
    import pandas as pd  # which takes a while to load

FEW_TO_TRAIN, FEW_TO_TEST = 20, 5  # of a class: fewer are worth a word
CUT = 2  # times as long as wide, the text says twice: little is left of such a picture
UNEVEN = 1.5  # times the training images of the smallest class, from where on it is worth a word


@dataclass(frozen=True, eq=False)
class FolderReport:
    """Tables about a folder, and notes, a sentence each, on what may spoil its results.

    `counts`: images by class; columns `train`, `validation`, `test`.
    `sizes`: `width` and `height` of the pictures; columns `lowest`, `median`, `highest`.
    `unreadable`: `file` and `reason`.
    `duplicates`: a row a picture that occurs more than once: `group`, `file`, `part`, `class`.
    `near_duplicates`: a row a test picture that is like one trained or validated on, the most
    alike first: `test file`, `file`, `part`, `correlation`, `mirrored`, `same class`.
    """

    counts: pd.DataFrame
    sizes: pd.DataFrame
    unreadable: pd.DataFrame
    duplicates: pd.DataFrame
    near_duplicates: pd.DataFrame
    notes: tuple[str, ...]

    def __str__(self):
        tables = [self.counts.to_string(), self.sizes.to_string()]
        for name in ("unreadable", "duplicates", "near_duplicates"):
            table = getattr(self, name)
            if len(table):
                title = name.replace("_", "-").capitalize()
                tables.append(f"{title}:\n{table.to_string(index=False)}")
        return "\n\n".join([*tables, "\n".join(f"- {note}" for note in self.notes)])


def folder_report(data: FolderData, seed: int = 0) -> FolderReport:
    """Report on a folder as a run of that seed splits it.

    Each test image is compared with all others: 10,000 with 50,000 take some ten seconds.

    Args:
        data: what `load_folder` gave.
        seed: of the split.
    """
    import pandas as pd

    held, train, val = split_folder(data, seed)
    # Where what tests was drawn, it is still among the images of `x_train`.
    part = np.full(len(data.y_train) + len(data.y_test), "test", dtype=object)
    part[train], part[val] = "train", "validation"
    about = pd.DataFrame(
        {
            "file": np.concatenate([data.train_files, data.test_files]),
            "part": part,
            "class": np.array(data.classes)[np.concatenate([data.y_train, data.y_test])],
        }
    )
    counts = about.groupby("class")["part"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(data.classes)[["train", "validation", "test"]]
    counts = counts.rename_axis(index=None, columns="class")
    sides = np.concatenate([data.train_sizes, data.test_sizes])
    sizes = pd.DataFrame(
        {
            "lowest": sides.min(axis=0),
            "median": np.median(sides, axis=0).astype(int),
            "highest": sides.max(axis=0),
        },
        index=["width", "height"],
    )
    groups = twins.same(data.x_train, data.x_test)
    duplicates = about.iloc[[position for group in groups for position in group]]
    numbers = np.repeat(np.arange(len(groups)) + 1, [len(group) for group in groups])
    duplicates = duplicates.reset_index(drop=True).assign(group=numbers)
    near = _near_duplicates(data, held, about)
    unreadable = pd.DataFrame(data.unreadable.items(), columns=["file", "reason"])
    notes = (
        *_on_counts(counts),
        *_on_sizes(sides, data.size),
        *_on_files(data),
        *_on_duplicates(duplicates, near),
    )
    return FolderReport(counts, sizes, unreadable, duplicates, near, notes)


def _near_duplicates(data, held, about):
    """A row a test image that has its like among the others."""
    import pandas as pd

    tests = about[about["part"] == "test"]
    # All others are in `x_train`, so that their positions are those in the table.
    others = np.flatnonzero(about["part"] != "test")
    matches = twins.nearest(held.x_test, data.x_train, others)
    found = about.iloc[matches.position]
    pairs = pd.DataFrame(
        {
            "test file": tests["file"].to_numpy(),
            "file": found["file"].to_numpy(),
            "part": found["part"].to_numpy(),
            "correlation": matches.correlation.round(3),
            "mirrored": matches.is_mirrored,
            "same class": tests["class"].to_numpy() == found["class"].to_numpy(),
        }
    )
    alike = pairs[matches.correlation > twins.TWIN]
    return alike.sort_values("correlation", ascending=False, ignore_index=True, kind="stable")


def _on_counts(counts):
    train, test = counts["train"], counts["test"]
    ratio = train.max() / train.min()
    if ratio >= UNEVEN:
        yield (
            f"{train.idxmax()} has {ratio:.1f} times the training images of {train.idxmin()}: "
            "look at macro recall beside accuracy, and try class weights."
        )
    yield (
        f"Guessing {train.idxmax()} each time is right for "
        f"{100 * test[train.idxmax()] / test.sum():.0f} % of the {test.sum():,} test images."
    )
    for part, few in (("train", FEW_TO_TRAIN), ("test", FEW_TO_TEST)):
        short = counts.index[counts[part] < few]
        if len(short):
            verb = "learn from" if part == "train" else "judge by"
            yield f"Fewer than {few} images to {verb}: {_some(short)}."


def _on_sizes(sides, size):
    small = int((sides.min(axis=1) < size).sum())
    if small:
        yield f"{_count(small)} smaller than {size} pixels, and enlarged."
    long = int((sides.max(axis=1) > CUT * sides.min(axis=1)).sum())
    if long:
        yield f"{_count(long)} more than twice as long as wide: only the middle is seen."


def _on_files(data):
    if data.unreadable:
        yield f"{_count(len(data.unreadable))} left out, being unreadable."
    for kind, count in data.left_aside.items():
        yield f"{count:,} {'file' if count == 1 else 'files'} {kind} left aside."


def _on_duplicates(duplicates, near):
    groups = duplicates.groupby("group")
    if len(duplicates):
        yield f"{_count(len(duplicates))} not the only one of the same pixels."
    across = duplicates[(duplicates["part"] == "test") & (groups["part"].transform("nunique") > 1)]
    if len(across):
        images = _count(len(across), "test image")
        yield f"{images} also trained or validated on: delete the copies."
    torn = int((groups["class"].nunique() > 1).sum())
    if torn:
        yield f"{_count(torn)} in two classes or more: keep one of each."
    if len(near):
        images = _count(len(near), "test image")
        yield (
            f"{images} like one trained or validated on (correlation above {twins.TWIN}): they "
            "test little."
        )


def _count(number, what="picture"):
    return f"1 {what} is" if number == 1 else f"{number:,} {what}s are"


def _some(names, shown=10):
    """The first names in a list, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
