"""What notebooks show besides figures: sentences with computed numbers, and source code."""

import inspect
from collections.abc import Callable

from IPython.display import Markdown


def say(*lines: str) -> Markdown:
    """Lines of Markdown, so that numbers in a sentence come from the runs and never grow old."""
    return Markdown("\n".join(lines))


def source(*functions: Callable) -> Markdown:
    """The code of functions of `helpers`, as it is, highlighted."""
    code = "\n\n".join(inspect.getsource(function).rstrip() for function in functions)
    return Markdown(f"```python\n{code}\n```")
