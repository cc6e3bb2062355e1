"""A pytest plugin: nbgrader's own tests with our preprocessors as if they were its defaults.

python -m pytest -p tests.nbgrader_suite.as_default --pyargs nbgrader.tests.apps.test_nbgrader_autograde
"""

from __future__ import annotations

import pytest
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from nbgrader.validator import Validator
from traitlets.config import Config

from autograder.nbgrader import configure
from autograder.nbgrader.execute import GuestExecute
from tests.nbgrader_suite.differences import DIFFERENCES


def pytest_configure(config: pytest.Config) -> None:
    """Make ours nbgrader's defaults."""
    ours = Config()
    configure(ours)
    traits = Autograde.class_traits()
    for name in ("sanitize_preprocessors", "autograde_preprocessors"):
        traits[name].default_args = (list(ours.Autograde[name]),)
    traits["pre_convert_hook"].default_value = ours.Autograde.pre_convert_hook
    stock = Validator.class_traits()["preprocessors"]
    stock.default_args = ([GuestExecute if p is Execute else p for p in Validator().preprocessors],)
    assert Autograde().autograde_preprocessors[0] is GuestExecute
    assert GuestExecute in Validator().preprocessors


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where we differ on purpose, the test must fail, and the reason is shown."""
    for item in items:
        name = item.nodeid.split("::")[-1].split("[")[0]
        if name in DIFFERENCES:
            item.add_marker(pytest.mark.xfail(reason=DIFFERENCES[name], strict=True))
