"""The three systems are those of their authors' code: same weights in, same outputs out.

The file `authors_outputs.npz` holds the probabilities that the networks of the dual-branch hybrid
(`b`, (4, 100)) and of the CNN-token hybrid (`c`, (4, 10)), built by their authors' own code, give
to four images, all weights drawn by the rule that `Rule` and the functions below it repeat.  For
the ViT, timm's `VisionTransformer`, which its authors used, is the reference itself.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from helpers.backend import keras
from helpers.models import build

OUTPUTS = Path(__file__).parent / "authors_outputs.npz"
PUBLISHED = {"hybrid_dual": True, "hybrid_token": "relu"}  # the option that asks for it
layers = keras.layers


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def probabilities(model, images):
    return numpy(keras.ops.softmax(model(images, training=False)))


@cache
def dual(as_published):
    return build("hybrid_dual", 100, as_published=as_published)


def rates(model):
    """Dropout rates above 0 by the name of their layer."""
    return {
        layer.name: layer.rate
        for layer in model.layers
        if isinstance(layer, layers.Dropout) and layer.rate
    }


# ---- the hybrids, on weights drawn by a rule


class Rule:
    """One generator draws the images and all weights, in a fixed order."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.images = self.rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)

    def n(self, *shape):
        return self.rng.normal(0, 0.1, shape).astype(np.float32)

    def s(self, width):
        return (1 + self.rng.normal(0, 0.1, width)).astype(np.float32)

    def dense(self, *shape):
        """Kernel and bias of a dense layer or convolution."""
        return [self.n(*shape), self.n(shape[-1])]


def draw_dual(rule: Rule) -> dict[str, list[np.ndarray]]:
    """Weights of the dual-branch hybrid for 100 classes, by layer."""
    kernel, bias = rule.dense(48, 64)
    drawn = {"patches": [kernel.reshape(4, 4, 3, 64), bias]}
    drawn["positions"] = [rule.n(65, 64)[None]]
    drawn["class_token"] = [rule.n(1, 1, 64)]
    for i in range(1, 7):
        block = f"block{i}"
        drawn[f"{block}_norm1"] = [rule.s(64), rule.n(64)]
        parts = [rule.dense(64, 256) for _ in range(3)]  # queries, keys, values
        drawn[f"{block}_qkv"] = [np.concatenate(part, -1) for part in zip(*parts, strict=True)]
        drawn[f"{block}_projection"] = rule.dense(256, 64)
        drawn[f"{block}_norm2"] = [rule.s(64), rule.n(64)]
        drawn[f"{block}_mlp1"] = rule.dense(64, 128)
        drawn[f"{block}_mlp2"] = rule.dense(128, 64)
    for i, (inputs, filters) in enumerate([(3, 32), (32, 64), (64, 128), (128, 256)], start=1):
        drawn[f"conv{i}"] = rule.dense(3, 3, inputs, filters)
        norm = [rule.s(filters), rule.n(filters), rule.n(filters), abs(rule.s(filters))]
        drawn[f"conv{i}_norm"] = norm
    for branch, width in (("vit", 64), ("cnn", 256)):
        drawn[f"{branch}_dense1"] = rule.dense(width, 256)
        drawn[f"{branch}_dense2"] = rule.dense(256, 128)
    drawn["logits"] = rule.dense(256, 100)
    return drawn


def draw_token(rule: Rule) -> dict[str, list[np.ndarray]]:
    """Weights of the CNN-token hybrid for 10 classes, by layer."""
    shapes = [(3, 3, 3, 32), (3, 3, 32, 64), (3, 3, 64, 128)]
    drawn = {f"conv{i}": rule.dense(*shape) for i, shape in enumerate(shapes, start=1)}
    drawn["token_embedding"] = rule.dense(512, 128)
    kernel, bias = rule.dense(256, 128)
    # The authors concatenate the tokens first; here the map comes first.
    drawn["dense"] = [np.concatenate([kernel[128:], kernel[:128]]), bias]
    drawn["logits"] = rule.dense(128, 10)
    return drawn


@pytest.fixture(scope="module")
def drawn():
    """The images, and the weights of both hybrids, by layer."""
    rule = Rule()
    dual = draw_dual(rule)
    return rule.images, {"hybrid_dual": dual, "hybrid_token": draw_token(rule)}


@pytest.mark.parametrize(
    ("name", "new", "key"),
    [
        ("hybrid_dual", dual, "b"),
        ("hybrid_token", lambda relu: build("hybrid_token", token_activation=relu), "c"),
    ],
)
def test_hybrids_give_what_their_authors_code_gives(name, new, key, drawn):
    images, weights = drawn
    expected = np.load(OUTPUTS)[key]
    gaps = []
    for option in (PUBLISHED[name], None):
        model = new(option)
        with_weights = {layer.name for layer in model.layers if layer.weights}
        assert with_weights == set(weights[name])
        for layer, values in weights[name].items():
            model.get_layer(layer).set_weights(values)
        gaps.append(abs(probabilities(model, images) - expected).max())
    assert gaps[0] < 1e-5
    assert gaps[1] > 0.1  # without the option it is another network


@pytest.mark.parametrize("as_published", [None, True])
def test_dual_hybrid_is_the_published_size_for_100_classes(as_published):
    model = dual(as_published)
    assert model.count_params() == 1_070_820
    for layer, parameters in (("pooled_map", 390_336), ("vit_dropout", 506_560)):
        branch = keras.Model(model.input, model.get_layer(layer).output)
        assert branch.count_params() == parameters


def test_published_dual_hybrid_drops_out_after_both_layers_of_its_mlps():
    published, corrected = rates(dual(True)), rates(dual(None))
    blocks = [f"block{i}" for i in range(1, 7)]
    after = ("attention_dropout", "mlp1_dropout", "mlp2_dropout")
    heads = {"vit_dropout": 0.3} | {
        f"{branch}_dense{i}_dropout": 0.5 for branch in ("vit", "cnn") for i in (1, 2)
    }
    assert published == heads | {f"{block}_{name}": 0.1 for block in blocks for name in after}
    assert corrected == published | {f"{block}_projection_dropout": 0.1 for block in blocks}


@pytest.mark.parametrize("as_published", [False, True])
def test_dual_hybrid_without_dropout_or_penalty(as_published):
    model = build("hybrid_dual", as_published=as_published, l2=0, dropout=False)
    assert rates(model) == {}
    assert model.losses == []


def test_published_dual_hybrid_starts_as_its_authors_does():
    keras.utils.set_random_seed(0)
    model = build("hybrid_dual", as_published=True)
    # Keras's own layer, which the authors' code uses.
    attention = layers.MultiHeadAttention(4, 64)
    attention.build((None, 65, 64), (None, 65, 64))
    query, output = attention.get_weights()[0], attention.get_weights()[-2]
    qkv, _ = model.get_layer("block1_qkv").get_weights()
    projection, _ = model.get_layer("block1_projection").get_weights()
    assert same_distribution(qkv, query)
    assert same_distribution(projection, output)
    rng = np.random.default_rng(0)
    (table,) = model.get_layer("positions").get_weights()
    assert same_distribution(table, rng.uniform(-0.05, 0.05, 100_000))
    (token,) = model.get_layer("class_token").get_weights()
    assert same_distribution(token, rng.normal(0, 0.05, 100_000))


# ---- the ViT, beside timm's


def same_distribution(one, other) -> bool:
    """Whether two sets of values could be draws from one distribution (Kolmogorov and Smirnov)."""
    values = [np.ravel(numpy(x))[:200_000] for x in (one, other)]
    return ks_2samp(*values).pvalue > 1e-4


@pytest.fixture(scope="module")
def vit():
    keras.utils.set_random_seed(0)
    return build("vit_128")


@pytest.fixture(scope="module")
def timm_s():
    """timm's network as system A builds it; skips where timm is not installed."""
    vision_transformer = pytest.importorskip("timm.models.vision_transformer")
    import torch

    torch.manual_seed(0)
    return vision_transformer.VisionTransformer(
        img_size=128,
        patch_size=16,
        num_classes=10,
        embed_dim=768,
        depth=6,
        num_heads=12,
        mlp_ratio=4,
        qkv_bias=True,
        drop_rate=0.1,
    )


def pairs(model, reference):
    """Every weight of ours, in PyTorch's layout, with timm's."""

    def of(layer, module):
        for ours, theirs in zip(
            model.get_layer(layer).get_weights(), (module.weight, module.bias), strict=True
        ):
            order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(ours.ndim, (0,))
            yield f"{layer} {ours.ndim}", ours.transpose(order), theirs

    yield from of("patches", reference.patch_embed.proj)
    yield "class_token", model.get_layer("class_token").get_weights()[0], reference.cls_token
    yield "positions", model.get_layer("positions").get_weights()[0], reference.pos_embed
    for i, block in enumerate(reference.blocks, start=1):
        yield from of(f"block{i}_norm1", block.norm1)
        yield from of(f"block{i}_qkv", block.attn.qkv)
        yield from of(f"block{i}_projection", block.attn.proj)
        yield from of(f"block{i}_norm2", block.norm2)
        yield from of(f"block{i}_mlp1", block.mlp.fc1)
        yield from of(f"block{i}_mlp2", block.mlp.fc2)
    yield from of("norm", reference.norm)
    yield from of("logits", reference.head)


def test_vit_s_first_weights_are_distributed_as_timm_s(vit, timm_s):
    differ = []
    for name, ours, theirs in pairs(vit, timm_s):
        theirs = theirs.detach().numpy()
        if np.ptp(theirs) == 0:
            same = np.array_equal(ours, theirs)
        else:
            same = same_distribution(ours, theirs)
        if not same:
            differ.append(name)
    assert differ == []


def test_vit_s_layers_do_not_start_as_copies_of_each_other(vit):
    first, second = (vit.get_layer(f"block{i}_qkv").get_weights()[0] for i in (1, 2))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.01


def test_vit_gives_timm_s_logits(vit, timm_s, sample):
    import torch

    images = sample.x_test[:2]
    # A little off the first weights, so that biases and the class token count too.
    rng = np.random.default_rng(0)
    vit.set_weights([w + rng.normal(0, 0.02, w.shape) for w in vit.get_weights()])
    copied = 0
    with torch.no_grad():
        for _, ours, theirs in pairs(vit, timm_s):
            theirs.copy_(torch.from_numpy(np.ascontiguousarray(ours)))
            copied += theirs.numel()
        assert copied == vit.count_params() == sum(p.numel() for p in timm_s.parameters())
        scaled = torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
        enlarged = torch.nn.functional.interpolate(scaled, size=128, mode="bilinear")
        expected = timm_s.eval()(enlarged).numpy()
    result = numpy(vit(images, training=False))
    assert abs(expected).max() > 0.5
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_vit_has_no_dropout_but_the_head_s(vit, timm_s):
    import torch

    theirs = {
        name: module.p
        for name, module in timm_s.named_modules()
        if isinstance(module, torch.nn.Dropout) and module.p
    }
    assert theirs == {"head_drop": 0.1}
    assert rates(vit) == {"head_dropout": 0.1}
    assert vit.layers[-2].name == "head_dropout"


def test_dropout_everywhere_is_everywhere_but_before_the_head(vit):
    model = build("vit_128", dropout_everywhere=True)
    after = ("attention_dropout", "projection_dropout", "mlp1_dropout", "mlp2_dropout")
    expected = {f"block{i}_{name}": 0.1 for i in range(1, 7) for name in after}
    assert rates(model) == expected | {"dropout": 0.1}
    # Files of weights fit either.
    assert [w.path for w in model.weights] == [w.path for w in vit.weights]
