"""The questions that the study tests, fixed before the runs that answer them were looked at.

`QUESTIONS` names for each test its two arms, its seeds, its score and what counts as an answer.
It is not changed once further runs are known: whatever else the records show is exploration, and
is called so.

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

from dataclasses import dataclass

LEVEL = 0.05
MINORITY = ("cat", "deer", "dog")

SCORES = {
    "accuracy": "test accuracy",
    "macro_f1": "macro F1",
    "minority_recall": "mean recall of cat, deer and dog",
}
"""The scores that are compared, all on the balanced test set, in points (a hundredth of 1)."""

# What matters, in points. Accuracy and macro F1: 1, somewhat more than the 95 % interval that
# 10,000 test images leave to one run (0.6 near 90 %) and than two seeds of a recipe differ by.
# Recall of three classes: 2, as it rests on 3,000 images (1.8 near 50 %).
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
    ),
    Question(
        "class_weights",
        "Do class weights raise the recall of the scarce classes, and macro F1, on imbalanced "
        "images (mean over the CNN baseline and the token hybrid)?",
        (
            Test("minority recall", score="minority_recall", **_WEIGHTS),
            Test("macro F1", score="macro_f1", **_WEIGHTS),
        ),
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
