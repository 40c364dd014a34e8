"""What several test files share."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from checkout import pytest_xdist_make_scheduler  # noqa: F401
from PIL import Image

from helpers import config, data  # first of all, so that the order of later imports is safe


@pytest.fixture(scope="session")
def sample():
    return data.load_sample()


@pytest.fixture
def photograph(tmp_path, sample):
    """A picture of 96 x 64 pixels, its square middle a test image of the sample, enlarged."""
    image = Image.fromarray(sample.x_test[0]).resize((64, 64), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (96, 64), (255, 0, 0))
    canvas.paste(image, (16, 0))
    path = tmp_path / "mine.png"
    canvas.save(path)
    return path


@pytest.fixture(scope="session")
def whole_cifar10():
    return _whole("cifar10")


@pytest.fixture(scope="session")
def whole_cifar100():
    return _whole("cifar100")


def _whole(name):
    """All of a data set, where it is at hand: never fetched for a test."""
    path = config.cifar_home() / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} in CIFAR_HOME")
    return data.load(name)


@pytest.fixture
def no_network(monkeypatch):
    """Every download fails as it does without network."""

    def unreachable(*arguments, **settings):
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)


@pytest.fixture(scope="session")
def recorded_root(tmp_path_factory):
    """A folder of recorded runs with one run of the tiny experiment."""
    import tiny  # loads the backend, which takes seconds that other tests need not wait

    from helpers import training

    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        tiny.use(patch, root)
        training.train(tiny.EXPERIMENT, 0)
    return root


@pytest.fixture
def study(monkeypatch, recorded_root):
    """The tiny study, one run of which is recorded; gives the folder of the runs."""
    import tiny

    tiny.use(monkeypatch, recorded_root)
    return recorded_root


@pytest.fixture
def empty_study(monkeypatch, tmp_path):
    """The tiny study before any run."""
    import tiny

    tiny.use(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def fresh_python():
    """A function that runs code in a new process, in this folder, and gives what it printed.

    Keyword arguments are environment variables; None takes one away.
    """

    def run(code: str, *arguments, check: bool = True, **environment):
        merged = {k: v for k, v in (os.environ | environment).items() if v is not None}
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            env=merged,
            timeout=600,
        )
        if check:
            assert result.returncode == 0, result.stderr
        return result

    return run
