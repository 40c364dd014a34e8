"""The ledger: every claim of the three earlier projects, and what the evidence says of it.

Each verdict follows from a condition on recorded runs, on the answers to the listed questions or
on the claimed figures themselves, so that it changes with them. Where it is "cannot be told", what
would tell is missing: a run, a control, or the project's own code or figures.

Claims are quoted from the projects' texts; where their code does something else, the evidence says
so. Differences are in points, second minus first, paired by seed with their 95 % interval; those
that are no listed question are exploration, and need three seeds.
"""

from pathlib import Path

import pandas as pd

from helpers.results.ledger import project_a, project_b, project_c
from helpers.results.ledger.judging import FAILS, HOLDS, PART, UNKNOWN, Evidence, span

PROJECTS = {
    "A. ResNet-18 against a ViT": project_a.CLAIMS,
    "B. Dual-branch hybrid": project_b.CLAIMS,
    "C. CNN-token hybrid": project_c.CLAIMS,
}

__all__ = ["FAILS", "HOLDS", "PART", "PROJECTS", "UNKNOWN", "table"]


def table(root: Path | None = None) -> pd.DataFrame:
    """A row a claim: `claim`, `verdict`, `evidence`, `basis` and `seeds`, by `project`.

    The verdict is one of `HOLDS`, `PART`, `FAILS` and `UNKNOWN`; `basis` says what it rests on
    (`judging.Judgement`), `seeds` on which runs ("none": on no training of ours).
    """
    known = Evidence(root)
    rows = []
    for project, claims in PROJECTS.items():
        for claim, judge in claims:
            judgement = judge(known)
            row = {"project": project, "claim": claim, **judgement._asdict()}
            rows.append(row | {"seeds": span(judgement.seeds)})
    return pd.DataFrame(rows).set_index("project")
