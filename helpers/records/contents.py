"""What the files of a record hold, checked as they are read: each error is one line.

It names the file and ends with the remedy, which the caller knows.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import files

# Of the scores on validation and test, in the order of the record.
SCORES = (
    "accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "roc_auc_ovr",
    "nll",
    "ece",
)
_NUMBER = (int, float)
# What every `run.json` holds; what came later is missing in older ones.
_RUN = {
    "data": str,
    "model": str,
    "recipe": str,
    "seed": int,
    "backend": str,
    "config": dict,
    "parameters": int,
    "macs": int,
    "epochs_run": int,
    "best_epoch": int,
    "seconds_training": _NUMBER,
    "images_per_second": _NUMBER,
    "versions": dict,
    "hardware": dict,
    "code_version": str,
    "validation": dict,
    "test": dict,
}
_TRIAL = {
    "model": str,
    "trial": (int, str),
    "config": dict,
    "history": list,
    "training_flops": _NUMBER,
}
COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
LABELS = ("test_labels", "val_labels")  # of users' own pictures; those of the others are known
_TRAINING_IMAGES = 50_000  # of CIFAR-10 and of CIFAR-100, before any of them validate


def run_json(folder: Path, remedy: str) -> dict:
    """What `run.json` says of the run in its folder, with or without digests.

    Raises:
        ValueError: there is none, it is damaged, or the run belongs to another folder.
    """
    path = folder / "run.json"
    if not path.exists():
        raise ValueError(f"{folder} is incomplete (it has no run.json): {remedy}")
    info = mapping(path, _RUN, remedy)
    parts = {part: info[part] for part in ("validation", "test")}
    parts |= {part: info[part] for part in ("validation_tta", "test_tta") if part in info}
    for part, scores in parts.items():
        if not isinstance(scores, dict):
            raise _damaged(path, f"no {part}", remedy)
        for score in SCORES:
            if not isinstance(scores.get(score), _NUMBER):
                raise _damaged(path, f"no {score} on {part}", remedy)
    if not 1 <= info["best_epoch"] <= info["epochs_run"]:
        reason = f"best_epoch is {info['best_epoch']} of {info['epochs_run']}"
        raise _damaged(path, reason, remedy)
    if not isinstance(info["config"].get("augmentation"), dict):
        raise _damaged(path, "no augmentation in config", remedy)
    if not _are_pairs(info["config"].get("model_options", [])):
        raise _damaged(path, "model_options in config are no pairs", remedy)
    own = (info["data"], info["model"], info["recipe"], f"seed{info['seed']}")
    if folder.absolute().parts[-4:] != own:
        raise ValueError(
            f"{path} is the record of {'/'.join(own)}: move its folder to where it belongs, or "
            "delete it"
        )
    return info


def _are_pairs(options):
    if not isinstance(options, list):
        return False
    return all(isinstance(pair, list) and len(pair) == 2 for pair in options)


def trial_file_name(trial: int | str) -> str:
    """Of a trial's record: numbers belong to a list of trials, names to the search in rungs."""
    return f"trial{trial}.json" if isinstance(trial, int) else f"{trial}.json"


def trial_json(path: Path, remedy: str) -> dict:
    """What the file of a trial says of it; ValueError if it is damaged, or another trial's."""
    record = mapping(path, _TRIAL, remedy)
    if (path.parent.name, path.name) != (record["model"], trial_file_name(record["trial"])):
        raise ValueError(
            f"{path} is the record of {record['model']}'s trial {record['trial']}: move it to "
            "where it belongs, or delete it"
        )
    return record


def history(path: Path, epochs: int, remedy: str) -> pd.DataFrame:
    """A row an epoch; ValueError if the file is damaged, or has not as many rows as epochs."""
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # pandas' own errors are such, too
        raise _damaged(path, error, remedy) from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise _damaged(path, f"no column {missing[0]}", remedy)
    if table["epoch"].tolist() != list(range(1, epochs + 1)):
        raise ValueError(
            f"{path} has {len(table)} rows, but by run.json the run has {epochs} epochs, a row "
            f"each: {remedy}"
        )
    return table


def predictions(path: Path, remedy: str) -> dict[str, np.ndarray]:
    """Logits and the index of validation; ValueError if the file is damaged, or they do not fit."""
    found = files.arrays(path, remedy)

    def refuse(reason):
        raise _damaged(path, reason, remedy)

    for key in ("test_logits", "val_logits", "val_index"):
        if key not in found:
            refuse(f"no {key}")
    test, val, index = (found[key] for key in ("test_logits", "val_logits", "val_index"))
    if test.ndim != 2 or val.ndim != 2 or test.shape[1] != val.shape[1]:
        refuse(f"logits of the shapes {test.shape} on test and {val.shape} on validation")
    if index.shape != val.shape[:1] or not np.issubdtype(index.dtype, np.integer):
        refuse(f"val_index is {index.dtype} {index.shape}, but there are {len(val)} val_logits")
    own = [found[key] for key in LABELS if key in found]  # with its labels: a user's own pictures
    if any(
        labels.shape != logits.shape[:1] for labels, logits in zip(own, (test, val), strict=False)
    ):
        refuse("labels that are not one an image")
    most = np.inf if own else _TRAINING_IMAGES
    if len(index) and not 0 <= index.min() <= index.max() < most:
        refuse(f"val_index goes from {index.min()} to {index.max()}")
    for key, plain in (("test_tta_logits", test), ("val_tta_logits", val)):
        if key in found and found[key].shape != plain.shape:
            refuse(f"{key} of the shape {found[key].shape}")
    return found


def mapping(path: Path, fields: dict, remedy: str) -> dict:
    """What a JSON file maps, which has these fields, each of its type; else ValueError."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error, remedy) from error
    if not isinstance(read, dict):
        raise _damaged(path, "no mapping", remedy)
    for field, kind in fields.items():
        if not isinstance(read.get(field), kind):
            raise _damaged(path, f"no {field}", remedy)
    return read


def _refuse_constant(name):
    """JSON has no NaN and no infinities, and nothing of a record is one; Python would read them."""
    raise ValueError(f"{name} is no number")


def _damaged(path, reason, remedy):
    reason = " ".join(str(reason).split())  # in one line
    return ValueError(f"{path} is damaged ({reason}): {remedy}")
