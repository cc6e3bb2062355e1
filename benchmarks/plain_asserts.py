"""A week for stock nbgrader and for Otter: asserts of what our checks ask, on the same examples."""

from __future__ import annotations

import inspect
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from nbformat import NotebookNode

from autograder.calls import LocalSession
from autograder.judge import Bench


def with_plain_asserts(ready: Bench, notebook: NotebookNode, folder: Path) -> NotebookNode:
    """The notebook with check cells that compare recorded calls, which are written to `folder`."""
    notebook = without_our_checks(notebook)
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
    setup.source += "\nfrom typing import Any\n\n\n" + inspect.getsource(expect_recorded)
    for cell in notebook.cells:
        exercise = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("check_")
        if not cell.source and exercise in ready.functions:
            torch.save(recorded(ready, exercise), folder / exercise)
            cell.source = f"expect_recorded({exercise}, {str(folder / exercise)!r})"
    return notebook


_OTTER = """from typing import Any

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = {exercise!r}
points = 1


{source}

@test_case()
def test_it(env):
    expect_recorded(env[{exercise!r}], {path!r})
"""


def for_otter(ready: Bench, folder: Path) -> Path:
    """The same checks as tests of Otter, one per exercise: the folder of their files."""
    (folder / "tests").mkdir()
    for exercise in ready.functions:
        torch.save(recorded(ready, exercise), folder / exercise)
        source = inspect.getsource(expect_recorded)
        test = _OTTER.format(exercise=exercise, source=source, path=str(folder / exercise))
        (folder / "tests" / f"{exercise}.py").write_text(test)
    return folder / "tests"


def expect_recorded(function: Any, path: str) -> None:
    """Part of nbgrader's notebook: call the function as recorded, and assert the recorded answers."""

    def leaves(value):
        value = list(value.values()) if isinstance(value, dict) else value
        return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list | tuple) else [value]

    def expect(got, right):
        for g, r in zip(leaves(got), leaves(right), strict=True):
            assert torch.allclose(g, r, equal_nan=True) if isinstance(g, torch.Tensor) else g == r

    objects = {}
    for request, reply in torch.load(path, weights_only=False):
        args = [a.build() if hasattr(a, "build") else a for a in request.get("args", ())]
        owner = objects.get(request.get("handle"))
        if request["op"] == "new":
            objects[request["handle"]] = function(*args)
            continue
        if request["op"] == "load":
            owner.to(next(iter(request["state"].values())).dtype).load_state_dict(request["state"])
            continue
        call = function if owner is None else getattr(owner, request["name"] or "__call__")
        if "error" in reply:
            try:
                call(*args)
            except Exception as error:
                assert type(error).__name__ == reply["error"]["type"]
                continue
            raise AssertionError(f"no {reply['error']['type']}")
        inputs = [v.requires_grad_() for i in request.get("wrt", ()) for v in leaves(args[i])]
        inputs += owner.parameters() if request.get("parameters") else []
        value = call(*args)
        expect(value, reply["value"])
        if inputs:
            floating = [v for v in leaves(value) if isinstance(v, torch.Tensor) and v.is_floating_point()]
            outputs = zip(floating, request["cotangents"], strict=True)
            attached, cotangents = zip(*((v, c) for v, c in outputs if v.requires_grad), strict=True)
            got = torch.autograd.grad(attached, inputs, cotangents, allow_unused=True)
            expect(got, [*reply["gradients"], *reply.get("parameter_gradients", {}).values()])


def recorded(ready: Bench, exercise: str) -> list[tuple[Any, Any]]:
    """The calls that the checks of an exercise make on all examples, with the reference's answers."""
    checks = ready.week.checks_of(exercise)
    trials = [(check, trial) for check in checks for trial in ready.material(check).judged]
    session = LocalSession(ready.week.references)
    return [call for check, trial in trials for call in ready.job(check, trial)(session).log]


def without_our_checks(notebook: NotebookNode) -> NotebookNode:
    """The notebook as it would be without this package."""
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        lines = [line for line in cell.source.splitlines() if "load_checks" not in line]
        cell.source = "" if cell.metadata.get("nbgrader", {}).get("points") else "\n".join(lines)
    return notebook
