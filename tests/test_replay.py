"""Replaying in guests: what dies costs what it died in, and nothing else."""

from __future__ import annotations

import dataclasses

import psutil
import pytest
import torch

from autograder.calls import CallFailed, Function
from autograder.confinement import Limits
from autograder.guests import Zygote
from autograder.replay import MOST_KILLED, OneByOne, Sitting
from autograder.trials import Outcome

LIMITS = dataclasses.replace(Limits(), call_cpu=1.0, cell_cpu=5.0, memory_bytes=1 << 30)


def _sitting(zygote: Zygote, *sources: str) -> Sitting:
    return Sitting(zygote, [{"source": s, "id": str(i)} for i, s in enumerate(sources)], LIMITS)


def _job(name: str, *arguments: object):
    """A job that calls a function twice and keeps what came out."""

    def run(session) -> Outcome:
        log = []
        function = Function(name, session, log)
        try:
            function(*arguments)
            function(*arguments)
        except CallFailed as error:
            return Outcome(error, log)
        return Outcome(None, log)

    return run


def _values(outcome: Outcome) -> list[object]:
    return [reply.get("value") for _, reply in outcome.log]


def test_jobs_run_together_and_apart(clean_zygote: Zygote) -> None:
    sitting = _sitting(clean_zygote, "def double(x):\n    return 2 * x")
    outcomes = sitting.replay([_job("double", i) for i in range(100)])
    assert [_values(o) for o in outcomes] == [[2 * i, 2 * i] for i in range(100)]
    assert _values(OneByOne(sitting).replay([_job("double", 7)])[0]) == [14, 14]
    sitting.close()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("import os; os._exit(0)", "exited"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
        ("while True: pass", "time"),
        ("raise SystemExit", "raised"),
        ("return object()", "unsendable"),
        ("return lambda: 0", "unsendable"),
        ("return torch.zeros(1 << 25)", "unsendable"),
    ],
)
def test_a_job_that_ends_its_guest_fails_and_the_next_check_goes_on(
    body: str, kind: str, clean_zygote: Zygote
) -> None:
    bad = f"import torch\ndef bad(x):\n    if x == 3:\n        {body}\n    return x"
    sitting = _sitting(clean_zygote, bad, "def good(x):\n    return x + 1")
    outcomes = sitting.replay([_job("bad", i) for i in range(6)])
    failed = [i for i, o in enumerate(outcomes) if o.error is not None]
    assert failed == [3]
    error = outcomes[3].error
    assert isinstance(error, CallFailed) and error.kind == kind
    assert [_values(o) for o in sitting.replay([_job("good", 1)])] == [[2, 2]]
    sitting.close()


def _kill_guest(zygote: Zygote) -> None:
    """Kill the live guest as the kernel would that is out of memory."""
    assert zygote._process is not None
    processes = psutil.Process(zygote._process.pid).children(recursive=True)
    guest = max([psutil.Process(zygote._process.pid), *processes], key=lambda p: p.create_time())
    guest.kill()


@pytest.mark.parametrize("times", [1, MOST_KILLED, MOST_KILLED + 1])
def test_a_guest_that_is_killed_from_outside_costs_nothing(times: int, clean_zygote: Zygote) -> None:
    """A few times, at least: who ends their own guest each time can't be told from it."""
    sitting = _sitting(clean_zygote, "def double(x):\n    return 2 * x")
    left = times

    def job(session) -> Outcome:
        nonlocal left
        log = []
        try:
            Function("double", session, log)(3)
            if left:
                left -= 1
                _kill_guest(clean_zygote)
            Function("double", session, log)(4)
        except CallFailed as error:
            return Outcome(error, log)
        return Outcome(None, log)

    (outcome,) = sitting.replay([job])
    sitting.close()
    assert (outcome.error is None) == (times <= MOST_KILLED)
    if outcome.error is None:
        assert _values(outcome) == [6, 8]


def test_one_that_kills_itself_fails(clean_zygote: Zygote) -> None:
    suicide = "import os, signal\ndef f(x):\n    signal.raise_signal(9) if x == 1 else None\n    return x"
    sitting = _sitting(clean_zygote, suicide)
    outcomes = sitting.replay([_job("f", i) for i in range(3)])
    sitting.close()
    assert [i for i, o in enumerate(outcomes) if o.error is not None] == [1]


def test_a_slow_first_call_is_repeated_alone_before_it_counts(clean_zygote: Zygote) -> None:
    """The time-out of a call that is slow once, in a batch, costs nothing."""
    slow_once = """
calls = 0
def f(x):
    global calls
    calls += 1
    while x == 2 and calls == 3: pass
    return x
"""
    sitting = _sitting(clean_zygote, slow_once)
    outcomes = sitting.replay([_job("f", i) for i in range(4)])
    assert sitting.deaths == 2  # in the second it is seen which call it was
    assert [o.error for o in outcomes] == [None] * 4
    assert [_values(o) for o in outcomes] == [[i, i] for i in range(4)]
    sitting.close()


def test_a_guest_that_says_too_much_fails_what_it_was_asked_last(clean_zygote: Zygote) -> None:
    """Its answer has been heard before the frame too many comes, and doesn't count."""
    forger = """
import socket
from autograder import wire
def f(x):
    if x == 2:
        frame = b"".join(wire.frame(n, wire.encode({"value": 2})) for n in (NUMBER, NUMBER + 1))
        socket.socket(fileno=3).sendall(frame)
        while True: pass
    return x
"""
    for number in (3, 4):
        sitting = _sitting(clean_zygote, forger.replace("NUMBER", str(number)))
        outcomes = sitting.replay([_job("f", i) for i in range(3)])
        assert [i for i, o in enumerate(outcomes) if o.error is not None] == [2]
        error = outcomes[2].error
        assert isinstance(error, CallFailed) and error.kind == "protocol"
        sitting.close()


def test_a_cell_that_ends_its_guest_is_left_out(clean_zygote: Zygote) -> None:
    sitting = _sitting(clean_zygote, "def f(x):\n    return x", "import os; os._exit(1)", "y = 1")
    outcomes = sitting.replay([_job("f", torch.tensor(1.0))])
    assert outcomes[0].error is None
    assert list(sitting.fatal) == [1]
    assert [r is not None for r in sitting.results] == [True, False, True]
    sitting.close()


def test_a_missing_function_is_said_to_be_missing(clean_zygote: Zygote) -> None:
    sitting = _sitting(clean_zygote, "x = 1")
    error = sitting.replay([_job("f", 1)])[0].error
    assert isinstance(error, CallFailed) and error.kind == "missing"
    sitting.close()


def test_all_calls_of_an_exercise_have_a_limit_together(clean_zygote: Zygote) -> None:
    """Each is fast enough, all together are not; the next exercise begins anew."""
    slow = """
import time
def slow(x):
    begun = time.process_time()
    while time.process_time() - begun < 0.2: pass
    return x
def sleepy(x):
    time.sleep(0.2)
    return x
"""
    sitting = _sitting(clean_zygote, slow)
    sitting.limits = dataclasses.replace(LIMITS, exercise_cpu=1.0, wall_factor=1.0)
    for name in ("slow", "sleepy"):
        sitting.begin()
        outcomes = sitting.replay([_job(name, i) for i in range(20)])
        assert any(o.error is not None for o in outcomes)
        error = sitting.replay([_job(name, 1)])[0].error
        assert isinstance(error, CallFailed)
        assert error.message == "not run: earlier calls took more than 1 s in all calls of this exercise"
    sitting.begin()
    assert sitting.replay([_job("slow", 1)])[0].error is None
    sitting.close()


def test_a_notebook_that_takes_too_long_is_run_as_far_as_there_is_time(clean_zygote: Zygote) -> None:
    busy = "import time\nbegun = time.process_time()\nwhile time.process_time() - begun < 0.2: pass"
    sitting = _sitting(clean_zygote, "def f(x):\n    return x", *[busy] * 20, "def g(x):\n    return x")
    sitting.limits = dataclasses.replace(LIMITS, notebook_cpu=1.0)
    assert [o.error for o in sitting.replay([_job("f", 1)])] == [None]
    assert list(sitting.fatal) == [sitting.end] and 3 <= sitting.end <= 7
    error = sitting.replay([_job("g", 1)])[0].error
    assert isinstance(error, CallFailed) and error.kind == "missing"
    sitting.close()
