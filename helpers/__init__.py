"""The study's code: rooms by subject, each of which imports only those before it.

`data`, `models`, `experiments`, `records`, `results`, `training`, `explain` and `bench`; their
docstrings say what belongs there.  `commands` is what the command line, `__main__`, shares between
its commands.  Below them all lie `streams` (standard streams that are closed or broken), `config`
(where things are), `files` (read with care, written whole) and `backend` (Keras).

Importing it makes imports and streams safe, chooses Keras's backend and oneDNN, and says whose
`helpers` this is.  Of a command it also has an interrupt end the imports without a traceback.
PyTorch's compiler, triton, aborts the process if TensorFlow was loaded before it: both carry LLVM
and register the same command-line options.  Loaded first, triton gets along with TensorFlow in
every later order, so it is loaded here, where it is installed.

oneDNN is a library of convolutions and matrix products that TensorFlow brings, and uses by itself
on newer processors only; with AVX2 alone, too, it trains ResNet-20 twice as fast.
"""

import importlib.util
import os
import signal
import sys

from helpers import config, streams

streams.open_closed()
# `commands.stopping` takes over where a command begins.
if config.is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
config.say_whose()

if not os.environ.get("KERAS_BACKEND"):  # empty is unset
    os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if "triton" not in sys.modules and importlib.util.find_spec("triton"):
    if "tensorflow" in sys.modules:
        raise ImportError(
            "tensorflow was imported before helpers, and PyTorch would now abort the process: "
            "restart Python (in Jupyter: Kernel > Restart) and import helpers first"
        )
    import triton  # noqa: F401
