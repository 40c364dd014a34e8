"""What both `conftest.py` share: a checkout tests itself, each notebook in one process."""

import os

import pytest

from helpers import config

# For the processes that tests start, and the notebooks' kernels: without it they would find the
# `helpers` that is installed in the environment, which may be another checkout's.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(config.ROOT), os.environ.get("PYTHONPATH")])
)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    """`pytest -n 2` runs all cells of a notebook, and all tests of a file, in one process."""
    from xdist.scheduler import LoadScopeScheduling

    return LoadScopeScheduling(config, log) if config.getvalue("dist") == "load" else None
