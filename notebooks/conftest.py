"""What nbval leaves out of its comparisons: the same table is laid out anew by each pandas."""

from checkout import pytest_xdist_make_scheduler  # noqa: F401
from nbval.plugin import IPyNbFile


def pytest_collectstart(collector):
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += ("text/html", "stderr")
