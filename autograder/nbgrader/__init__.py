"""nbgrader with this package's judge and guests, in three lines of nbgrader_config.py:

c = get_config()
from autograder.nbgrader import configure
configure(c)
"""

from __future__ import annotations

from typing import Any


def configure(config: Any) -> None:
    """Have `nbgrader autograde` run notebooks in guests, restore what students did to graded cells, and find
    renamed notebooks. What else the lists of preprocessors hold stays as it is.

    Args:
        config: nbgrader's configuration, from `get_config()`.
    """
    from nbgrader.converters import Autograde
    from nbgrader.preprocessors import DeduplicateIds, Execute, OverwriteCells

    from autograder.nbgrader.execute import GuestExecute
    from autograder.nbgrader.renamed import adopt_renamed
    from autograder.nbgrader.restore import RestoreCells

    instead: dict[Any, list[Any]] = {
        Execute: [GuestExecute],
        OverwriteCells: [RestoreCells],
        DeduplicateIds: [],  # RestoreCells knows better which copy counts
    }
    for name in ("sanitize_preprocessors", "autograde_preprocessors"):
        given = config.Autograde[name] if name in config.Autograde else getattr(Autograde(), name)
        config.Autograde[name] = [new for old in given for new in instead.get(old, [old])]
    if "pre_convert_hook" not in config.Autograde:
        config.Autograde.pre_convert_hook = adopt_renamed
