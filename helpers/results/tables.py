"""Metric tables from recorded runs, written as CSV and Markdown; knows nothing of Keras."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import config, data, files
from helpers.records import contents, runs
from helpers.results import costs, metrics, plots

SCORES = list(contents.SCORES)

SEARCHED_SETTINGS = [
    "epochs",
    "optimizer",
    "batch_size",
    "learning_rate",
    "kernel_rate",
    "weight_decay",
    "schedule",
    "warmup_epochs",
    "label_smoothing",
    "average",
]


AUDIT = ("faithfulness", "curves", "sanity")  # the tables that `helpers.explain.audit` writes
# Of its tests, those that the verdicts go by: what a map covers does not count in them, only the
# order of its pixels, and none of them hides pixels as occlusion does.
DECISIVE = ("deletion, blur", "insertion, blur", "ROAD")


def save(frame: pd.DataFrame, name: str, digits: int = 4) -> pd.DataFrame:
    """Write a table to `figures/<name>.csv` and `.md`, rounded, and return it as written."""
    frame = frame.round(digits)
    table, text = (config.FIGURES / f"{name}.{ending}" for ending in ("csv", "md"))
    files.keep(table, frame.to_csv(lineterminator="\n").encode())
    files.keep(text, markdown(frame).encode())
    return frame


def markdown(frame: pd.DataFrame) -> str:
    """The table as GitHub shows it, its index as the first column, a dash for what is missing."""
    cells = frame.astype(object)  # or whole numbers would become floats beside floats
    return cells.where(frame.notna(), "-").to_markdown(disable_numparse=True) + "\n"


def class_counts(variant: str, seed: int) -> pd.DataFrame:
    """Images of each class that a run on a data variant has: train, validation and test.

    From the labels, which are known without the images.
    """
    source = data.SOURCES[data.VARIANTS[variant].source]
    y_train, y_test = data.official_labels(source.name)
    # A split looks at nothing else.
    labels_only = replace(data.load_sample(), y_train=y_train, classes=source.classes)
    split = data.prepare(variant, seed, labels_only)
    parts = {"train": split.y_train, "validation": split.y_val, "test": y_test}
    return pd.DataFrame(
        {name: data.class_counts(labels, len(source.classes)) for name, labels in parts.items()},
        index=pd.Index(source.classes, name="class"),
    )


def all_runs(pattern: str = "*", root: Path | None = None) -> pd.DataFrame:
    """A row a recorded run: what it is, what it cost, its test scores with intervals.

    Columns: `data`, `model`, `recipe`, `seed`, `experiment` (the first three in one name),
    `epochs_run`, `best_epoch`, `parameters`, `macs`, `seconds_training`, `images_per_second`,
    `training_flops`, `validation_accuracy`, those of `SCORES` on the test set, and two more:
    `accuracy_low` and `accuracy_high` are Wilson's 95 % interval: the uncertainty that the
    10,000 test images leave, not that of another seed.
    """
    rows = []
    for run in runs.recorded(pattern, root):
        test = run.info["test"]
        low, high = metrics.wilson_interval(
            round(test["accuracy"] * len(run.test_logits)), len(run.test_logits)
        )
        rows.append(
            {key: run.info[key] for key in ("data", "model", "recipe", "seed")}
            | {"experiment": run.name}
            | {key: run.info[key] for key in ("epochs_run", "best_epoch", "parameters", "macs")}
            | {key: run.info[key] for key in ("seconds_training", "images_per_second")}
            | {"training_flops": costs.by_epoch(run)["training_flops"].iloc[-1]}
            | {"validation_accuracy": run.info["validation"]["accuracy"]}
            | {key: test[key] for key in SCORES}
            | {"accuracy_low": low, "accuracy_high": high}
        )
    return pd.DataFrame(rows)


def by_experiment(pattern: str = "*", root: Path | None = None) -> pd.DataFrame:
    """A row an experiment: what it is, and means over its seeds.

    Columns: `experiment`, `data`, `model`, `recipe`, `seeds`; means of `parameters`, `macs`,
    `training_flops`, `validation_accuracy` and `SCORES`, as in `all_runs`; `sd`, the standard
    deviation of test accuracy over seeds (NaN of one), and `lowest` and `highest`, its range.
    """
    frame = all_runs(pattern, root)
    groups = frame.groupby("experiment", sort=False)
    means = ["parameters", "macs", "training_flops", "validation_accuracy", *SCORES]
    accuracy = groups["accuracy"]
    spread = {"sd": accuracy.std(), "lowest": accuracy.min(), "highest": accuracy.max()}
    found = groups[["data", "model", "recipe"]].first().assign(seeds=groups.size())
    return found.join(groups[means].mean()).assign(**spread).reset_index()


def trials(root: Path | None = None) -> pd.DataFrame:
    """A row a trial of the search: its settings, and its best epoch on validation.

    Of a trial that diverged the accuracy is NaN.
    """
    rows = []
    for record in runs.trials(root):
        settings, augmentation = record["config"], record["config"]["augmentation"]
        widths = dict(settings["model_options"]).get("widths")
        diverged = {"val_accuracy": np.nan, "epoch": 0}
        # The first of equals.
        best = max(record["history"], key=lambda epoch: epoch["val_accuracy"], default=diverged)
        rows.append(
            {key: record[key] for key in ("model", "trial")}
            | {"validation accuracy": best["val_accuracy"], "best epoch": best["epoch"]}
            | {"PFLOP": record["training_flops"] / 1e15}
            # A setting that came after the trial is not in its record.
            | {key.replace("_", " "): settings.get(key) for key in SEARCHED_SETTINGS}
            | {key: augmentation[key] for key in ("crop", "cutout", "randaugment")}
            | {key: augmentation[key] for key in ("mixup", "cutmix")}
            | {"widths": " ".join(map(str, widths)) if widths else "as built"}
        )
    return pd.DataFrame(rows)


def speed(pattern: str, root: Path | None = None) -> pd.DataFrame:
    """A row an experiment that was scored with averaged views, too, by its name: costs and scores.

    Costs are those of the first seed, scores means over the seeds; `± test` is their standard
    deviation.
    """
    groups = {}
    for run in runs.recorded(pattern, root):
        if "test_tta" in run.info:
            groups.setdefault(run.name, []).append(run)
    rows = {}
    for name, group in groups.items():
        cost = costs.by_epoch(group[0]).iloc[-1]

        def scored(part, group=group):
            return [run.info[part]["accuracy"] for run in group]

        rows[name] = {
            "seeds": len(group),
            "epochs": group[0].info["epochs_run"],
            "PFLOP": cost["training_flops"] / 1e15,
            "minutes": cost["minutes"],
            "validation": np.mean(scored("validation")),
            "test": np.mean(scored("test")),
            "± test": np.std(scored("test"), ddof=1) if len(group) > 1 else np.nan,
            "validation, views averaged": np.mean(scored("validation_tta")),
            "test, views averaged": np.mean(scored("test_tta")),
        }
    rows = dict(sorted(rows.items(), key=lambda item: item[1]["PFLOP"]))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("experiment")


def costs_by_model(pattern: str = "cifar10/*/short", root: Path | None = None) -> pd.DataFrame:
    """What experiments cost, a row each, the least training first.

    From the records: `model` (display name), `recipe`, `seeds`, `parameters` (trainable), `macs` of
    an image, `epochs` (mean over seeds) and `PFLOP` of training one seed (likewise).

    From the benchmark (`figures/bench.md` names its machine, which did nothing else), in float32,
    for the models it measures: `training images/s`, `prediction images/s`, `latency, ms` of one
    image and `memory, MB` at the peak of training; `minutes` are what training one seed takes at
    that rate. The seconds in records are not used: many runs shared their machine. What is not
    measured is NaN.
    """
    measured = _benchmark()
    rows = []
    for name, group in groupby(runs.recorded(pattern, root), key=lambda run: run.name):
        group = list(group)
        first, model = group[0].info, group[0].info["model"]
        epochs = np.mean([run.info["epochs_run"] for run in group])
        images = data.training_images(first["data"]) * epochs
        rate = measured.get(("training step", model), np.nan)
        rows.append(
            {
                "experiment": name,
                "model": plots.label(model),
                "recipe": first["recipe"],
                "seeds": len(group),
                "parameters": first["parameters"],
                "macs": first["macs"],
                "epochs": epochs,
                "PFLOP": costs.training_flops(first["macs"], images) / 1e15,
                "training images/s": rate,
                "minutes": images / rate / 60,
                "prediction images/s": measured.get(("prediction", model), np.nan),
                "latency, ms": measured.get(("latency of one image", model), np.nan),
                "memory, MB": measured.get(("peak memory of training", model), np.nan),
            }
        )
    rows.sort(key=lambda row: row["PFLOP"])
    names = [row.pop("experiment") for row in rows]
    return pd.DataFrame(rows, index=pd.Index(names, name="experiment"))


def audit(table: str) -> pd.DataFrame:
    """One of `AUDIT`, the tests of the recorded models' explanations.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = audit_file(table)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run python -m helpers faithfulness")
    return pd.read_csv(path)


def audit_file(table: str) -> Path:
    """Where one of `AUDIT` is kept."""
    return config.FIGURES / "06_grad_cam" / f"{table}.csv"


def gains() -> pd.DataFrame:
    """How far methods of explanation beat maps that know nothing, over all images of the audit.

    A row a model, method, score and reference (`random`, `centre`, `other image`): `gain`, above 0
    where the method is better, and its 95 % interval `low` to `high`; `p` of a t-test over the
    images, after Holm's correction for all rows of the method; `better`, the gain's sign, 0 where
    p is not below 0.05.
    """
    rows = audit("faithfulness").query("predictions == 'all'")
    p = rows.groupby("method")["p"].transform(metrics.holm)
    return rows.assign(p=p, better=np.sign(rows["gain"]).where(p < 0.05, 0).astype(int))


def standing(method: str) -> pd.DataFrame:
    """How many of the `DECISIVE` tests a method wins and loses, by model.

    It wins (column `won`) where it beats all references, and loses (`lost`) where it is worse
    than one of them; the other tests are not decided.  Only some methods are tested against their
    maps of other images: others are measured by fewer references, and not to be compared with them.
    """
    rows = gains().query("method == @method and score in @DECISIVE")
    worst = rows.groupby(["model", "score"], sort=False)["better"].min().unstack()
    return pd.DataFrame({"won": (worst > 0).sum(axis=1), "lost": (worst < 0).sum(axis=1)})


def scores(chosen: Sequence[runs.Run]) -> pd.DataFrame:
    """A row a run, by the model's display name: validation accuracy and all test scores."""
    rows = [
        {
            "model": plots.label(run.info["model"]),
            "recipe": run.info["recipe"],
            "validation accuracy": run.info["validation"]["accuracy"],
        }
        | run.info["test"]
        for run in chosen
    ]
    return pd.DataFrame(rows).set_index("model")


def over_seeds(names: Sequence[str]) -> pd.DataFrame:
    """A row an experiment: means of its scores over all its recorded seeds, each seed shown.

    Columns: `seeds`, their number; validation accuracy; the test scores but macro recall, which is
    the accuracy where classes are balanced; `± accuracy`, the standard deviation over seeds, NaN
    for one; `accuracy by seed`, in percent, seed 0 first.

    Raises:
        ValueError: an experiment of which nothing is recorded.
    """
    rows = []
    for name in names:
        group = [run for run in runs.recorded(name) if run.name == name]
        if not group:
            raise ValueError(f"{name} is not recorded: python -m helpers train {name}")
        test = pd.DataFrame([run.info["test"] for run in group])[SCORES]
        rows.append(
            {"experiment": name, "seeds": len(group)}
            | {"accuracy by seed": " ".join(f"{100 * value:.1f}" for value in test["accuracy"])}
            | {"± accuracy": test["accuracy"].std()}
            | {"validation": np.mean([run.info["validation"]["accuracy"] for run in group])}
            | test.drop(columns="macro_recall").mean().to_dict()
        )
    return pd.DataFrame(rows).set_index("experiment")


def per_class(run: runs.Run, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each class on the test set, then their means."""
    table = metrics.per_class(run.test_logits.argmax(1), labels, classes)
    mean = table.mean().to_frame("macro average").T.assign(support=table["support"].sum())
    return pd.concat([table, mean]).astype({"support": int}).rename_axis("class")


def _benchmark() -> dict[tuple[str, str], float]:
    """What the benchmark measured of ours, by measure and model; empty where it was not run."""
    path = config.FIGURES / "bench.csv"
    if not path.exists():
        return {}
    frame = pd.read_csv(path)
    measures = frame["measure"].str.split(", ", n=1)
    return {
        (parts[0], parts[1]): value
        for parts, value in zip(measures, frame["ours"], strict=True)
        if len(parts) == 2
    }
