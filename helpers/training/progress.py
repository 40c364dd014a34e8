"""One line that says how training goes: in a terminal, in a notebook, in a log."""

import os
import shutil
import sys

from tqdm import tqdm

from helpers.backend import keras


class Progress(keras.callbacks.Callback):
    """A bar in a terminal, one line that stays in a notebook, a line an epoch anywhere else."""

    def __init__(self, title: str, epochs: int):
        super().__init__()
        self.title, self.epochs = title, epochs
        self.done = 0

    def on_train_begin(self, logs=None):
        self.bar = None
        if _in_notebook():
            layout = "{desc} {bar:16} {n_fmt}/{total_fmt} epochs [{elapsed}{postfix}]"
            self.bar = self._bar(layout, file=_NotebookLine())
        elif _in_terminal():
            # A line that wraps could not be replaced by the next one: the title has its own.
            print(self.title)
            self.bar = self._bar(_layout(), file=sys.stdout, dynamic_ncols=True)

    def _bar(self, layout, **settings):
        return tqdm(
            desc=self.title,
            total=self.epochs,
            initial=self.done,
            unit="epoch",
            bar_format=layout,
            **settings,
        )

    def on_epoch_end(self, epoch, logs=None):
        self.done = epoch + 1
        scores = {key: f"{logs[key]:.3f}" for key in ("val_accuracy", "accuracy", "loss")}
        if self.bar is None:
            text = " ".join(f"{key} {value}" for key, value in scores.items())
            print(f"{self.title}: epoch {self.done}/{self.epochs} {text}", flush=True)
        else:
            self.bar.set_postfix(scores, refresh=False)
            self.bar.update()

    def on_train_end(self, logs=None):
        if self.bar is not None:
            self.bar.close()


class _NotebookLine:
    """A text stream for tqdm that replaces one line of output instead of using a widget."""

    def __init__(self):
        from IPython.display import TextDisplayObject, display

        class Line(TextDisplayObject):
            def _repr_pretty_(self, printer, cycle):
                printer.text(self.data)

        self._line = Line
        self._handle = display(Line(" "), display_id=True)

    def write(self, text):
        text = text.strip("\r\n ")
        if text:
            self._handle.update(self._line(text))

    def flush(self):
        pass


def _layout() -> str:
    """Of a terminal's line: what is cut off where it is narrow comes last."""
    line = "{n_fmt}/{total_fmt} epochs [{elapsed}{postfix}]"
    return "{bar:10} " + line if shutil.get_terminal_size().columns >= 80 else line


def _in_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"  # which can't go back


def _in_notebook() -> bool:
    # Loaded modules say little: pytest's notebook plugin, for one, loads ipykernel.
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
