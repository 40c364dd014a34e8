"""On the path of the nodes that tests start: what trains there trains the tiny study.

Python imports it as it starts.  It waits until `helpers.training` is loaded, which is not before
a run's environment is set.  Each epoch that begins adds a line to the file EPOCHS: its seed, its
number, NODE and the process.  The second one waits while the file WAIT exists.  The tiny data set
is fetched as CIFAR-10 is: ARCHIVE is its official archive.
"""

import importlib.util
import os
import sys


class _Waiting:
    """Finds `helpers.training` as ever, and patches it once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != "helpers.training":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_patch(module):
            load(module)
            _patch()

        spec.loader.exec_module = load_and_patch
        return spec


def _patch():
    import hashlib
    import time
    from dataclasses import replace
    from pathlib import Path

    import pytest
    import tiny

    from helpers import config, data
    from helpers.data import sources, splits
    from helpers.training import resume

    load, dataset = data.load, tiny.dataset()
    tiny.use(pytest.MonkeyPatch(), config.RUNS)
    archive = Path(os.environ["ARCHIVE"])
    data.SOURCES["cifar10"] = replace(
        data.SOURCES["cifar10"],
        url=archive.as_uri(),
        md5=hashlib.md5(archive.read_bytes()).hexdigest(),
        train_files=("train",),
        test_files=("test",),
        sha256=sources._digests({key: getattr(dataset, key) for key in sources.VERIFIED[:4]}),
    )
    data.load = splits.load = load
    begin = resume.Keeper.on_epoch_begin

    def begin_and_say(self, epoch, logs=None):
        begin(self, epoch, logs)
        with open(os.environ["EPOCHS"], "a") as file:
            print(self.batches.seed, epoch + 1, os.environ["NODE"], os.getpid(), file=file)
        while epoch and os.path.exists(os.environ["WAIT"]):
            time.sleep(0.05)

    resume.Keeper.on_epoch_begin = begin_and_say


sys.meta_path.insert(0, _Waiting())
