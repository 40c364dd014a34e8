"""Whose weights a table was computed from: a file of digests beside it.

`faithfulness.weights.json` beside `faithfulness.csv` holds the SHA-256 of the weights of each run
that the table was computed from, by `<data>/<model>/<recipe>/seed<k>`.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from helpers import config
from helpers.records import contents, runs


def sources(chosen: Iterable[runs.Run]) -> dict[str, str]:
    """The SHA-256 of each run's weights, by the run's name and seed, in the order of these.

    Raises:
        FileNotFoundError: a run keeps no weights.
        ValueError: they are damaged.
    """
    return {
        f"{run.name}/seed{run.seed}": run.info["files"][run.require_weights().name]
        for run in sorted(chosen, key=lambda run: (run.name, run.seed))
    }


def write_sources(table: Path, chosen: Iterable[runs.Run]) -> None:
    """Say beside a table whose weights it was computed from."""
    text = json.dumps(sources(chosen), indent=2) + "\n"
    _beside(table).write_text(text, encoding="utf-8", newline="\n")


def stale(table: Path, root: Path | None = None) -> list[str]:
    """Why a table does not tell of the runs that are recorded: a line for each such run.

    Args:
        table: with its digests beside it.
        root: of all runs (default: `figures/runs`).

    Raises:
        ValueError: the file of digests is damaged.
        FileNotFoundError: there is none.
    """
    path = _beside(table)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: compute {table.name} anew")
    reasons = []
    for place, digest in contents.mapping(path, {}, f"compute {table.name} anew").items():
        folder = (root or config.RUNS) / place
        if not folder.exists():
            reasons.append(f"{place} is no longer recorded")
        elif runs.Run(folder).info["files"].get(runs.WEIGHTS) != digest:
            reasons.append(f"{place} has other weights than those that {table.name} tells of")
    return reasons


def _beside(table):
    return table.with_suffix(".weights.json")
