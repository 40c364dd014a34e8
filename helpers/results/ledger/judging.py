"""What claims are judged by: recorded runs, compared by seed, and arithmetic on claimed figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.results import plots, published, questions

HOLDS, PART, FAILS, UNKNOWN = "holds", "holds in part", "fails", "cannot be told"

FEWEST = 3  # seeds that a comparison which is no listed test must have


class Judgement(NamedTuple):
    """A verdict, its evidence in a sentence or two, and the seeds it rests on.

    `basis` is `their figures`, `their code`, `listed question` or `exploration`.
    """

    verdict: str
    evidence: str
    basis: str
    seeds: tuple[int, ...] = ()


class Difference(NamedTuple):
    """What second minus first comes to over the seeds that both have, in points.

    `sign` is +1 or -1 where at least `FEWEST` seeds leave zero out of the paired 95 % interval,
    not adjusted for the number of comparisons; else 0.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[int, ...]

    @property
    def sign(self) -> int:
        if len(self.seeds) < FEWEST:
            return 0
        return int(self.low > 0) - int(self.high < 0)

    def __str__(self) -> str:
        if not self.seeds:
            return "not recorded"
        if len(self.seeds) == 1:
            return f"{self.mean:+.1f} (one seed)"
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


class Evidence:
    """All recorded runs below a root, the answers to the listed questions and the reproductions."""

    def __init__(self, root: Path | None = None):
        self.found = questions.by_name(root)
        self._answers = questions.answer(root).set_index(["question", "test"])
        self._curves = published.reproductions(root).set_index("experiment")

    def seeds(self, *names: str) -> tuple[int, ...]:
        """The seeds that all these experiments have a run of."""
        return tuple(sorted(set.intersection(*(set(self.found.get(name, {})) for name in names))))

    def mean(self, name: str, score: str = "accuracy") -> float:
        """Mean over the recorded seeds, in points; NaN without any."""
        scores = [questions.scored(run, score) for run in self.found.get(name, {}).values()]
        return float(np.mean(scores)) if scores else float("nan")

    def shown(self, name: str, score: str = "accuracy") -> str:
        """The model's name with its mean, "ResNet-18 88.8", or that it is not recorded."""
        variant, model, _ = name.split("/")
        text = plots.label(model) if variant == "cifar10" else f"{plots.label(model)} on {variant}"
        return (
            f"{text} {self.mean(name, score):.1f}" if self.seeds(name) else f"{text} not recorded"
        )

    def paired(self, first: str, second: str, score: str = "accuracy") -> Difference:
        """How two experiments differ by seed."""
        row = questions.paired(first, second, score, self.found)
        return Difference(row["difference"], row["low"], row["high"], self.seeds(first, second))

    def sign(self, question: str, test: str) -> int | None:
        """Which arm of a listed test is ahead: +1 the second, -1 the first, 0 none that matters.

        None where the test is not decided, or not recorded as a whole.
        """
        row = self._answers.loc[(question, test)]
        if not row["verdict"].startswith("answered"):
            return None
        return int(np.sign(row["difference"])) if "ahead" in row["verdict"] else 0

    def answer(self, question: str, test: str) -> str:
        """A listed test in words: its verdict, or its difference where there is one."""
        row = self._answers.loc[(question, test)]
        if np.isnan(row["p (Holm)"]):
            return f"{row['sides']} {row['verdict']}"
        verdict = row["verdict"].removeprefix("answered: ")
        return f"{row['sides']} {row['difference']:+.1f}, {verdict}"

    def tested_seeds(self, question: str, test: str) -> tuple[int, ...]:
        """The planned seeds of a listed test that are recorded in both arms."""
        planned = next(
            one
            for q in questions.QUESTIONS
            for one in q.tests
            if (q.name, one.name) == (question, test)
        )
        return tuple(
            seed for seed in self.seeds(*planned.first, *planned.second) if seed in planned.seeds
        )

    def reproduced(self, name: str) -> bool:
        """Whether our curve of an experiment is the published one, by its last epochs."""
        return self._curves.loc[name, "verdict"].startswith("reproduced")

    def reproduction(self, name: str) -> str:
        return self._curves.loc[name, "verdict"]

    def lowest(self, score: str, variant: str = "cifar10") -> tuple[str, float]:
        """The recorded run with the lowest score on a data variant: (which, score).

        Which: "<model>/<recipe>, seed <k>". The score is a fraction of 1; ("", NaN) without a run.
        """
        scores = {
            f"{name.removeprefix(f'{variant}/')}, seed {seed}": run.info["test"][score]
            for name, seeds in self.found.items()
            if name.startswith(f"{variant}/")
            for seed, run in seeds.items()
        }
        name = min(scores, key=scores.get, default="")
        return name, scores.get(name, float("nan"))


def span(seeds: Iterable[int]) -> str:
    """Seeds as a table has them: "0 to 2", "0, 2, 3" or "none"."""
    seeds = sorted(set(seeds))
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"


def harmonic_mean(precision: float, recall: float) -> float:
    """What F1 is of one class's precision and recall; of their macro means it is no macro F1."""
    return 2 * precision * recall / (precision + recall)


def hard_label_auc(accuracy: float, classes: int = 10) -> float:
    """The macro one-vs-rest ROC AUC of predicted labels in place of probabilities.

    The curve of a class then has one corner, at its false and true positive rates, so that the
    area is (1 + recall - false positive rate) / 2. With as many images in each class, the mean of
    recalls is the accuracy, and that of false positive rates is (1 - accuracy) / (classes - 1).
    """
    return (1 + accuracy - (1 - accuracy) / (classes - 1)) / 2


def of_signs(signs: Sequence[int | None]) -> str:
    """The verdict of a claim that the second arm of each of these listed tests is ahead."""
    if all(sign == 1 for sign in signs):
        return HOLDS
    if 1 in signs:
        return PART
    return UNKNOWN if None in signs else FAILS


def all_of(changes: Mapping[str, Difference], claimed: int, evidence: str) -> Judgement:
    """Judge a claim that all recorded changes go one way."""
    recorded = {name: change for name, change in changes.items() if change.seeds}
    signs = [change.sign for change in recorded.values()]
    if signs and all(sign == claimed for sign in signs):
        verdict = HOLDS
    elif claimed in signs:
        verdict = PART
    else:
        verdict = FAILS if -claimed in signs else UNKNOWN
    words = "; ".join(f"{name} {change}" for name, change in recorded.items()) or "not recorded"
    seeds = sorted({seed for change in recorded.values() for seed in change.seeds})
    return Judgement(verdict, evidence + words, "exploration", tuple(seeds))


def macs_of(known: Evidence, *names: str) -> str:
    """The MACs an image of the experiments that are recorded: "ViT 19M, ResNet-20 41M"."""
    words = []
    for name in names:
        label = plots.label(name.split("/")[1])
        for run in list(known.found.get(name, {}).values())[:1]:
            words.append(f"{label} {run.info['macs'] / 1e6:,.0f}M")
    return ", ".join(words) or "not recorded"


Claim = tuple[str, Callable[[Evidence], Judgement]]
"""A quotation and what judges it."""
