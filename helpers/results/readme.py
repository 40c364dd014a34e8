"""The README's table, written from the recorded runs; its other numbers are `prose`."""

import pandas as pd

from helpers import config
from helpers.records import runs
from helpers.results import plots, tables

README = config.ROOT / "README.md"
BEGIN, END = "<!-- table: python -m helpers prose -->", "<!-- end of table -->"

# One recipe for five families, the same 30 epochs; and what the fast recipe makes of a CNN.
SHOWN = (
    "cifar10/fast_cnn/fast_11",
    "cifar10/resnet20/short",
    "cifar10/cct/short",
    "cifar10/hybrid_token/short",
    "cifar10/vit/short",
    "cifar10/cnn_baseline/short",
)


def update() -> bool:
    """Write the table between the README's markers; True if that changed it.

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
        raise ValueError(f"README.md needs the lines {BEGIN!r} and {END!r} around its table")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables.markdown(results())}\n{END}{rest.split(END)[1]}"


def results() -> pd.DataFrame:
    """A row a model, test accuracy as mean and standard deviation over its seeds, each shown."""
    rows = {}
    for name in SHOWN:
        found = runs.recorded(name)
        info = found[0].info
        percent = pd.Series([100 * run.info["test"]["accuracy"] for run in found])
        rows[plots.label(info["model"])] = {
            "recipe": info["recipe"],
            "parameters": f"{info['parameters'] / 1e6:.2f}M",
            "epochs": info["epochs_run"],
            "test accuracy": f"{percent.mean():.1f} ± {percent.std():.1f} %",
            "each seed": ", ".join(f"{value:.1f}" for value in percent),
        }
    return pd.DataFrame(rows).T.rename_axis("model")
