"""The README's table, from the recorded runs, and its badges; its other numbers are `prose`."""

from urllib.parse import quote

import pandas as pd

from helpers import config
from helpers.records import runs
from helpers.results import plots, tables

README = config.ROOT / "README.md"
BEGIN, END = "<!-- table: python -m helpers prose -->", "<!-- end of table -->"
BADGES, END_BADGES = "<!-- badges: python -m helpers prose -->", "<!-- end of badges -->"

# OWNER/NAME on GitHub, once there is one: badges and links to run the notebooks then appear.
REPOSITORY = ""

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
    """Write table and badges between the README's markers; True if that changed it.

    Raises:
        ValueError: the README lacks the markers.
    """
    text = README.read_text(encoding="utf-8")
    fresh = with_results(text)
    README.write_text(fresh, encoding="utf-8", newline="\n")
    return fresh != text


def with_results(text: str) -> str:
    """A text with what stands between its markers replaced by what the recorded runs say.

    Raises:
        ValueError: it lacks some of the markers.
    """
    text = _between(text, BADGES, END_BADGES, badges(REPOSITORY))
    return _between(text, BEGIN, END, tables.markdown(results()))


def badges(repository: str) -> str:
    """Markdown: whether the tests pass, and the notebooks on Colab and Binder; "" without a name.

    Args:
        repository: OWNER/NAME on GitHub.
    """
    if not repository:
        return ""
    workflow = f"https://github.com/{repository}/actions/workflows/test.yml"
    notebook = "notebooks/07_comparison.ipynb"
    links = {
        "tests": (f"{workflow}/badge.svg", workflow),
        "open in Colab": (
            "https://colab.research.google.com/assets/colab-badge.svg",
            f"https://colab.research.google.com/github/{repository}/blob/main/{notebook}",
        ),
        "launch Binder": (
            "https://mybinder.org/badge_logo.svg",
            f"https://mybinder.org/v2/gh/{repository}/main?labpath={quote(notebook, safe='')}",
        ),
    }
    return "\n".join(f"[![{text}]({image})]({link})" for text, (image, link) in links.items())


def _between(text, begin, end, content):
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"README.md needs the lines {begin!r} and {end!r}, in this order")
    content = f"\n{content.strip()}\n" if content else ""
    return f"{before}{begin}\n{content}\n{end}{after}"


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
