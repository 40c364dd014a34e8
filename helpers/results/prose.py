"""Numbers in prose that say where they come from, and are checked.

Plain Markdown with the number in it, and behind it an HTML comment, which GitHub and JupyterLab
do not show:

    ResNet-20 reaches **86.5 %**<!-- = accuracy("cifar10/resnet20/short") -->.

The comment's expression is made of the words of `helpers.results.facts` and of `abs`, `min`, `max`
and `round`.  The number keeps the decimals, the sign and the unit that it is written with.  A
sentence whose words depend on numbers has its condition in a comment of its own:

    It beats the ViT.<!-- if accuracy("cifar10/resnet20/short") > accuracy("cifar10/vit/short") -->
"""

import json
import re
from pathlib import Path

from helpers import config
from helpers.results import facts

# A number, what may follow it inside the same words (a unit, the end of an emphasis), the comment.
CITED = re.compile(
    r"(?P<number>[+\-\u2212]?\d[\d,]*(?:\.\d+)?)(?P<unit>(?:M|k| %| points| PFLOP| minutes)?\**)"
    r"<!-- = (?P<expression>.+?) -->",
    re.DOTALL,
)
COMMENT = re.compile(r"<!-- = (.+?) -->", re.DOTALL)
CONDITION = re.compile(r"<!-- if (?P<condition>.+?) -->", re.DOTALL)
MINUS = "\u2212"  # the typographic one
WORDS = facts.NAMES | {"abs": abs, "min": min, "max": max, "round": round}


def documents() -> list[Path]:
    """README and notebooks: all that has prose."""
    return [config.ROOT / "README.md", *sorted((config.ROOT / "notebooks").glob("*.ipynb"))]


def update(path: Path) -> bool:
    """Bring the numbers of a document up to date; True if that changed it.

    Raises:
        ValueError: a condition no longer holds, or an expression cannot be computed; the text
            names the document and all that is wrong with it.
    """
    text = path.read_text(encoding="utf-8")
    fresh = refreshed(path, text)
    if fresh != text:
        path.write_text(fresh, encoding="utf-8", newline="\n")
    return fresh != text


def refreshed(path: Path, text: str) -> str:
    """The text of a document, Markdown or a notebook's JSON, with its numbers as they are now."""
    faults = []
    if path.suffix == ".ipynb":
        notebook = json.loads(text)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                prose = _refresh("".join(cell["source"]), faults)
                cell["source"] = prose.splitlines(keepends=True)
        fresh = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    else:
        fresh = _refresh(text, faults)
    if faults:
        raise ValueError(f"{path.name}: " + "; ".join(faults))
    return fresh


def written(value: float, number: str) -> str:
    """A value with the decimals, the sign and the separators of a number as it was written."""
    decimals = len(number.partition(".")[2])
    sign = "+" if number[0] == "+" or (number[0] == MINUS and value >= 0) else ""
    text = f"{float(value):{sign}{',' if ',' in number else ''}.{decimals}f}"
    if not float(text.replace(",", "")):
        text = text.replace("-", "")
    return text.replace("-", MINUS)


def _refresh(prose, faults):
    def replace(match):
        try:
            value = _evaluate(match["expression"])
        except Exception as error:
            faults.append(f"`{match['expression']}` cannot be computed ({error})")
            return match[0]
        number = written(value, match["number"])
        return f"{number}{match['unit']}<!-- = {match['expression']} -->"

    for comment in COMMENT.findall(CITED.sub("", prose)):
        faults.append(f"no number stands before `{comment}`")
    for match in CONDITION.finditer(prose):
        try:
            holds = bool(_evaluate(match["condition"]))
        except Exception as error:
            faults.append(f"`{match['condition']}` cannot be computed ({error})")
            continue
        if not holds:
            faults.append(f"no longer true, rewrite the sentence before it: {match['condition']}")
    return CITED.sub(replace, prose)


def _evaluate(expression):
    # The documents are the study's own, as much as its code is; this only keeps words few.
    # Words are globals, so that a comprehension finds them, too.
    return eval(" ".join(expression.split()), {"__builtins__": {}} | WORDS)
