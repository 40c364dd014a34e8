"""The README's results: its table and its findings, written from the recorded runs."""

import pandas as pd

from helpers import config, data
from helpers.records import runs
from helpers.results import metrics, plots, tables

README = config.ROOT / "README.md"
BEGIN, END = "<!-- results: python -m helpers prose -->", "<!-- end of results -->"


def update() -> bool:
    """Write the results between the README's markers; True if that changed it.

    Raises:
        ValueError: the README lacks the markers.
    """
    text = README.read_text(encoding="utf-8")
    fresh = with_results(text)
    README.write_text(fresh, encoding="utf-8", newline="\n")
    return fresh != text


def with_results(text: str) -> str:
    """A text with what stands between the markers replaced by what the recorded runs say."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md needs the lines {BEGIN!r} and {END!r} around its results")
    before, rest = text.split(BEGIN)
    found = "".join(f"- {line}\n" for line in findings())
    return f"{before}{BEGIN}\n\n{tables.markdown(results())}\n{found}\n{END}{rest.split(END)[1]}"


def results() -> pd.DataFrame:
    """A row an experiment, test scores as mean over its seeds; controls are left out."""
    rows = []
    for _, group in tables.all_runs().groupby("experiment", sort=False):
        first = group.iloc[0]
        if data.VARIANTS[first["data"]].permuted:  # there was nothing to learn
            continue
        percent = 100 * group["accuracy"]
        accuracy = f"{percent.mean():.2f}"
        if len(group) > 1:
            accuracy += f" ± {percent.std():.2f}"
        rows.append(
            {
                "data": first["data"],
                "model": plots.label(first["model"]),
                "recipe": first["recipe"],
                "seeds": len(group),
                "parameters": f"{first['parameters'] / 1e6:.2f}M",
                "MACs": f"{first['macs'] / 1e6:.1f}M",
                "epochs": first["epochs_run"],
                "test accuracy": accuracy + " %",
                "macro F1": f"{group['macro_f1'].mean():.3f}",
                "ROC AUC": f"{group['roc_auc_ovr'].mean():.4f}",
                "_order": (first["data"], -percent.mean()),
            }
        )
    rows.sort(key=lambda row: row.pop("_order"))
    return pd.DataFrame(rows).set_index("data")


def findings() -> list[str]:
    """What the recorded runs say, in sentences; differences of seed 0 with 95 % intervals."""
    _, labels = data.official_labels()
    return [
        _difference("cifar10/vit/short", "cifar10/resnet20/short", labels),
        _difference("cifar10/vit/short", "cifar10/cct/short", labels),
        _difference("cifar10/vit/searched_6", "cifar10/resnet20/searched_6", labels),
        _difference("cifar10/vit/searched_6", "cifar10/cct/searched_6", labels),
        _difference("cifar10/cnn_baseline/described", "cifar10/hybrid_token/described", labels),
        _difference("cifar10/cnn_baseline/searched_6", "cifar10/hybrid_token/searched_6", labels),
        *_speed(),
        _to_its_end("cifar10/hybrid_dual/corrected"),
        *(_scarcity(model, labels) for model in ("cnn_baseline", "hybrid_token")),
        _explanations(),
    ]


def _difference(first, second, labels):
    pair = runs.read(first), runs.read(second)
    columns = ["accuracy a", "accuracy b", "difference", "low", "high"]
    row = 100 * tables.paired([pair], labels)[columns].iloc[0]
    a, b = (plots.label(run.info["model"]) for run in pair)
    seeds = {name: {run.seed: run for run in runs.recorded(name)} for name in (first, second)}
    others = "".join(
        f"; seed {seed}: "
        f"{100 * (run.info['test']['accuracy'] - seeds[first][seed].info['test']['accuracy']):+.2f}"
        for seed, run in seeds[second].items()
        if seed != pair[1].seed and seed in seeds[first]
    )
    return (
        f"**{b} against {a}**, seed {pair[0].seed}, {pair[0].info['epochs_run']} epochs of "
        f"`{pair[0].info['recipe']}`: {row['accuracy b']:.2f} against {row['accuracy a']:.2f} %, "
        f"{row['difference']:+.2f} points [{row['low']:+.2f}, {row['high']:+.2f}]{others}."
    )


def _speed():
    frame = tables.speed("cifar10/fast_*/fast_*")
    for name, row in frame.iterrows():
        info = runs.read(name).info
        seeds = "" if row["seeds"] == 1 else f", means of {row['seeds']:.0f} seeds"
        yield (
            f"**{info['hardware']['cores']} CPU cores, {row['minutes']:.0f} minutes** "
            f"(`{info['model']}/{info['recipe']}`, {row['PFLOP']:.2f} PFLOP, "
            f"{info['parameters'] / 1e6:.1f}M parameters): "
            f"{100 * row['test']:.2f} %, {100 * row['test, views averaged']:.2f} % with six views "
            f"of an image averaged{seeds}."
        )


def _to_its_end(name):
    info = runs.read(name).info
    return (
        f"**{plots.label(info['model'])}, trained to the end** that its authors did not wait for: "
        f"{100 * info['test']['accuracy']:.2f} % after {info['epochs_run']} epochs of "
        f"`{info['recipe']}`, of at most {info['config']['epochs']}, and "
        f"{info['seconds_training'] / 3600:.1f} hours on {info['hardware']['cores']} CPU cores."
    )


def _scarcity(model, labels):
    minority = data.VARIANTS["cifar10-imbalanced"].keep
    recall = metrics.class_mean("recall", [data.CIFAR10_CLASSES.index(name) for name in minority])
    scarce = runs.read(f"cifar10-imbalanced/{model}/described")
    counts = tables.class_counts("cifar10-imbalanced", scarce.seed)["train"]
    logits = {
        "all": runs.read(f"cifar10/{model}/described").test_logits,
        "fifth": scarce.test_logits,
        "weighted": runs.read(f"cifar10-imbalanced/{model}/described_weighted").test_logits,
        "adjusted": metrics.adjust_logits(scarce.test_logits, counts),
    }
    predicted = {key: values.argmax(1) for key, values in logits.items()}
    found = {key: 100 * recall(values, labels) for key, values in predicted.items()}
    accuracy = {key: 100 * metrics.accuracy(values, labels) for key, values in predicted.items()}

    def changed(key):
        low, high = metrics.paired_bootstrap_interval(
            recall, predicted["fifth"], predicted[key], labels
        )
        return (
            f"{found[key]:.1f} ({found[key] - found['fifth']:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}])"
        )

    seeds = "".join(
        f" (seed {run.seed}: {100 * recall(run.test_logits.argmax(1), labels):.1f})"
        for run in runs.recorded(scarce.name)
        if run.seed != scarce.seed
    )
    return (
        f"**{plots.label(model)}, a fifth of the cats, deer and dogs**: their mean recall goes "
        f"from {found['all']:.1f} to {found['fifth']:.1f} %{seeds}; with class weights it is "
        f"{changed('weighted')}, with logit adjustment {changed('adjusted')}. Accuracy on all "
        f"classes: {accuracy['fifth']:.1f}, {accuracy['weighted']:.1f} and "
        f"{accuracy['adjusted']:.1f} %."
    )


def _explanations():
    gain = tables.gains().query(
        "method == 'Grad-CAM' and score == 'deletion, blur' and reference == 'centre'"
    )
    words = [
        f"{plots.label(row.model)} {row.gain:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
        for row in gain.itertuples()
    ]
    won = tables.standing("Grad-CAM")["won"]
    sure = [plots.label(name) for name in won.index[won == len(tables.DECISIVE)]]
    return (
        "**Grad-CAM against a map that is always centred**, on 1,000 test images and the runs that "
        "notebook 6 names, gain in area under the deletion curve (pixels blurred), above 0 is "
        f"better: {', '.join(words)}. In all {len(tables.DECISIVE)} "
        "decisive tests it beats that map, random ones and its own maps of other images for "
        f"{', '.join(sure) or 'no model'}."
    )
