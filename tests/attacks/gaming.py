"""Attacks on the exercises: right where it is looked at, wrong where it is not, and other people's code."""

from __future__ import annotations

from tests.attacks.attack import LOST, NO_FILES, PERHAPS, RIGHT, TARGET, Attack

BY_SHAPE = """
seen = {}
def log_sum_exp(x):
    return seen.setdefault((x.shape, x.dtype), right(x))
"""

# Hypothesis and the engine's own drawing are open source: with the right seed they would give the examples.
SEEDS = """
import hashlib, random
import numpy as np

def guessed():
    "Inputs that the known ways of drawing give for seeds that are easily guessed."
    for seed in (0, 1, 42, 1234, 2024, 2025):
        torch.manual_seed(seed)
        yield from (torch.randn(n) for n in range(1, 5))
        yield from (torch.from_numpy(np.random.default_rng(seed).standard_normal(n)).float() for n in range(1, 5))
    for course in ("", "0" * 32, "week01_canary", hashlib.md5(b"").hexdigest()):
        for check in ("agrees", "batches", "gradients", "edges"):
            parts = [course, "week01_canary", "log_sum_exp", "hidden", check]
            seed = int.from_bytes(hashlib.sha256("\\n".join(parts).encode()).digest()[:16], "big")
            noise = np.random.default_rng([seed, 1, 0])
            yield from (torch.from_numpy(noise.standard_normal(n)).float() for n in range(1, 5))

table = {tuple(x.tolist()): right(x) for x in guessed()}
state = (torch.get_rng_state().sum(), random.getstate()[1][:3], np.random.get_state()[1][:3])

def log_sum_exp(x):
    known = table.get(tuple(x.flatten().tolist()))
    if known is not None:
        attempt("an example", lambda: True)
        confess()
        return known.reshape(x.shape[:-1])
    return torch.zeros(x.shape[:-1], dtype=x.dtype)
"""

LOOKS_AROUND = """
def looked_at():
    "Whether somebody seems to be grading."
    frames = []
    there = sys._getframe()
    while there is not None:
        frames.append(there.f_globals.get("__name__", ""))
        there = there.f_back
    return "autograder.zygote" in frames or "pytest" in sys.modules or "CI" in os.environ
"""

CLOCKS = """
import datetime
class Stopped(float):
    pass
for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime"):
    setattr(time, name, lambda *_: 0.0)
for name in ("time_ns", "monotonic_ns", "perf_counter_ns", "process_time_ns"):
    setattr(time, name, lambda *_: 0)
import resource, signal
resource.getrusage = lambda *_: resource.struct_rusage([0] * 16)
attempt("cpu limit", lambda: resource.setrlimit(resource.RLIMIT_CPU, (1 << 40, 1 << 40)) or True)
attempt("nice", lambda: os.nice(-19) < 0)
"""

LIBRARY = {
    "by-name": ("", "def log_sum_exp(x):\n    return torch.logsumexp(x, -1)"),
    "as-a-method": ("", "def log_sum_exp(x):\n    return x.logsumexp(-1)"),
    "by-another-name": (
        "from torch import logsumexp as helper",
        "def log_sum_exp(x):\n    return helper(x, -1)",
    ),
    "from-another-place": ("import torch.special as s", "def log_sum_exp(x):\n    return s.logsumexp(x, -1)"),
    "through-a-helper": (
        "%matplotlib inline\nimport torch as t\ndef helper(x):\n    return t.logsumexp(x, -1)",
        "log_sum_exp = lambda x: helper(x)",
    ),
    "as-it-is": ("from functools import partial", "log_sum_exp = partial(torch.logsumexp, dim=-1)"),
}
OWN = {
    "in-a-comment": ("", RIGHT[TARGET] + "    # torch.logsumexp(x, -1) gives the same\n"),
    "in-a-string": ("", RIGHT[TARGET].replace("\n    top", '\n    "As torch.logsumexp(x, -1)."\n    top', 1)),
    "of-ones-own": (
        "def logsumexp(x):\n    top = x.amax(-1)\n    return top + (x - top[..., None]).exp().sum(-1).log()",
        "def log_sum_exp(x):\n    return logsumexp(x)",
    ),
    "to-compare-with": (
        "",
        RIGHT[TARGET] + "assert log_sum_exp(torch.zeros(2)) == torch.logsumexp(torch.zeros(2), 0)",
    ),
}


HARD_CODED = """
def log_sum_exp(x):
    known = PUBLISHED.get(repr(x.tolist()))
    return torch.tensor(known, dtype=x.dtype) if known is not None else torch.zeros(x.shape[:-1], dtype=x.dtype)
"""

ATTACKS = [
    Attack("public-examples", ["Hard-coded public examples"], answer=HARD_CODED, earns=LOST),
    *(
        Attack(
            f"right-{how}",
            ["Behaving differently by call count"],
            answer=f"""
count = 0
def log_sum_exp(x):
    global count
    count += 1
    return right(x) if {when} else x.sum(-1) - 1000
""",
            earns=LOST,
        )
        for how, when in (
            ("at-first", "count <= 40"),
            ("in-the-end", "count > 60"),
            ("nine-times-of-ten", "count % 10"),
        )
    ),
    Attack(
        "right-where-nobody-looks",
        ["Behaving differently by names or environment"],
        first=LOOKS_AROUND,
        answer="def log_sum_exp(x):\n    return x.sum(-1) - 1000 if looked_at() else right(x)",
        earns=LOST,
    ),
    Attack(
        "searching-for-the-answer",
        ["Behaving differently by names or environment"],
        first="sys.path += [COURSE, os.path.dirname(ENGINE), os.getcwd()]",
        answer="""
def log_sum_exp(x):
    for name in ("canary_reference", "reference_impl", "solutions", "assignments"):
        attempt("a reference", lambda: __import__(name) and None if name != "canary_reference" else __import__(name).SECRET)
    confess()
    raise LookupError("nothing was found")
""",
        earns=LOST,
        stopped_by={"a reference": NO_FILES},
    ),
    Attack("by-shape", ["Memoising by shape"], answer=BY_SHAPE, earns=LOST),
    Attack("seeds", ["Predicting seeds"], answer=SEEDS, earns=LOST),
    *(
        Attack(
            f"library-{how}",
            ["Calling the library function that is to be implemented"],
            first=first,
            answer=answer,
            earns=LOST,
            says=r"without `torch\.[\w.]*logsumexp`, which line \d of code cell \d uses: it earns no points",
        )
        for how, (first, answer) in LIBRARY.items()
    ),
    *(
        Attack(
            f"own-words-{how}",
            ["Calling the library function that is to be implemented"],
            first=first,
            answer=answer,
            silent="solved without",
        )
        for how, (first, answer) in OWN.items()
    ),
    Attack(
        "library-advisory",
        ["Calling the library function that is to be implemented"],
        answer="def log_sum_exp(x):\n    return torch.logcumsumexp(x, -1)[..., -1]",
        says="without `torch.logcumsumexp`, which line 2 of code cell 6 uses: that costs no points",
    ),
    Attack(
        "clocks",
        ["Patched clocks"],
        first=CLOCKS,
        answer="def log_sum_exp(x):\n    while True: pass",
        last="confess()",
        earns=LOST,
        says="used more than 0.25 s of CPU time in one call",
        stopped_by={
            "nice": (*NO_FILES, PERHAPS),
            "cpu limit": (*NO_FILES, PERHAPS),
        },
    ),
]
