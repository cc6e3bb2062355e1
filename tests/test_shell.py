"""Notebooks run in a guest as they do in Jupyter."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest

from autograder.guests import Zygote

Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.fixture
def run(zygote: Zygote) -> Run:
    def run(*sources: str) -> list[dict[str, Any]]:
        with zygote.guest() as guest:
            results = guest.run([{"source": source, "id": f"c{i}"} for i, source in enumerate(sources)])
        cells = [
            nbformat.v4.new_code_cell(source, **nbformat.from_dict(result), id=f"c{i}")
            for i, (source, result) in enumerate(zip(sources, results, strict=True))
        ]
        nbformat.validate(nbformat.v4.new_notebook(cells=cells))
        return results

    return run


def text(result: dict[str, Any], stream: str = "stdout") -> str:
    return "".join(o["text"] for o in result["outputs"] if o.get("name") == stream)


def value(result: dict[str, Any]) -> str | None:
    shown = [o["data"]["text/plain"] for o in result["outputs"] if o["output_type"] == "execute_result"]
    return shown[0] if shown else None


def error(result: dict[str, Any]) -> dict[str, Any]:
    return next(o for o in result["outputs"] if o["output_type"] == "error")


def traceback(result: dict[str, Any]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error(result)["traceback"]))


def kinds(result: dict[str, Any]) -> list[str]:
    return [o.get("name") or o["output_type"] for o in result["outputs"]]


def test_outputs_come_in_the_order_in_which_they_were_made(run):
    (result,) = run(
        "import sys\n"
        "print('one'); print('two')\n"
        "print('three', file=sys.stderr)\n"
        "display('four')\n"
        "print('five')\n"
        "6"
    )
    assert kinds(result) == ["stdout", "stderr", "display_data", "stdout", "execute_result"]
    assert text(result) == "one\ntwo\nfive\n"
    assert value(result) == "6"


def test_execution_counts_and_results_are_numbered_as_in_jupyter(run):
    first, second, third = run("1", "", "_ + Out[1]")
    assert (first["execution_count"], first["outputs"][0]["execution_count"]) == (1, 1)
    assert second["outputs"] == []
    assert (third["execution_count"], value(third)) == (2, "2")


def test_a_semicolon_silences_the_last_value(run):
    assert run("1;")[0]["outputs"] == []


def test_the_namespace_is_fresh_and_is_main(run):
    result, _ = run(
        "names = [n for n in dir() if not n.startswith('_')]\n"
        "import sys\n(__name__, sys.modules['__main__'].names == names, names)",
        "left = 1",
    )
    assert value(result) == "('__main__', True, ['In', 'Out', 'exit', 'get_ipython', 'open', 'quit'])"
    assert value(run("'left' in globals()")[0]) == "False"


def test_an_error_is_reported_with_jupyters_traceback_and_the_notebook_goes_on(run):
    first, second, third = run("def f(x):\n    return 1 / x", "y = 1\nf(0)", "y")
    assert first["outputs"] == []
    assert (error(second)["ename"], error(second)["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert "Cell In[2], line 2" in traceback(second)
    assert "Cell In[1], line 2, in f(x)" in traceback(second)
    assert "----> 2     return 1 / x" in traceback(second)
    assert "autograder" not in traceback(second)
    assert value(third) == "1"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def f(:", "SyntaxError"),
        ("if True:\nx = 1", "IndentationError"),
        ("return 1", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("exit()", "SystemExit"),
        ("quit", "SystemExit"),
        ("raise SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise BaseException('x')", "BaseException"),
        ("raise ExceptionGroup('two', [ValueError(1), TypeError(2)])", "ExceptionGroup"),
        ("%nothing_of_that_name", "UsageError"),
        ("async def f():\n    raise ValueError\nawait f()", "ValueError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class E(Exception):\n    def __str__(self): 1/0\nraise E", "E"),
        ("import asyncio\nasyncio.run(asyncio.sleep(0))", "RuntimeError"),
    ],
)
def test_whatever_is_raised_is_an_error_of_its_cell(run, source, name):
    failed, after = run(source, "'still here'")
    assert error(failed)["ename"] == name
    assert value(after) == "'still here'"


def test_rich_results_are_kept_as_mime_bundles(run):
    html, table, raw = run(
        "from IPython.display import HTML, Markdown\ndisplay(Markdown('**x**'))\nHTML('<b>x</b>')",
        "class R:\n"
        "    def _repr_html_(self): return '<i>r</i>'\n"
        "    def _repr_png_(self): return b'\\x89PNG'\n"
        "    def __repr__(self): return 'R!'\n"
        "R()",
        "display({'application/json': {'a': [1, (2, 3)]}}, raw=True)",
    )
    assert html["outputs"][0]["data"]["text/markdown"] == "**x**"
    assert html["outputs"][1]["data"]["text/html"] == "<b>x</b>"
    data = table["outputs"][0]["data"]
    assert (data["text/html"], data["text/plain"]) == ("<i>r</i>", "R!")
    assert base64.b64decode(data["image/png"]) == b"\x89PNG"
    assert raw["outputs"][0]["data"]["application/json"] == {"a": [1, [2, 3]]}


def test_what_should_be_text_and_is_not_becomes_text(run):
    data = {
        "text/plain": ["a\n", "b"],
        "image/svg+xml": 5,
        "x/y": {"a": None},
        "application/a+json": [1, "b"],
    }
    (result,) = run(f"display({data}, raw=True)")
    expected = {**data, "text/plain": "a\nb", "image/svg+xml": "5", "x/y": "{'a': None}"}
    assert result["outputs"][0]["data"] == expected


def test_plots_are_shown_inline_at_show_and_at_the_end_of_the_cell(run):
    first, second, third = run(
        "%matplotlib inline\nimport matplotlib.pyplot as plt",
        "plt.plot([1, 2]); plt.show(); print('between'); fig, ax = plt.subplots(); ax.plot([2, 1]);",
        "plt.get_fignums(), plt.get_backend()",
    )
    assert first["outputs"] == []
    assert kinds(second) == ["display_data", "stdout", "display_data"]
    for output in second["outputs"][::2]:
        assert base64.b64decode(output["data"]["image/png"]).startswith(b"\x89PNG\r\n")
        assert output["data"]["text/plain"].startswith("<Figure size 640x480")
    assert value(third) in ("([], 'inline')", "([], 'module://matplotlib_inline.backend_inline')")


@pytest.mark.parametrize("backend", ["", "qt", "widget", "notebook", "agg"])
def test_other_plot_backends_are_answered_by_the_inline_one(run, backend):
    (result,) = run(f"%matplotlib {backend}\nimport matplotlib.pyplot as plt\nplt.plot([1]);")
    assert kinds(result)[-1] == "display_data"


def test_magics_work(run):
    timed, captured, shown, written = run(
        "%time x = 1 + 1",
        "%%capture out\nprint('hidden')\ndisplay('hidden too')\n3",
        "print(x, out.stdout.strip(), len(out.outputs))",
        "%%writefile helper.py\nname = 'helper'",
    )
    assert "CPU times" in text(timed)
    assert captured["outputs"] == []
    assert text(shown) == "2 hidden 2\n"
    assert "Writing helper.py" in text(written)


def test_a_file_of_the_notebook_can_be_imported_but_takes_no_librarys_place(run):
    *_, result = run(
        "%%writefile helper.py\nname = 'helper'",
        "%%writefile torchgen.py\nraise AssertionError",
        "import helper, torchgen, os\nhelper.name, os.path.dirname(helper.__file__) == os.getcwd()",
    )
    assert value(result) == "('helper', True)"


def test_top_level_await_and_tasks_live_from_cell_to_cell(run):
    started, waited = run(
        "import asyncio\n"
        "async def f():\n    await asyncio.sleep(0.001)\n    return 7\n"
        "task = asyncio.create_task(f())",
        "await task, await f()",
    )
    assert started["outputs"] == []
    assert value(waited) == "(7, 7)"


@pytest.mark.parametrize(
    "source",
    [
        "!ls",
        "!pip install einops",
        "%pip install einops",
        "%conda install einops",
        "get_ipython().system('ls')",
        "%sx ls",
        "!!ls",
        "files = !ls",
        "%%bash\nls",
        "%%sh\nls",
        "%%script bash\nls",
        "%%python3\nprint(1)",
        "%system ls",
    ],
)
def test_other_programs_are_refused_in_the_cells_output(run, source):
    (result,) = run(source)
    assert error(result)["ename"] == "Refused"
    assert "other programs" in error(result)["evalue"]
    assert kinds(result) == ["error"]


def test_a_cell_goes_on_after_a_refused_command_as_after_a_failing_one(run):
    (result,) = run("!pip install -q torch\n%pip install torch\nimport torch\nx = 1\nx, _exit_code")
    assert kinds(result) == ["error", "error", "execute_result"]
    assert value(result) == "(1, 126)"


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("input('name? ')", "keyboard"),
        ("import getpass; getpass.getpass()", "keyboard"),
        ("import torch\n@torch.compile\ndef f(x): return x", "compiler"),
        ("import torch\ntorch.compile(torch.nn.Linear(1, 1))", "compiler"),
        ("import torch\ntorch.nn.Linear(1, 1).compile()", "compiler"),
        (
            "import torch\nfrom torch.utils.data import DataLoader\n"
            "for batch in DataLoader(list(range(4)), num_workers=2): pass",
            "num_workers=0",
        ),
    ],
)
def test_what_cannot_work_here_is_refused_plainly(run, source, word):
    (result,) = run(source)
    assert error(result)["ename"] == "Refused"
    assert word in error(result)["evalue"]


def test_a_data_loader_without_workers_works(run):
    (result,) = run(
        "from torch.utils.data import DataLoader\n"
        "[b.tolist() for b in DataLoader(list(range(4)), batch_size=2)]"
    )
    assert value(result) == "[[0, 1], [2, 3]]"


def test_displays_can_be_updated_in_their_own_and_in_later_cells(run):
    first, second, third = run(
        "h = display('old', display_id='h')\nprint('x')\nh.update('new')",
        "h.update('newer')\ndisplay('second', display_id='h');",
        "from IPython.display import update_display\nupdate_display('z', display_id='h')\nh.update('last')",
    )
    assert [o.get("data", {}).get("text/plain") for o in first["outputs"]] == ["'last'", None]
    assert [o["data"]["text/plain"] for o in second["outputs"]] == ["'last'"]
    assert third["outputs"] == []


def test_clear_output_clears_at_once_or_when_the_next_output_comes(run):
    at_once, later, never = run(
        "from IPython.display import clear_output\nprint(1)\nclear_output()\nprint(2)",
        "for i in range(5):\n    print(i)\n    clear_output(wait=True)\nprint('end')",
        "print(1)\nclear_output(wait=True)",
    )
    assert (text(at_once), text(later), text(never)) == ("2\n", "end\n", "1\n")


def test_text_is_cut_at_a_mebibyte_and_says_so(run):
    flood, small = run("for _ in range(3): print('x' * 1_000_000)\n'result'", "print('fine')")
    assert len(text(flood)) < 1_100_000
    assert re.search(r"\[\d+ characters of output were cut here\]", text(flood)[-100:])
    assert text(small) == "fine\n"


def test_images_and_outputs_are_cut_too(run):
    image, many = run(
        "from IPython.display import Image\n"
        "for _ in range(5): display(Image(b'x' * 2_000_000, format='png'))",
        "for i in range(3000): display(i)",
    )
    assert sum(len(o.get("data", {}).get("image/png", "")) for o in image["outputs"]) <= 8 << 20
    assert "characters of output were cut" in text(image)
    assert len(many["outputs"]) <= 1001


def test_a_whole_notebook_of_floods_stays_bounded(run):
    results = run(
        *["from IPython.display import Image\nfor _ in range(9): display(Image(b'x' * 600_000))"] * 9
    )
    assert sum(len(str(r)) for r in results) < 34 << 20


def test_text_that_is_no_unicode_is_repaired(run):
    (result,) = run("print('a\\ud800b')\nraise ValueError('\\ud800')")
    assert text(result) == "a?b\n"
    assert error(result)["evalue"] == "?"


def test_random_numbers_are_the_same_in_every_guest(run):
    source = "import random, numpy, torch\nrandom.random(), numpy.random.rand(), torch.rand(1), hash('a')"
    first, second = run(source)[0], run(source)[0]
    assert value(first) == value(second)


def test_help_and_logging_work(run):
    helped, logged = run("len?", "import logging\nlogging.warning('careful')")
    assert helped["outputs"] == []
    assert "careful" in text(logged, "stderr")


def test_functions_keep_their_source(run):
    *_, result = run("def f(x):\n    return x + 1", "import inspect\nprint(inspect.getsource(f))")
    assert "return x + 1" in text(result)


@pytest.mark.parametrize(
    "sabotage",
    [
        "get_ipython().showtraceback = lambda *a, **k: None",
        "get_ipython()._showtraceback = None",
        "import ast\nclass T(ast.NodeTransformer):\n    def visit(self, n): 1/0\n"
        "get_ipython().ast_transformers.append(T())",
        "get_ipython().display_formatter.format = None",
        "get_ipython().events.register('post_run_cell', lambda r: 1/0)",
        "import sys\nsys.stdout = sys.stderr = None",
        "import builtins\nbuiltins.print = None",
        "get_ipython()._loop.close()",
        "import asyncio, sys\nsys.modules['asyncio'] = None",
    ],
)
def test_a_sabotaged_shell_still_answers(run, sabotage):
    _, failed, fine = run(sabotage, "1/0", "x = 1")
    assert error(failed)["ename"] in ("ZeroDivisionError", "TypeError")
    assert fine["execution_count"] == 3


def test_checks_know_that_they_are_in_a_guest(run):
    (result,) = run("from autograder import load_checks\ncheck = load_checks('week07_vae')\ncheck(print)")
    assert "judge" in text(result)


def test_what_lies_beside_the_package_cannot_be_imported(run):
    (result,) = run("import reference_impl")
    assert error(result)["ename"] == "ModuleNotFoundError"
