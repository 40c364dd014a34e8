"""Project C, the CNN-token hybrid: what it claims, and what the evidence says."""

import numpy as np

from helpers.results import plots, published, tables
from helpers.results.ledger.judging import (
    FAILS,
    HOLDS,
    PART,
    UNKNOWN,
    Claim,
    Evidence,
    Judgement,
    all_of,
    macs_of,
    of_signs,
)

BALANCED = "cifar10/hybrid_token/published_8"
WEIGHTED = "cifar10-thinned/hybrid_token/published_8_weighted"
PARENT_AND_HYBRID = ("cnn_baseline", "hybrid_token")


def _cnn_is_local(known: Evidence) -> Judgement:
    difference = known.paired("cifar10/hybrid_token/short", "cifar10/resnet20/short")
    evidence = (
        "before it averages, no place of its CNN sees more than 18 of 32 pixels a side. In a "
        f"deeper CNN each sees all, without a token: hybrid to ResNet-20, `short`, {difference}"
    )
    verdict = {1: PART, 0: UNKNOWN, -1: HOLDS}[difference.sign]
    return Judgement(verdict, evidence, "exploration", difference.seeds)


def _transformers_need_data(known: Evidence) -> Judgement:
    lead = {
        place: known.paired(f"{variant}/vit/{recipe}", f"{variant}/resnet20/{recipe}")
        for place, variant, recipe in (
            ("all images", "cifar10", "short"),
            ("a fifth", "cifar10-20pct", "few"),
            ("a twentieth", "cifar10-5pct", "few"),
        )
    }
    every, _, few = lead.values()
    verdict = UNKNOWN
    # It says something for the claim that the lead is larger on fewer images; that a transformer
    # with a convolutional tokenizer does well on as many, something against it.
    if every.sign > 0 and few.sign > 0 and few.mean > every.mean + 1:
        verdict = PART if known.sign("cct_or_vit", "equal epochs") == 1 else HOLDS
    elif few.sign < 0:  # the transformer is ahead on few images
        verdict = FAILS
    evidence = (
        "lead of ResNet-20 over the ViT, "
        + "; ".join(f"{place} {gap}" for place, gap in lead.items())
        + f". With a convolutional tokenizer: {known.answer('cct_or_vit', 'equal epochs')}"
    )
    seeds = {seed for gap in lead.values() for seed in gap.seeds}
    return Judgement(verdict, evidence, "exploration", tuple(sorted(seeds)))


def _heavy(known: Evidence) -> Judgement:
    pairs = [
        ("cifar10/vit/short", "cifar10/resnet20/short"),
        ("cifar10/vit_128/dropout_everywhere", "cifar10/resnet18/published"),
    ]
    pairs = [pair for pair in pairs if all(map(known.seeds, pair))]
    if not pairs:
        return Judgement(UNKNOWN, "no ViT is recorded beside a CNN", "exploration")
    costs = [
        [known.found[name][known.seeds(name)[0]].info["macs"] for name in pair] for pair in pairs
    ]
    heavier = {vit > cnn for vit, cnn in costs}
    evidence = (
        f"MACs an image, pair by pair: {'; '.join(macs_of(known, *p) for p in pairs)}. "
        f"At equal compute: {known.answer('cnn_or_vit', 'equal compute')}"
    )
    verdict = PART if len(heavier) > 1 else HOLDS if heavier == {True} else FAILS
    return Judgement(verdict, evidence, "exploration")


def _lightweight(known: Evidence) -> Judgement:
    names = [f"cifar10/{model}/short" for model in ("hybrid_token", "resnet20", "vit", "cct")]
    if not all(map(known.seeds, names)):
        return Judgement(UNKNOWN, "not all families are recorded", "exploration")
    infos = [known.found[name][known.seeds(name)[0]].info for name in names]
    least = all(
        infos[0][cost] <= min(info[cost] for info in infos[1:]) for cost in ("macs", "parameters")
    )
    evidence = f"{infos[0]['parameters']:,} parameters; MACs an image: {macs_of(known, *names)}"
    return Judgement(HOLDS if least else PART, evidence, "exploration")


def _crop(known: Evidence) -> Judgement:
    evidence = "a crop of 32 out of 32 pixels has one place: its code flips, and no more"
    return Judgement(FAILS, evidence, "their code")


def _balanced(known: Evidence) -> Judgement:
    log = next(curve.accuracy for curve in published.CURVES if curve.experiment == BALANCED)
    falls = int((np.diff(log) < 0).sum())
    above = published.value(BALANCED) - published.value(WEIGHTED)
    described = "cifar10/hybrid_token/described"
    evidence = (
        f"{published.value(BALANCED):.2f} %, {above:.1f} points above its imbalanced, weighted "
        f"model; on validation it falls after {falls} of {len(log) - 1} epochs"
    )
    if known.seeds(described):
        evidence += f". After the 40 epochs that it recommends, here: {known.shown(described)}"
    verdict = HOLDS if not falls and above > 0 else PART if above > 0 else FAILS
    return Judgement(verdict, evidence, "their figures", known.seeds(described))


def _scarcity(known: Evidence) -> Judgement:
    settings = (
        ("cifar10", "cifar10-imbalanced", "described"),
        ("cifar10", "cifar10-thinned", "published_8"),
    )
    changes = {
        f"{plots.label(model)}, `{recipe}`": known.paired(
            f"{whole}/{model}/{recipe}", f"{cut}/{model}/{recipe}", "minority_recall"
        )
        for whole, cut, recipe in settings
        for model in PARENT_AND_HYBRID
    }
    evidence = "its code has no run without weights. Recall of cat, deer and dog, balanced to cut: "
    return all_of(changes, -1, evidence)


def _weights(known: Evidence) -> Judgement:
    tests = [("class_weights", name) for name in ("minority recall", "macro F1")]
    signs = [known.sign(*test) for test in tests]
    settings = (("cifar10-imbalanced", "described"), ("cifar10-thinned", "published_8"))
    changes = {
        f"{plots.label(model)}, `{recipe}`, {name}": known.paired(
            f"{variant}/{model}/{recipe}", f"{variant}/{model}/{recipe}_weighted", score
        )
        for variant, recipe in settings
        for model in PARENT_AND_HYBRID
        for name, score in (("recall", "minority_recall"), ("F1", "minority_f1"))
    }
    recorded = {name: change for name, change in changes.items() if change.seeds}
    below = published.value(BALANCED) - published.value(WEIGHTED)
    evidence = (
        f"its code compares no run with weights to one without; with them, its imbalanced model is "
        f"{below:.1f} points below the balanced one. Here, "
        + "; ".join(f"{test[1]}: {known.answer(*test)}" for test in tests)
        + (". Of the three classes: " if recorded else "")
        + "; ".join(f"{name} {change}" for name, change in recorded.items())
    )
    verdict = of_signs(signs)
    if verdict == HOLDS and any(change.sign < 1 for change in recorded.values()):
        verdict = PART
    seeds = [seed for test in tests for seed in known.tested_seeds(*test)]
    return Judgement(verdict, evidence, "listed question", tuple(seeds))


def _combines(known: Evidence) -> Judgement:
    evidence = (
        "its tokens meet in a mean alone: no attention, nothing that relates two places, and their "
        "order makes no difference; the ReLU of its code, each token by itself, changes none of "
        f"that. What the branch adds: {known.answer('hybrid_all', 'against the CNN, as described')}"
    )
    seeds = known.tested_seeds("hybrid_all", "against the CNN, as described")
    return Judgement(FAILS, evidence, "their code", seeds)


def _better(known: Evidence) -> Judgement:
    tests = [
        ("hybrid_few", "against the CNN"),
        ("hybrid_few", "against the ViT"),
        ("hybrid_imbalanced", "against the CNN"),
    ]
    own = {
        recipe: known.paired(
            f"cifar10-thinned/cnn_baseline/{recipe}",
            f"cifar10-thinned/hybrid_token/{recipe}",
            "macro_f1",
        )
        for recipe in ("published_8_weighted", "published_40_weighted")
    }
    matched = known.paired("cifar10/cnn_baseline/matched", "cifar10/hybrid_token/matched")
    verdict = of_signs([known.sign(*test) for test in tests])
    if verdict == HOLDS and any(change.seeds and change.sign < 1 for change in own.values()):
        verdict = PART
    evidence = (
        "its code trains no CNN and no transformer. Here, "
        + "; ".join(f"{test[0].replace('_', ' ')}: {known.answer(*test)}" for test in tests)
        + "; by its code, macro F1 of CNN to hybrid, "
        + ", ".join(f"`{recipe}` {change}" for recipe, change in own.items())
        + f"; on all images, `matched`, {matched}. The hybrid has 1.7 times the CNN's parameters"
    )
    seeds = [seed for test in tests for seed in known.tested_seeds(*test)]
    return Judgement(verdict, evidence, "listed question", tuple(seeds))


def _compared(known: Evidence) -> Judgement:
    evidence = (
        "its code trains two models, the hybrid on balanced and, with class weights, on imbalanced "
        "images: no baseline CNN, no transformer, no run without weights"
    )
    return Judgement(FAILS, evidence, "their code")


def _grad_cam(known: Evidence) -> Judgement:
    total = len(tables.DECISIVE)
    try:
        won, lost = tables.standing("Grad-CAM").loc["hybrid_token", ["won", "lost"]]
    except (FileNotFoundError, KeyError):
        return Judgement(UNKNOWN, "its maps are not tested yet", "exploration")
    evidence = (
        f"it shows one frog. Of {total} decisive tests (notebook 6) Grad-CAM of the hybrid as "
        f"described wins {won} against random, centred and other images' maps, and loses {lost}; "
        "that it is the object, only object masks would tell"
    )
    return Judgement(
        FAILS if lost else PART if won == total else UNKNOWN, evidence, "exploration", (0,)
    )


CLAIMS: tuple[Claim, ...] = (
    ("“CNN performs well locally but lacks global context”", _cnn_is_local),
    ("“Transformers require large datasets”", _transformers_need_data),
    ("Vision Transformers “require […] heavy computation”", _heavy),
    ("“a lightweight hybrid approach”", _lightweight),
    ("“Random Cropping” as augmentation", _crop),
    ("“Balanced training provides stable and high accuracy”", _balanced),
    (
        "“Imbalanced training without class weighting results in poor minority-class recall”",
        _scarcity,
    ),
    (
        "“Applying class weights significantly improves F1-score and recall of minority classes”",
        _weights,
    ),
    ("“The hybrid approach combines both advantages”", _combines),
    (
        "“The hybrid approach […] performs better for small, imbalanced datasets”",
        _better,
    ),
    (
        "“Comparison performed between: Baseline CNN, Transformer-based approach (optional), "
        "Proposed Hybrid CNN-Token Model”",
        _compared,
    ),
    (
        "“Grad-CAM confirms that the model focuses on meaningful object regions”",
        _grad_cam,
    ),
)
