"""Guests answer calls, and whatever they do, the judge gets an answer, an error or their end."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder import confinement, wire
from autograder.confinement import Level, levels
from autograder.guests import Guest, GuestDied, Limits, Zygote, ZygoteFailed
from autograder.probes import Generator, Probe

QUICK = Limits(cell_cpu=1.0, call_cpu=0.3, notebook_cpu=2.0, wall_factor=3.0)

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


LEVELS = [level for level in levels.candidates() if level.seal == "landlock"] or [Level()]


@pytest.fixture(scope="module", params=LEVELS, ids=lambda level: f"{level.box}-{level.seal}")
def zygote(request: pytest.FixtureRequest) -> Iterator[Zygote]:
    """At each level that can be had here."""
    with Zygote(level=request.param) as zygote:
        yield zygote


@pytest.fixture(scope="module")
def unsealed() -> Iterator[Zygote]:
    """As on a machine that has nothing to confine with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "_why_no_seccomp", lambda: "not here")
        zygote = Zygote(level=Level("none", "none"))
    with zygote:
        yield zygote


@contextlib.contextmanager
def guest(zygote: Zygote, source: str = "", **limits: Any) -> Iterator[Guest]:
    """A guest that has run one cell without an error."""
    with zygote.guest(dataclasses.replace(zygote.limits, **limits)) as guest:
        (result,) = guest.run([{"source": source, "id": "a"}])
        errors = [o for o in result["outputs"] if o["output_type"] == "error"]
        assert not errors, errors
        yield guest


def call(name: str, *args: Any, **more: Any) -> dict[str, Any]:
    return {"op": "call", "name": name, "args": list(args), **more}


def answers(zygote: Zygote) -> bool:
    """A fresh guest of this zygote works."""
    with guest(zygote, "def double(x): return 2 * x") as fresh:
        return fresh.perform([call("double", 21)]) == [{"value": 42}]


# Calls


def test_calls_are_answered_in_order(zygote):
    source = "import torch\ndef double(x): return 2 * x\ndef pair(x): return x, {'n': [x]}"
    with guest(zygote, source) as g:
        replies = g.perform([call("double", torch.arange(3)), call("pair", 1), call("double", "ab")])
        assert torch.equal(replies[0]["value"], torch.tensor([0, 2, 4]))
        assert [r["value"] for r in replies[1:]] == [(1, {"n": [1]}), "abab"]
        assert g.perform([]) == []
        assert g.perform([call("double", 2.5)]) == [{"value": 5.0}]


def test_gradients_objects_and_probes(zygote):
    source = (
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, n):\n        super().__init__(); self.w = nn.Parameter(torch.zeros(n))\n"
        "    def forward(self, x): return (self.w * x).sum()\n"
        "def step(model, x, g): return model(x, torch.zeros(1)) + torch.rand(1, generator=g)"
    )
    x = torch.tensor([1.0, 2.0])
    with guest(zygote, source) as g:
        new, load, method, state = g.perform(
            [
                {"op": "new", "name": "Net", "args": [2], "handle": 1},
                {"op": "load", "handle": 1, "state": {"w": torch.tensor([3.0, 4.0])}},
                {
                    "op": "method",
                    "handle": 1,
                    "name": "",
                    "args": [x],
                    "wrt": [0],
                    "parameters": True,
                    "cotangents": [torch.tensor(1.0)],
                    "after": True,
                },
                {"op": "load", "handle": 1, "state": {}},
            ]
        )
        assert new == {"value": {"w": [2]}}
        assert load == {"value": None}
        assert method["value"] == torch.tensor(11.0)
        assert torch.equal(method["gradients"][0], torch.tensor([3.0, 4.0]))
        assert torch.equal(method["parameter_gradients"]["w"], x)
        assert torch.equal(method["after"][0], x)
        assert state["error"]["kind"] == "state"
        probe = Probe("TimeModel", {"a": 1.0})
        (reply,) = g.perform([call("step", probe, torch.ones(1, 1), Generator(3))])
        noise = torch.rand(1, generator=Generator(3).build())
        expected = probe.build()(torch.ones(1, 1), torch.zeros(1)) + noise
        assert torch.equal(reply["value"], expected)


@pytest.mark.parametrize(
    ("body", "kind", "type", "message"),
    [
        ("return 1 / 0", "raised", "ZeroDivisionError", "division by zero"),
        ("raise SystemExit", "raised", "SystemExit", ""),
        ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt", ""),
        ("raise GeneratorExit('x')", "raised", "GeneratorExit", "x"),
        ("import sys; sys.exit(0)", "raised", "SystemExit", "0"),
        ("f(x)", "raised", "RecursionError", "maximum recursion depth"),
        ("class E(BaseException):\n        def __str__(self): 1/0\n    raise E", "raised", "E", "<no"),
        ("class E(Exception):\n        def __str__(self): 1/0\n    raise E", "raised", "", ""),
        ("raise ValueError('\\ud800')", "raised", "ValueError", "?"),
        ("return {1, 2}", "unsendable", "", "value: a set can't be sent"),
        ("return [0, {'a': {1}}]", "unsendable", "", "value[1]['a']: a set can't be sent"),
        ("return lambda: 0", "unsendable", "", "a function"),
        ("return '\\ud800'", "unsendable", "", "surrogate"),
        ("return type('', (), {'__qualname__': '\\ud800'})()", "unsendable", "", "can't be sent"),
        ("return dict.fromkeys(range(20_000))", "unsendable", "", "so many integers as keys"),
        ("x = []; x.append(x); return x", "raised", "RecursionError", "recursion"),
        ("for _ in range(40): x = [x]\n    return x", "unsendable", "", "nested"),
        ("import torch; return torch.zeros(1).expand(2**40)", "unsendable", "", "too large"),
        ("import torch; return torch.zeros(2**25)", "unsendable", "", "too large"),
        ("class D(dict):\n        def items(self): 1/0\n    return D()", "raised", "ZeroDivisionError", ""),
        ("raise MemoryError", "memory", "MemoryError", ""),
        ("return bytearray(1 << 40)", "memory", "MemoryError", ""),
        ("import torch; return torch.zeros(2**40)", "memory", "RuntimeError", "allocate"),
    ],
)
def test_what_gives_no_value_is_an_error_and_the_next_call_is_answered(zygote, body, kind, type, message):
    with guest(zygote, f"def f(x):\n    {body}\ndef g(x): return x") as g:
        failed, fine = g.perform([call("f", 1), call("g", 1)])
        error = failed["error"]
        assert (error["kind"], error["type"] if type else type) == (kind, type)
        assert message in error["message"]
        assert fine == {"value": 1}


def test_missing_functions_are_said_to_be_missing(zygote):
    with guest(zygote) as g:
        assert g.perform([call("f")])[0]["error"]["kind"] == "missing"


@linux
def test_a_memory_bomb_is_stopped_and_the_guest_lives_on(zygote):
    source = "def bomb():\n    x = []\n    while True: x.append(bytearray(1 << 20))\ndef f(): return 1"
    with guest(zygote, source, memory_bytes=256 << 20, call_cpu=30) as g:
        bombed, fine = g.perform([call("bomb"), call("f")])
        assert bombed["error"]["kind"] == "memory"
        assert fine == {"value": 1}


@linux
def test_a_memory_bomb_in_a_cell_is_an_error_of_that_cell(zygote):
    cells = ["x = []\nwhile True: x.append(bytearray(1 << 20))", "del x", "bytearray(1 << 27)[0]"]
    with zygote.guest(Limits(memory_bytes=512 << 20)) as g:
        bombed, _, fine = g.run([{"source": s, "id": ""} for s in cells])
    assert bombed["outputs"][-1]["ename"] == "MemoryError"
    assert fine["outputs"][-1]["data"] == {"text/plain": "0"}


def test_what_calls_print_and_plot_is_kept_apart(zygote):
    source = (
        "import matplotlib.pyplot as plt, sys\n"
        "def f(n):\n    print('x' * n); print('err', file=sys.stderr); display(1); plt.plot([n]); return n\n"
        "def g(): return plt.get_fignums()"
    )
    with guest(zygote, source) as g:
        replies = g.perform([call("f", 3), call("f", 10**6), call("g")])
    assert replies[0] == {"value": 3, "printed": "xxx\nerr\n"}
    assert len(replies[1]["printed"]) == 10_000
    assert replies[2] == {"value": []}


def test_a_large_request_and_large_replies_do_not_wait_for_each_other(zygote):
    tensor = torch.arange(2_000_000, dtype=torch.float32)
    with guest(zygote, "def f(x): return x + 1") as g:
        replies = g.perform([call("f", tensor)] * 4)
    assert all(torch.equal(r["value"], tensor + 1) for r in replies)


def test_a_request_too_large_for_the_wire_is_the_judges_own_fault(zygote):
    with guest(zygote) as g, pytest.raises(wire.Unsendable):
        g.perform([call("f", torch.zeros(1 << 25))])


# Time


def test_cpu_time_ends_a_call_and_keeps_the_answers_before(zygote):
    source = "def f(x):\n    while x == 2: pass\n    return x"
    with guest(zygote, source, call_cpu=0.3) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f", x) for x in range(4)])
    assert (died.value.kind, died.value.answered) == ("time", [{"value": 0}, {"value": 1}])
    assert died.value.detail == "used more than 0.3 s of CPU time in one call"
    assert 0.3 < g.cpu_seconds < 5
    assert answers(zygote)


def test_a_loop_in_c_is_ended_too(zygote):
    source = "def f(): return sum(range(10**12))"
    with guest(zygote, source, call_cpu=0.3) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")])
    assert died.value.kind == "time"


@pytest.mark.parametrize(
    "body",
    [
        "import time; time.sleep(1000)",
        "import threading; threading.Event().wait()",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    ],
)
def test_waiting_is_ended_by_the_wall_clock(zygote, body):
    source = f"def f(): {body}"
    with guest(zygote, source, call_cpu=0.2, wall_factor=2) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")])
    assert died.value.kind == "time"
    assert died.value.detail == "waited for more than 0.4 s in one call"


def test_signals_do_not_keep_a_guest_from_being_ended(zygote):
    source = (
        "import signal\n"
        "for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(s, signal.SIG_IGN)\n"
        "def f():\n    while True: pass"
    )
    with guest(zygote, source, call_cpu=0.2) as g, pytest.raises(GuestDied):
        g.perform([call("f")])
    assert answers(zygote)


def test_many_short_calls_are_not_added_up(zygote):
    source = (
        "import time\ndef f():\n    t = time.process_time()\n    while time.process_time() - t < 0.1: pass"
    )
    with guest(zygote, source, call_cpu=0.4) as g:
        assert len(g.perform([call("f")] * 8)) == 8


def test_cells_have_a_limit_each_and_the_notebook_one_for_all(zygote):
    busy = "import time\nt = time.process_time()\nwhile time.process_time() - t < {}: pass"
    with zygote.guest(QUICK) as g, pytest.raises(GuestDied) as died:
        g.run([{"source": "1", "id": ""}, {"source": busy.format(100), "id": ""}])
    assert (died.value.kind, len(died.value.answered)) == ("time", 1)
    assert "in one cell" in died.value.detail
    with zygote.guest(QUICK) as g, pytest.raises(GuestDied) as died:
        g.run([{"source": busy.format(0.5), "id": ""}] * 20)
    assert died.value.kind == "time"
    assert 3 <= len(died.value.answered) <= 5
    assert died.value.detail == "took more than 2 s in all cells"


# Death


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        ("import os; os._exit(0)", "exited", "the guest ended itself with exit status 0"),
        ("import os; os._exit(3)", "exited", "the guest ended itself with exit status 3"),
        (
            "import ctypes; ctypes.string_at(0)",
            "crashed",
            "the guest was ended by signal 11 (segmentation fault)",
        ),
        ("import os; os.abort()", "crashed", "the guest was ended by signal 6 (aborted)"),
        ("import os; os.kill(os.getpid(), 9)", "crashed", "the guest was ended by signal 9 (killed)"),
        ("import os; os.close(3)", "protocol", "the guest closed its connection"),
        ("import os; os.closerange(0, 100)", "protocol", "the guest closed its connection"),
    ],
)
def test_how_a_guest_ended_is_told_with_the_answers_before(zygote, body, kind, detail):
    with guest(zygote, f"def f(x):\n    if x == 1:\n        {body}\n    return x") as g:
        with pytest.raises(GuestDied) as died:
            g.perform([call("f", x) for x in range(3)])
        if body.startswith("import os; os.close"):  # the answer to the call itself can't be sent
            assert died.value.kind in ("protocol", "exited")
        else:
            assert died.value.kind == kind
            assert died.value.detail.startswith(detail)
        assert died.value.answered == [{"value": 0}]
        with pytest.raises(RuntimeError):
            g.perform([call("f", 0)])
    assert answers(zygote)


def test_a_guest_that_ends_in_a_cell_keeps_the_cells_before(zygote):
    cells = [{"source": s, "id": ""} for s in ("1", "import os; os._exit(0)", "2")]
    with zygote.guest() as g, pytest.raises(GuestDied) as died:
        g.run(cells)
    assert died.value.kind == "exited"
    assert [c["execution_count"] for c in died.value.answered] == [1]


def test_exit_handlers_and_finalizers_change_nothing(zygote):
    source = (
        "import atexit, os\natexit.register(os._exit, 0)\n"
        "class D:\n    def __del__(self): os._exit(0)\nkeep = D()\ndef f(): return 1"
    )
    with guest(zygote, source) as g:
        assert g.perform([call("f")]) == [{"value": 1}]
    assert answers(zygote)


# Forged and broken frames. The guest's socket is descriptor 3.

WRITE = """
import os, struct, time
from autograder import wire
def send(number, value): os.write(3, wire.frame(number, value))
"""


@pytest.mark.parametrize(
    "attack",
    [
        "os.write(3, b'x' * 100)",  # no frame
        "os.write(3, struct.pack('<QQ', 1 << 60, 2))",  # a frame of an exbibyte
        "send(2, b'?')",  # malformed
        "send(2, wire.encode(None))",  # no reply
        "send(2, wire.encode({}))",
        "send(2, wire.encode({'error': 'x'}))",
        "send(2, wire.encode({'error': {'kind': 'time', 'type': '', 'message': '', 'traceback': ''}}))",
        "send(2, wire.encode({'error': {'kind': 'raised', 'type': 1, 'message': '', 'traceback': ''}}))",
        "send(2, wire.encode({'value': 1, 'printed': 1}))",
        "send(1, wire.encode({'value': 1}))",  # answered before
        "send(3, wire.encode({'value': 1}))",  # too early
        "send(0, wire.encode({'ready': True}))",
        "send(2, b'l' * 100_000)",  # nested
        "send(2, wire.encode({'value': dict.fromkeys(range(20_000))}))",  # and what if they collide
        "send(2, wire.encode({'value': wire.Probe('TimeModel', {})}))",
        "import pickle; send(2, pickle.dumps(1))",
    ],
)
def test_forged_and_broken_frames_end_the_guest(zygote, attack):
    source = WRITE + f"def f():\n    {attack}\n    return 2"
    with guest(zygote, source) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")])
    assert (died.value.kind, died.value.answered) == ("protocol", [])
    assert answers(zygote)


def test_a_frame_too_many_ends_the_guest_by_the_next_question(zygote):
    answer = "wire.encode({'value': 1})"
    source = WRITE + f"def f():\n    send(2, {answer}); send(3, {answer}); time.sleep(9)"
    with guest(zygote, source) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")])  # the second frame may come too late to be seen with the first
        time.sleep(0.3)
        g.perform([call("f")])
    assert (died.value.kind, died.value.answered) == ("protocol", [])
    assert answers(zygote)


def test_frames_before_the_question_end_the_guest(zygote):
    source = (
        WRITE + "import threading\n"
        "def late():\n    time.sleep(0.05); send(3, wire.encode({'value': 'forged'}))\n"
        "def f(): threading.Thread(target=late).start(); return 1"
    )
    with guest(zygote, source) as g:
        assert g.perform([call("f")]) == [{"value": 1}]
        time.sleep(0.3)
        with pytest.raises(GuestDied) as died:
            g.perform([call("f")])
    assert died.value.kind == "protocol"


def test_a_frame_that_never_ends_is_given_up(zygote):
    source = (
        WRITE + "import time\ndef f():\n    os.write(3, struct.pack('<QQ', 1 << 20, 2))\n    time.sleep(1000)"
    )
    with guest(zygote, source, call_cpu=0.1, wall_factor=2) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")])
    assert died.value.kind == "time"


def test_a_frame_that_drips_is_given_up(zygote):
    source = WRITE + (
        "def f():\n    os.write(3, struct.pack('<QQ', 1 << 20, 2))\n"
        "    while True: os.write(3, b'N'); time.sleep(0.001)"
    )
    with guest(zygote, source, call_cpu=0.1, wall_factor=1) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")])
    assert died.value.kind == "time"


def test_all_answers_together_are_bounded(zygote):
    source = "import torch\ndef f(): return torch.zeros(1 << 20)"
    with guest(zygote, source, exchange_bytes=10 << 20) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f")] * 5)
    assert died.value.kind == "protocol"
    assert len(died.value.answered) <= 2


def test_small_values_are_counted_over_all_answers(zygote):
    source = "def f(): return [None] * 50_000"
    with guest(zygote, source, exchange_bytes=10 << 20) as g:
        for _ in range(3):  # each time anew
            assert len(g.perform([call("f")] * 3)) == 3
        with pytest.raises(GuestDied) as died:
            g.perform([call("f")] * 5)
    assert (died.value.kind, len(died.value.answered)) == ("protocol", 3)
    assert "more than 163840 values" in died.value.detail


def test_a_guest_that_does_not_read_is_given_up(zygote):
    source = "import os, time\ndef f(x): time.sleep(1000)"
    with guest(zygote, source, call_cpu=0.1, wall_factor=2) as g, pytest.raises(GuestDied) as died:
        g.perform([call("f", 1), call("f", torch.zeros(1 << 22))])
    assert died.value.kind == "time"


@pytest.mark.parametrize(
    ("outputs", "rest"),
    [
        ("None", ""),
        ("[]", ""),
        ("[{}]", "'execution_count': 1, 'updates': []"),
        ("[]", "'execution_count': -1, 'updates': []"),
        ("[]", "'execution_count': True, 'updates': []"),
        ("[]", "'execution_count': 1, 'updates': [[0, 0, {}]]"),
        ("[]", "'execution_count': 1, 'updates': [['a', 0, {}, {}]]"),
        ("[]", "'execution_count': 1, 'updates': [], 'more': 1"),
        *(
            (f"[{output}]", "'execution_count': 1, 'updates': []")
            for output in (
                "None",
                "{'output_type': 'stream', 'name': 'x', 'text': ''}",
                "{'output_type': 'stream', 'name': [], 'text': ''}",
                "{'output_type': 'stream', 'name': 'stdout', 'text': 1}",
                "{'output_type': [], 'name': 'stdout', 'text': ''}",
                "{'output_type': 'display_data', 'data': {'a': (1,)}, 'metadata': {}}",
                "{'output_type': 'display_data', 'data': {'a': float('nan')}, 'metadata': {}}",
                "{'output_type': 'display_data', 'data': {'a': b''}, 'metadata': {}}",
                "{'output_type': 'display_data', 'data': {'text/plain': 5}, 'metadata': {}}",
                "{'output_type': 'display_data', 'data': {'text/html': ['a', None]}, 'metadata': {}}",
                "{'output_type': 'display_data', 'data': {'application/json\\n': 5}, 'metadata': {}}",
                "{'output_type': 'execute_result', 'data': {}, 'metadata': {}}",
                "{'output_type': 'error', 'ename': '', 'evalue': '', 'traceback': 'x'}",
                "{'output_type': 'error', 'ename': '', 'evalue': None, 'traceback': []}",
            )
        ),
    ],
)
def test_results_of_cells_that_nbformat_does_not_know_end_the_guest(zygote, outputs, rest):
    source = f"get_ipython().run = lambda *a: {{'outputs': {outputs}, {rest}}}"
    with guest(zygote, source) as g, pytest.raises(GuestDied) as died:
        g.run([{"source": "1", "id": ""}])
    assert died.value.kind == "protocol"


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (call("f", 1.0, wrt=[0], cotangents=[]), {"value": 1}),
        (call("f", 1.0, wrt=[0], cotangents=[]), {"value": 1, "gradients": [1]}),
        (call("f", 1.0, wrt=[0], cotangents=[], parameters=True), {"value": 1, "gradients": {}}),
        (call("f", 1.0, after=True), {"value": 1, "after": []}),
        ({"op": "new", "name": "f", "args": [], "handle": 1}, {"value": {"w": (2,)}}),
        ({"op": "new", "name": "f", "args": [], "handle": 1}, {"value": {"w": [-2]}}),
        ({"op": "new", "name": "f", "args": [], "handle": 1}, {"value": 3}),
    ],
)
def test_replies_without_what_was_asked_for_end_the_guest(zygote, request_, reply):
    source = f"from autograder import calls\ncalls.perform = lambda *a: {reply!r}"
    with guest(zygote, source) as g, pytest.raises(GuestDied) as died:
        g.perform([request_])
    assert died.value.kind == "protocol"


# Guests are separate, and nothing is left of them


def test_guests_know_nothing_of_each_other(zygote):
    source = "import os, tempfile, torch\ntorch.leak = 1\nopen('left', 'w').close()\ntempfile.mkdtemp()"
    with guest(zygote, source):
        pass
    with guest(
        zygote, "def f():\n    import os, torch\n    return [os.listdir(), hasattr(torch, 'leak')]"
    ) as g:
        assert g.perform([call("f")]) == [{"value": [[], False]}]


def test_one_guest_at_a_time(zygote):
    with guest(zygote), pytest.raises(RuntimeError, match="live guest"):
        zygote.guest()


SCRATCH = "import os, tempfile\ndef f(): return [os.getcwd(), os.path.expanduser('~'), tempfile.gettempdir()]"


def test_the_scratch_folder_is_home_and_is_gone_afterwards(zygote):
    with guest(zygote, SCRATCH) as g:
        (reply,) = g.perform([call("f")])
        assert len(set(reply["value"])) == 1
        scratch = Path(reply["value"][0])
        if zygote.level.box == "none":
            assert scratch.is_dir()
            assert scratch.stat().st_mode & 0o077 == 0
    assert not scratch.exists()
    with guest(zygote, "import os\ndef f(): return [n for n in os.listdir('..') if 'guest' in n]") as g:
        value = g.perform([call("f")])[0].get("value")
    assert value is None or len(value) == 1  # no other guest's is left


def test_a_folder_of_any_kind_is_deleted(unsealed, tmp_path):
    (tmp_path / "precious").write_text("x")
    source = (
        f"import os\nos.symlink({str(tmp_path)!r}, 'link')\n"
        "os.makedirs('locked/inner'); open('locked/inner/f', 'w').close(); os.chmod('locked/inner', 0)\n"
        "os.chmod('locked', 0); open('odd\\n\\udcff', 'w').close(); os.mkfifo('fifo')\n"
        "top = os.getcwd()\n"
        "for _ in range(1500): os.mkdir('d'); os.chdir('d')\n"
        "os.chmod(top, 0)\n"
        "def f(): return top"
    )
    with guest(unsealed, source, call_cpu=30) as g:
        scratch = Path(g.perform([call("f")])[0]["value"])
    assert not scratch.exists()
    assert (tmp_path / "precious").read_text() == "x"
    assert answers(unsealed)


@linux
def test_processes_that_a_guest_leaves_are_ended(unsealed):
    source = (
        "import os, time\n"
        "read, write = os.pipe()\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    if not os.fork():\n        os.write(write, str(os.getpid()).encode()); time.sleep(1000)\n"
        "    os._exit(0)\n"
        "time.sleep(0.05); orphan = int(os.read(read, 20))\n"
        "child = os.fork() or time.sleep(1000)\n"
        "def f(): return [orphan, child]"
    )
    with guest(unsealed, source) as g:
        pids = g.perform([call("f")])[0]["value"]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in [*pids, g.pid])
    assert answers(unsealed)


def test_a_zygote_that_is_killed_or_stopped_is_replaced_and_the_log_says_so(caplog, monkeypatch):
    monkeypatch.setattr("autograder.guests._ANSWER_SECONDS", 5)
    monkeypatch.setattr(levels, "_why_no_seccomp", lambda: "not here")
    with Zygote(level=Level("none", "none")) as zygote:
        for sent in ("SIGKILL", "SIGSTOP"):
            source = (
                f"import os, signal\ndef f():\n    os.kill(os.getppid(), signal.{sent})\n    while True: pass"
            )
            with guest(zygote, source, call_cpu=0.2) as g, pytest.raises(GuestDied) as died:
                g.perform([call("f")])
            assert died.value.kind in ("crashed", "time")
            assert answers(zygote)
            assert not alive(g.pid)
    assert caplog.text.count("starting another") == 2


@linux
def test_the_zygote_ends_with_its_judge():
    program = (
        "import os, time\nfrom autograder.guests import Zygote\n"
        "zygote = Zygote(); guest = zygote.guest()\n"
        "print(zygote._process.pid, guest.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(confinement.__file__).parent.parent)}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, stdout=subprocess.PIPE, env=environment, timeout=120)
    pids = run.stdout.split()
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(alive(int(pid)) for pid in pids):
        time.sleep(0.02)
    assert not any(alive(int(pid)) for pid in pids)


def alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_zygote_can_be_made_in_a_thread_that_ends():
    made: list[Zygote] = []
    thread = threading.Thread(target=lambda: made.append(Zygote()))
    thread.start()
    thread.join()
    gc.collect()
    time.sleep(0.1)
    with made[0] as zygote:
        assert zygote._process.poll() is None
        assert answers(zygote)


def test_a_zygote_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr("autograder.guests._START", "raise SystemExit('no luck today')")
    with pytest.raises(ZygoteFailed, match="no luck today"):
        Zygote()


# What a guest holds


@linux
def test_a_guest_holds_its_socket_and_nothing_else_of_the_judges(zygote):
    os.environ["AUTOGRADER_JUDGE_SECRET"] = "secret"
    source = (
        "import ctypes, os, resource\n"
        "def descriptors():\n"
        "    held = []\n"
        "    for n in range(1000):\n"
        "        try: os.fstat(n)\n"
        "        except OSError: continue\n"
        "        held.append(n)\n"
        "    return held\n"
        "def rest():\n"
        "    try: open('/proc/self/status'); read = True\n"
        "    except OSError: read = False\n"
        "    return {\n"
        "        'environment': sorted(os.environ),\n"
        "        'session': os.getsid(0) == os.getpid(),\n"
        "        'privileges': ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),\n"
        "        'threads': __import__('threading').active_count(),\n"
        "        'itself': read,\n"
        "        'core': resource.getrlimit(resource.RLIMIT_CORE),\n"
        "        'file': resource.getrlimit(resource.RLIMIT_FSIZE),\n"
        "        'paths': __import__('sys').path,\n"
        "    }"
    )
    try:
        with zygote.guest() as g:
            (result,) = g.run([{"source": source, "id": ""}])
            # IPython's event loop holds three descriptors: epoll and a pair of sockets.
            held, rest = g.perform([call("descriptors"), call("rest")])
    finally:
        del os.environ["AUTOGRADER_JUDGE_SECRET"]
    assert result["outputs"] == []
    assert held["value"] == list(range(7))
    rest = rest["value"]
    assert set(rest["environment"]) <= {
        "PYTHONHASHSEED",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "HOME",
        "TMPDIR",
        "CUDA_VISIBLE_DEVICES",
        "LC_CTYPE",
        "KINETO_LOG_LEVEL",
        "PWD",  # by bubblewrap: the scratch folder
        "TORCHINDUCTOR_CACHE_DIR",
    }
    assert (rest["session"], rest["privileges"], rest["threads"], rest["core"]) == (True, 1, 1, (0, 0))
    assert rest["itself"] is (zygote.level.seal == "none")
    assert rest["file"] == (64 << 20, 64 << 20)
    root = str(Path(confinement.__file__).parent.parent)
    assert root not in rest["paths"]


@linux
def test_files_descriptors_and_memory_are_limited(zygote):
    source = (
        "import os\n"
        "def write():\n    with open('f', 'wb') as f: f.write(bytes(2 << 20))\n"
        "def open_():\n    return len([open(os.devnull) for _ in range(1000)])"
    )
    with guest(zygote, source, file_bytes=1 << 20, open_files=64) as g:
        written, opened = g.perform([call("write"), call("open_")])
        assert written["error"]["message"].startswith("[Errno 27]")
        assert opened["error"]["message"].startswith("[Errno 24]")


@linux
def test_files_of_all_sizes_together_are_limited(zygote):
    source = (
        "import os, time\n"
        "def fill():\n"
        "    for i in range(1000):\n"
        "        with open(str(i), 'wb') as f: f.write(bytes(1 << 20))\n"
        "        time.sleep(0.01)\n"
        "def flood():\n"
        "    for i in range(10**9): open(str(i), 'w').close()"
    )
    for name, said in (("fill", "wrote more than 20 MiB"), ("flood", "made more than 500 files")):
        limits = {"call_cpu": 30, "scratch_bytes": 20 << 20, "scratch_files": 500}
        with guest(zygote, source, **limits) as g, pytest.raises(GuestDied) as died:
            g.perform([call(name)])
        assert died.value.kind == "disk"
        assert said in died.value.detail
    assert answers(zygote)


def test_the_guest_cannot_reach_the_control_socket(zygote):
    source = (
        "import gc, socket\n"
        "def f():\n"
        "    found = [s for s in gc.get_objects() if isinstance(s, socket.socket) and s.fileno() > 2]\n"
        "    alive = []\n"
        "    for s in found:\n"
        "        try: s.getpeername(); alive.append(s.fileno())\n"
        "        except OSError: pass\n"
        "    return alive"
    )
    with guest(zygote, source) as g:
        (reply,) = g.perform([call("f")])
    assert set(reply["value"]) <= {3, 5, 6}  # its own, and the pair of IPython's event loop


def test_sent_descriptors_are_not_taken(unsealed):
    source = (
        "import socket, os\n"
        "from autograder import wire\n"
        "def f():\n"
        "    s = socket.socket(fileno=os.dup(3))\n"
        "    socket.send_fds(s, [wire.frame(2, wire.encode({'value': 1}))[:1]], [0])\n"
        "    s.sendall(wire.frame(2, wire.encode({'value': 1}))[1:])\n"
        "    os._exit(0)"
    )
    before = len(os.listdir("/dev/fd"))
    with guest(unsealed, source) as g:
        assert g.perform([call("f")]) == [{"value": 1}]
    assert len(os.listdir("/dev/fd")) == before


def test_interrupting_the_judge_leaves_no_guest(zygote):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts with &
    with pytest.raises(KeyboardInterrupt), guest(zygote, "def f():\n    while True: pass", call_cpu=60) as g:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        g.perform([call("f")])
    assert not alive(g.pid)
    assert answers(zygote)


def test_the_judges_sockets_are_closed_with_the_guest(zygote):
    with guest(zygote):
        pass
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        with guest(zygote):
            pass
    assert len(os.listdir("/dev/fd")) == before
    assert isinstance(zygote._control, socket.socket)
