"""The questions that the study tests, listed before further runs were made to answer them.

`QUESTIONS` names for each test its two arms, its seeds, its score and what counts as an answer.
It is not changed once further runs are known: whatever else the records show is exploration, and
is called so.  Many of the runs that it counts were known when it was written, though: `fresh`
says which were not.

**What counts as an answer.** All seeds that a test names have to be recorded; until then it has no
verdict. Then, with the paired t over seeds (`statistics`) and Holm's adjustment over all tests
listed here, recorded or not:

- the adjusted p is below 0.05: the arm that the sign of the mean points to is better. "By less
  than matters" is added where the difference is shown to be below the smallest one that matters
  (`matters`, by two one-sided tests, adjusted likewise), "perhaps by less than matters" where the
  interval does not lie beyond it as a whole;
- else, the difference is shown to be below the smallest one that matters: there is none that
  matters;
- else it is not decided. That is no finding of equality.

**Fresh seeds.** `looked_at` are the seeds whose runs of both arms existed when this list was
written: their difference was known, so a test on them confirms nothing that chose the question.
`fresh` gives the others among those recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import data
from helpers.records import runs
from helpers.results import metrics, statistics

LEVEL = 0.05
MINORITY = ("cat", "deer", "dog")

SCORES = {
    "accuracy": "test accuracy",
    "macro_f1": "macro F1",
    "minority_recall": "mean recall of cat, deer and dog",
    "minority_f1": "mean F1 of cat, deer and dog",
}
"""Scores on the balanced test set, in points (a hundredth of 1); tests use those in `MATTERS`."""

# What matters, in points. Accuracy and macro F1: 1, somewhat more than the 95 % interval that
# 10,000 test images leave to one run (0.6 near 90 %). Recall of three classes: 2, as it rests on
# 3,000 images (1.8 near 50 %).
MATTERS = {"accuracy": 1.0, "macro_f1": 1.0, "minority_recall": 2.0}

THREE, SIX = (0, 1, 2), (0, 1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Test:
    """One comparison: `second` minus `first`, paired by seed.

    An arm is one experiment, or several in the same order in both arms; then a seed's difference
    is the mean over them.
    """

    __test__ = False  # no test of pytest's

    name: str  # unique within its question
    first: tuple[str, ...]
    second: tuple[str, ...]
    sides: tuple[str, str]  # what the arms are called in a sentence
    score: str = "accuracy"
    seeds: tuple[int, ...] = THREE
    looked_at: tuple[int, ...] = ()

    @property
    def matters(self) -> float:
        """The smallest difference that matters, in points."""
        return MATTERS[self.score]


@dataclass(frozen=True)
class Question:
    """What is asked, and the tests that answer it."""

    name: str
    words: str
    tests: tuple[Test, ...]
    setting: str = "all images"  # of its tests, as a figure has it


_WEIGHTS = {
    "first": (
        "cifar10-imbalanced/cnn_baseline/described",
        "cifar10-imbalanced/hybrid_token/described",
    ),
    "second": (
        "cifar10-imbalanced/cnn_baseline/described_weighted",
        "cifar10-imbalanced/hybrid_token/described_weighted",
    ),
    "sides": ("no class weights", "class weights"),
    "seeds": SIX,
    "looked_at": SIX,
}

QUESTIONS = (
    Question(
        "cnn_or_vit",
        "Is a CNN better than a ViT, both of 0.28M parameters or less, on all of CIFAR-10: at "
        "equal epochs, and at equal compute?",
        (
            Test(
                "equal epochs",
                ("cifar10/vit/short",),
                ("cifar10/resnet20/short",),
                ("ViT", "ResNet-20"),
                looked_at=THREE,
            ),
            Test(
                "equal compute",
                ("cifar10/vit/equal_compute",),
                ("cifar10/resnet20/short",),
                ("ViT", "ResNet-20"),
            ),
        ),
    ),
    Question(
        "cct_or_vit",
        "Is CCT, a ViT with a convolutional tokenizer and sequence pooling, better than a ViT of "
        "its size?",
        (
            Test(
                "equal epochs",
                ("cifar10/vit/short",),
                ("cifar10/cct/short",),
                ("ViT", "CCT"),
                looked_at=THREE,
            ),
        ),
    ),
    Question(
        "hybrid_all",
        "Is the token hybrid better than its parents, the CNN that it is built on and a ViT, on "
        "all of CIFAR-10?",
        (
            Test(
                "against the CNN, as described",
                ("cifar10/cnn_baseline/described",),
                ("cifar10/hybrid_token/described",),
                ("CNN baseline", "token hybrid"),
                seeds=SIX,
                looked_at=(0, 1, 2, 3),
            ),
            Test(
                "against the CNN, short",
                ("cifar10/cnn_baseline/short",),
                ("cifar10/hybrid_token/short",),
                ("CNN baseline", "token hybrid"),
                looked_at=THREE,
            ),
            Test(
                "against the ViT, short",
                ("cifar10/vit/short",),
                ("cifar10/hybrid_token/short",),
                ("ViT", "token hybrid"),
                looked_at=THREE,
            ),
        ),
    ),
    Question(
        "hybrid_few",
        "Is the token hybrid better than its parents on few images, a twentieth of CIFAR-10?",
        (
            Test(
                "against the CNN",
                ("cifar10-5pct/cnn_baseline/few",),
                ("cifar10-5pct/hybrid_token/few",),
                ("CNN baseline", "token hybrid"),
            ),
            Test(
                "against the ViT",
                ("cifar10-5pct/vit/few",),
                ("cifar10-5pct/hybrid_token/few",),
                ("ViT", "token hybrid"),
            ),
        ),
        setting="a twentieth of the images",
    ),
    Question(
        "hybrid_imbalanced",
        "Is the token hybrid better than its CNN on imbalanced images?",
        (
            # Macro F1, as a model can buy recall of the scarce classes with precision.
            Test(
                "against the CNN",
                ("cifar10-imbalanced/cnn_baseline/described",),
                ("cifar10-imbalanced/hybrid_token/described",),
                ("CNN baseline", "token hybrid"),
                score="macro_f1",
                seeds=SIX,
                looked_at=SIX,
            ),
        ),
        setting="imbalanced images, macro F1",
    ),
    Question(
        "class_weights",
        "Do class weights raise the recall of the scarce classes, and macro F1, on imbalanced "
        "images (mean over the CNN baseline and the token hybrid)?",
        (
            Test("minority recall", score="minority_recall", **_WEIGHTS),
            Test("macro F1", score="macro_f1", **_WEIGHTS),
        ),
        setting="imbalanced images",
    ),
    Question(
        "recipe_or_architecture",
        "Does the architecture change accuracy by more than the recipe: ResNet-20 in place of the "
        "ViT, under `short`, by more than `matched` in place of `short`, for the ViT?",
        (
            # The one gain less the other: the ViT's accuracy under `short` drops out.
            Test(
                "of the ViT",
                ("cifar10/vit/matched",),
                ("cifar10/resnet20/short",),
                ("recipe", "architecture"),
            ),
        ),
    ),
)


def scored(run: runs.Run, score: str) -> float:
    """One of `SCORES` of a run on the test set, in points."""
    of_minority = score.removeprefix("minority_")
    if of_minority == score:
        return 100 * run.info["test"][score]
    minority = [data.CIFAR10_CLASSES.index(name) for name in MINORITY]
    _, labels = data.official_labels()
    return 100 * metrics.class_mean(of_minority, minority)(run.test_logits.argmax(1), labels)


def differences(root: Path | None = None) -> pd.DataFrame:
    """A row a test and seed that both arms have a run of, also of seeds that no test plans.

    Columns: `question`, `test`, `seed`, `first` and `second` (the arms' scores, in points),
    `difference` (second minus first), `planned` (the test counts this seed) and `fresh` (nobody
    had seen the difference when the question was written).
    """
    return _differences(by_name(root))


def answer(root: Path | None = None) -> pd.DataFrame:
    """A row a test of `QUESTIONS`: what the recorded runs say.

    Columns: `question`, its `setting`, `test`, `sides` ("ViT → ResNet-20"), `score`, `matters`;
    `planned` and `recorded`, numbers of seeds; over the recorded ones of the planned, in points,
    the means `first` and `second`, their `difference` with its paired 95 % interval `low` to
    `high`, and
    `effect`, the difference over the standard deviation of seeds pooled over all recorded models
    of the arms' recipes on their data; once all planned seeds are recorded, `p` of the paired t,
    `p (Holm)`, adjusted over all tests, and `p (less)`, that of the difference reaching what
    matters, adjusted likewise; `fresh`, the fresh seeds, and `fresh difference`, the mean over
    them; `verdict`, in words. What is not known is NaN.
    """
    found = by_name(root)
    every = _differences(found)
    rows = []
    for question in QUESTIONS:
        for test in question.tests:
            own = every[(every["question"] == question.name) & (every["test"] == test.name)]
            rows.append(
                {"question": question.name, "setting": question.setting} | _row(test, own, found)
            )
    frame = pd.DataFrame(rows)
    for column, adjusted in (("p", "p (Holm)"), ("p (less)", "p (less)")):
        # A test without a verdict yet takes its place among the tests all the same.
        p = pd.Series(metrics.holm(frame[column].fillna(1)), frame.index)
        frame[adjusted] = p.where(frame[column].notna())
    tests = [test for question in QUESTIONS for test in question.tests]
    rows = zip(tests, frame.to_dict("records"), strict=True)
    return frame.assign(verdict=[_verdict(test, row) for test, row in rows])


def table(root: Path | None = None) -> pd.DataFrame:
    """`answer` as a reader wants it: a row a test, numbers with their units in words."""
    every = differences(root)
    rows = []
    for row in answer(root).to_dict("records"):
        own = every[(every["question"] == row["question"]) & (every["test"] == row["test"])]
        own = own[own["planned"]]
        some, enough = len(own) > 0, len(own) > 1
        rows.append(
            {
                "question": f"{row['question'].replace('_', ' ')}: {row['test']}",
                "arms": row["sides"],
                "score": SCORES[row["score"]],
                "means, %": f"{row['first']:.1f} → {row['second']:.1f}" if some else "",
                "by seed": " ".join(f"{value:+.1f}" for value in own["difference"]),
                "difference [95 %]": (
                    f"{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]"
                    if enough
                    else ""
                ),
                "p (Holm)": "" if np.isnan(row["p (Holm)"]) else f"{row['p (Holm)']:.2g}",
                "effect": "" if np.isnan(row["effect"]) else f"{row['effect']:+.1f}",
                "fresh seeds": row["fresh"],
                "verdict": row["verdict"],
            }
        )
    return pd.DataFrame(rows).set_index("question")


def paired(
    first: str,
    second: str,
    score: str = "accuracy",
    found: Mapping[str, Mapping[int, runs.Run]] | None = None,
) -> dict:
    """Two experiments' scores over the seeds that both have: exploration, not a listed test.

    Args:
        first, second: names of experiments.
        score: one of `SCORES`.
        found: runs as `by_name` has them (default: all recorded ones).

    Returns:
        `seeds`, their number; in points the means `first` and `second`, and the `difference`, NaN
        without a seed, with its paired 95 % interval `low` to `high`, NaN of one seed; `by seed`,
        each one's difference as text.
    """
    found = by_name() if found is None else found
    seeds = sorted(found.get(first, {}).keys() & found.get(second, {}).keys())
    old, new = (
        np.array([scored(found[name][seed], score) for seed in seeds]) for name in (first, second)
    )
    mean = low = high = float("nan")
    if len(seeds) == 1:
        mean = float((new - old)[0])
    elif seeds:
        mean, low, high, _ = statistics.paired_t(new - old)
    means = [float(values.mean()) if seeds else mean for values in (old, new)]
    return {
        "seeds": len(seeds),
        "first": means[0],
        "second": means[1],
        "difference": mean,
        "low": low,
        "high": high,
        "by seed": " ".join(f"{value:+.1f}" for value in new - old),
    }


def by_name(root: Path | None = None) -> dict[str, dict[int, runs.Run]]:
    """All recorded runs, by their experiment's name and then their seed."""
    found = {}
    for run in runs.recorded("*", root):
        found.setdefault(run.name, {})[run.seed] = run
    return found


def _differences(found: Mapping[str, Mapping[int, runs.Run]]) -> pd.DataFrame:
    rows = []
    for question in QUESTIONS:
        for test in question.tests:
            arms = [[found.get(name, {}) for name in arm] for arm in (test.first, test.second)]
            for seed in sorted(set.intersection(*map(set, arms[0] + arms[1]))):
                first, second = (
                    np.mean([scored(group[seed], test.score) for group in arm]) for arm in arms
                )
                rows.append(
                    {
                        "question": question.name,
                        "test": test.name,
                        "seed": seed,
                        "first": first,
                        "second": second,
                        "difference": second - first,
                        "planned": seed in test.seeds,
                        "fresh": seed not in test.looked_at,
                    }
                )
    columns = ["question", "test", "seed", "first", "second", "difference", "planned", "fresh"]
    types = {"planned": bool, "fresh": bool}
    return pd.DataFrame(rows, columns=columns).astype(types)


def _row(test: Test, own: pd.DataFrame, found: Mapping[str, Mapping[int, runs.Run]]) -> dict:
    """What `answer` says of one test before anything is adjusted."""
    nan = float("nan")
    counted, fresh = own[own["planned"]], own[own["fresh"]]
    complete, deviation = len(counted) == len(test.seeds), _deviation(test, found)
    mean, low, high, p = counted["difference"].mean(), nan, nan, nan
    if len(counted) > 1:
        mean, low, high, p = statistics.paired_t(counted["difference"])
    return {
        "test": test.name,
        "sides": " → ".join(test.sides),
        "score": test.score,
        "matters": test.matters,
        "planned": len(test.seeds),
        "recorded": len(counted),
        "first": counted["first"].mean(),
        "second": counted["second"].mean(),
        "difference": mean,
        "low": low,
        "high": high,
        "effect": mean / deviation if deviation > 0 else nan,
        "p": p if complete else nan,
        "p (Holm)": nan,
        "p (less)": statistics.equivalence(counted["difference"], test.matters)
        if complete
        else nan,
        "fresh": ", ".join(map(str, fresh["seed"])) or "none",
        "fresh difference": fresh["difference"].mean(),
    }


def _deviation(test: Test, found: Mapping[str, Mapping[int, runs.Run]]) -> float:
    """The standard deviation of seeds, pooled over all models of the arms' recipes and data."""
    ends = {_data_and_recipe(name) for name in test.first + test.second}
    groups = [group for name, group in found.items() if _data_and_recipe(name) in ends]
    return statistics.pooled_deviation(
        [[scored(run, test.score) for run in group.values()] for group in groups]
    )


def _data_and_recipe(name: str) -> tuple[str, str]:
    variant, _, recipe = name.split("/")
    return variant, recipe


def _verdict(test: Test, row: Mapping) -> str:
    """In words, by the rule of the module's docstring."""
    if row["recorded"] < row["planned"]:
        return f"not all recorded ({row['recorded']} of {row['planned']} seeds)"
    within = row["p (less)"] < LEVEL
    if row["p (Holm)"] >= LEVEL:
        return "answered: no difference that matters" if within else "not decided"
    ahead = test.sides[int(row["difference"] > 0)]
    beyond = min(abs(row["low"]), abs(row["high"])) > test.matters
    hedge = ", by less than matters" if within else ", perhaps by less than matters"
    return f"answered: {ahead} ahead" + ("" if beyond else hedge)
