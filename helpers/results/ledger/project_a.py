"""Project A, ResNet-18 against a ViT: what it claims, and what the evidence says."""

from helpers.results import plots, published
from helpers.results.ledger.judging import (
    FAILS,
    HOLDS,
    PART,
    UNKNOWN,
    Claim,
    Evidence,
    Judgement,
    hard_label_auc,
    harmonic_mean,
    macs_of,
    of_signs,
)

RESNET18, VIT_128 = "cifar10/resnet18/published", "cifar10/vit_128/published"

# What it reports of ResNet-18 and of the ViT, besides accuracy and F1 (in `published`).
PRECISION, RECALL, AUC = (89.15, 77.20), (88.90, 76.85), (0.97, 0.85)
TEST_IMAGES = 10_000  # 1,000 a class
ROUNDING = 0.01  # of figures with two decimals


def _accuracy(known: Evidence) -> Judgement:
    difference = known.paired(VIT_128, RESNET18)
    words = [
        f"{known.shown(name)} beside {published.value(name):.2f} ({known.reproduction(name)})"
        for name in (RESNET18, VIT_128)
    ]
    if difference.sign > 0:
        both = known.reproduced(RESNET18) and known.reproduced(VIT_128)
        verdict = HOLDS if both else PART
    else:
        verdict = FAILS if difference.sign else UNKNOWN
    evidence = f"{'; '.join(words)}; ViT to ResNet-18 {difference}"
    return Judgement(verdict, evidence, "exploration", difference.seeds)


def _generalises(known: Evidence) -> Judgement:
    tests = [("cnn_or_vit", "equal epochs"), ("cnn_or_vit", "equal compute")]
    signs = [known.sign(*test) for test in tests]
    evidence = (
        "A's two networks differ in size and recipe, too. At 0.28M parameters or less: "
        + "; ".join(f"{test[1]}: {known.answer(*test)}" for test in tests)
        + f". With a convolutional tokenizer: {known.answer('cct_or_vit', 'equal epochs')}"
    )
    few = known.paired("cifar10-5pct/vit/few", "cifar10-5pct/resnet20/few")
    plain = known.paired("cifar10/vit/short", "cifar10/cnn_baseline/short")
    evidence += (
        f". That is on all images; on a twentieth, ViT to ResNet-20: {few}. A plain CNN: {plain}"
    )
    verdict = of_signs(signs)
    # Small data are the claim: without them it holds in part at best.
    if verdict == HOLDS and (few.sign < 1 or plain.sign < 1):
        verdict = PART
    seeds = [seed for test in tests for seed in known.tested_seeds(*test)]
    return Judgement(verdict, evidence, "listed question", tuple(seeds))


def _precision(known: Evidence) -> Judgement:
    accuracies = (published.value(RESNET18), published.value(VIT_128))
    # An error is a false positive of one class and a false negative of another.
    wrong = [round(TEST_IMAGES * (1 - accuracy / 100)) for accuracy in accuracies]
    gap = PRECISION[0] - PRECISION[1]
    verdict = FAILS if wrong[0] >= wrong[1] else HOLDS if gap < 2 else PART
    evidence = (
        f"every error is one false positive: {wrong[0]:,} against {wrong[1]:,} of {TEST_IMAGES:,} "
        f"images by the claimed accuracies. The gap, {gap:.2f} points, is not little"
    )
    return Judgement(verdict, evidence, "their figures")


def _recall(known: Evidence) -> Judgement:
    accuracies = (published.value(RESNET18), published.value(VIT_128))
    same = all(
        abs(recall - accuracy) <= ROUNDING
        for recall, accuracy in zip(RECALL, accuracies, strict=True)
    )
    pairs = [
        f"{recall:.2f} beside {accuracy:.2f}"
        for recall, accuracy in zip(RECALL, accuracies, strict=True)
    ]
    evidence = (
        "with 1,000 test images a class macro recall is accuracy, to the last digit; claimed are "
        f"{' and '.join(pairs)}, which cannot be one evaluation: two passes over test images that "
        "are augmented anew would differ so. Which is higher does not hang on it"
    )
    higher = RECALL[0] > RECALL[1] and accuracies[0] > accuracies[1]
    verdict = FAILS if not higher else HOLDS if same else PART
    return Judgement(verdict, evidence, "their figures")


def _f1(known: Evidence) -> Judgement:
    means = [harmonic_mean(*pair) for pair in zip(PRECISION, RECALL, strict=True)]
    claimed = [published.value(name, "macro_f1") for name in (RESNET18, VIT_128)]
    derived = all(abs(a - b) <= ROUNDING for a, b in zip(means, claimed, strict=True))
    evidence = (
        f"the claimed {claimed[0]:.2f} and {claimed[1]:.2f} are the harmonic means of the claimed "
        f"precision and recall ({means[0]:.2f}, {means[1]:.2f}), no mean of classes' F1: higher, "
        "as those are, and no further confirmation"
        if derived
        else f"harmonic means of precision and recall are {means[0]:.2f} and {means[1]:.2f}"
    )
    verdict = FAILS if claimed[0] <= claimed[1] else PART if derived else UNKNOWN
    return Judgement(verdict, evidence, "their figures")


def _auc(known: Evidence) -> Judgement:
    hard = [hard_label_auc(published.value(name) / 100) for name in (RESNET18, VIT_128)]
    name, lowest = known.lowest("roc_auc_ovr")
    evidence = (
        f"even labels without probabilities give {hard[0]:.2f} and {hard[1]:.2f} at the claimed "
        f"accuracies: {AUC[1]:.2f} is not what the ViT's ranking is worth"
    )
    if not name:
        return Judgement(UNKNOWN, evidence, "their figures")
    ours = [
        f"{plots.label(one.split('/')[1])} {known.mean(one, 'roc_auc_ovr') / 100:.3f}"
        for one in (RESNET18, VIT_128)
        if known.seeds(one)
    ]
    lowest_here = f"Lowest of all runs on CIFAR-10 here: {lowest:.3f} ({name})"
    evidence = "; ".join([f"{evidence}. {lowest_here}", *ours])
    verdict = FAILS if hard[1] >= AUC[1] and lowest > AUC[1] + 0.02 else UNKNOWN
    return Judgement(verdict, evidence, "their figures", known.seeds(RESNET18))


def _custom_cnn(known: Evidence) -> Judgement:
    short = "cifar10/resnet20/short"
    changes = {name: known.paired(short, f"{short}_{name.lower()}") for name in ("L1", "L2")}
    evidence = (
        "no code of it exists. ResNet-20 stands for it; what a penalty changes: "
        + "; ".join(f"{name} {difference}" for name, difference in changes.items())
    )
    seeds = sorted({seed for difference in changes.values() for seed in difference.seeds})
    return Judgement(UNKNOWN, evidence, "exploration", tuple(seeds))


def _efficient(known: Evidence) -> Judgement:
    test = ("cnn_or_vit", "equal compute")
    evidence = (
        f"A reports no cost. MACs an image: {macs_of(known, RESNET18, VIT_128)}; "
        f"{macs_of(known, 'cifar10/resnet20/short', 'cifar10/vit/short')}. At equal compute: "
        f"{known.answer(*test)}. Why, no run says"
    )
    verdict = {None: UNKNOWN, 1: PART, 0: FAILS, -1: FAILS}[known.sign(*test)]
    return Judgement(verdict, evidence, "listed question", known.tested_seeds(*test))


def _complex(known: Evidence) -> Judgement:
    difference = known.paired("cifar100/vit/short", "cifar100/resnet20/short")
    evidence = (
        "A has one data set. On CIFAR-100, ten times the classes, ViT to ResNet-20: "
        f"{difference}; larger images or more of them are not in this study"
    )
    return Judgement(UNKNOWN, evidence, "exploration", difference.seeds)


def _depends(known: Evidence) -> Judgement:
    places = {
        "all": ("cifar10", "short"),
        "a fifth": ("cifar10-20pct", "few"),
        "a twentieth": ("cifar10-5pct", "few"),
        "CIFAR-100": ("cifar100", "short"),
    }
    gaps = {
        place: known.paired(f"{variant}/vit/{recipe}", f"{variant}/resnet20/{recipe}")
        for place, (variant, recipe) in places.items()
    }
    signs = [gap.sign for gap in gaps.values() if gap.seeds]
    verdict = HOLDS if len(set(signs)) > 1 else FAILS
    if len(signs) < 2 or 0 in signs:
        verdict = UNKNOWN
    evidence = "ViT to ResNet-20, at 0.28M parameters or less: " + "; ".join(
        f"{place} {gap}" for place, gap in gaps.items()
    )
    seeds = sorted({seed for gap in gaps.values() for seed in gap.seeds})
    return Judgement(verdict, evidence, "exploration", tuple(seeds))


CLAIMS: tuple[Claim, ...] = (
    (
        "“ResNet-18 outperformed ViTs, which had an accuracy of 76.48%, by achieving 89.00%”",
        _accuracy,
    ),
    (
        "“This demonstrates how successfully CNN generalizes on small datasets”",
        _generalises,
    ),
    (
        "“fewer false positives than ViTs, with a little greater precision (89.15%) than ViTs "
        "(77.20%)”",
        _precision,
    ),
    ("“a higher recall (88.90%) than ViTs (76.85%)”", _recall),
    (
        "“better performance (89.02%) over ViTs (77.02%) was further confirmed by the F1 Score”",
        _f1,
    ),
    (
        "“better […] (ROC AUC) of 0.97. However, ViTs struggled […], as evidenced by its lower ROC "
        "AUC of 0.85”",
        _auc,
    ),
    (
        "“a custom CNN architecture with skip connections, L1/L2 regularization, and optimized "
        "hyperparameters”",
        _custom_cnn,
    ),
    (
        "“CNNs excel at extracting local patterns in images, making them highly efficient for "
        "spatial data”",
        _efficient,
    ),
    (
        "“ViTs use self-attention mechanisms for global context understanding, performing well on "
        "complex datasets”",
        _complex,
    ),
    (
        "“The choice between CNNs and ViTs depends on the dataset and computational resources”",
        _depends,
    ),
)
