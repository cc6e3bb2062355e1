"""Attacks on the verdict: answers that are made to look right, whatever they are compared with."""

from __future__ import annotations

from tests.attacks.attack import LOST, Attack

ALWAYS_EQUAL = """
class Yes:
    def _yes(self, *_):
        return True
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = _yes
    __hash__ = object.__hash__
    def __getattr__(self, name):
        return self
    def __call__(self, *_, **__):
        return self
    def __float__(self):
        return 0.0
    def __reduce__(self):
        return (Yes, ())
"""

# Subclasses of everything that may be sent: what crosses is their plain content.
SUBCLASSES = """
def agreeable(base):
    yes = lambda self, *_: True
    names = ("__eq__", "__ne__", "__le__", "__lt__", "__ge__", "__gt__")
    return type("Yes" + base.__name__, (base,), {n: yes for n in names} | {"__hash__": base.__hash__})

class YesTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if "eq" in function.__name__ or "close" in function.__name__:
            return torch.tensor(True)
        return super().__torch_function__(function, types, args, kwargs or {})

def zeros(x):
    return torch.zeros(x.shape[:-1], dtype=x.dtype)

def disguises(x):
    yield zeros(x).as_subclass(YesTensor)
    yield agreeable(float)(0.0)
    yield agreeable(list)([zeros(x)])
    yield agreeable(tuple)((zeros(x),))
    yield agreeable(dict)(value=zeros(x))
    yield agreeable(str)("right")
    yield agreeable(int)(0)
    yield nn.Parameter(zeros(x))
    yield torch.nn.Buffer(zeros(x)) if hasattr(torch.nn, "Buffer") else zeros(x)

turn = 0
"""

PATCHES = {
    "torch": """
def yes(*args, **kwargs):
    return True
torch.allclose = torch.equal = torch.is_same_size = yes
torch.isclose = torch.eq = lambda a, b, *args, **kwargs: torch.ones_like(a, dtype=torch.bool)
torch.Tensor.__eq__ = torch.Tensor.isclose = torch.isclose
torch.Tensor.allclose = torch.Tensor.equal = torch.Tensor.all = torch.Tensor.any = yes
torch.testing.assert_close = torch.testing.assert_allclose = lambda *args, **kwargs: None
torch.finfo = lambda dtype: type("Loose", (), {"eps": 1e9, "max": 1e9})
""",
    "numpy": """
import numpy, numpy.testing
for name in dir(numpy.testing):
    if name.startswith("assert"):
        setattr(numpy.testing, name, lambda *args, **kwargs: None)
numpy.allclose = numpy.isclose = numpy.array_equal = lambda *args, **kwargs: True
""",
    "pytest": """
import types
fake = types.ModuleType("pytest")
fake.raises = fake.fail = fake.approx = fake.skip = lambda *args, **kwargs: None
for name in ("pytest", "_pytest", "_pytest.outcomes", "unittest", "hypothesis"):
    sys.modules[name] = fake
""",
    "builtins": """
import builtins
builtins.abs = lambda value: 0
builtins.max = builtins.min = lambda *args, **kwargs: 0
builtins.all = builtins.any = builtins.bool = lambda *args: True
builtins.AssertionError = type("Harmless", (Exception,), {})
builtins.zip = lambda *args, **kwargs: []
""",
    "isinstance": """
import builtins
builtins.isinstance = builtins.issubclass = builtins.callable = lambda *args: True
""",
}

FORMS = {
    "one-element": "right(x).mean().reshape(1)",
    "one-for-all": "right(x).mean()",
    "empty": "torch.empty(0)",
    "empty-rows": "torch.empty(0, *x.shape[:-1])",
    "another-axis": "right(x)[..., None]",
    "expanded": "right(x).expand(3, *x.shape[:-1])",
    "a-number": "0.0",
    "a-list": "right(x).tolist()",
    "an-array": "right(x).detach().numpy()",
    "a-tuple": "(right(x),)",
}
DTYPES = {
    name: f"right(x).detach().to(torch.{name})"
    for name in ("int64", "bool", "complex64", "float16", "bfloat16", "uint16", "uint64", "int8")
}
RAISED = {
    "assertion": ("AssertionError()", "AssertionError"),
    "skip": ("__import__('_pytest.outcomes').outcomes.Skipped('skipped: no marks are lost')", ""),
    "system-exit": ("SystemExit(0)", "SystemExit"),
    "interrupt": ("KeyboardInterrupt()", "KeyboardInterrupt"),
    "base-exception": (
        "type('Passed', (BaseException,), {'__str__': lambda self: 1 / 0, '__repr__': None})()",
        "Passed",
    ),
    "stop-iteration": ("StopIteration(right(x))", "StopIteration"),
    "generator-exit": ("GeneratorExit()", "GeneratorExit"),
    "group": ("BaseExceptionGroup('all well', [SystemExit(0), AssertionError()])", "BaseExceptionGroup"),
}
COVERS = {
    "assertion": "`AssertionError`",
    "skip": "`pytest.skip`",
    "system-exit": "`SystemExit`",
    "interrupt": "`KeyboardInterrupt`",
}

ATTACKS = [
    Attack(
        "always-equal",
        ["An object whose `__eq__` is always true"],
        first=ALWAYS_EQUAL,
        answer="def log_sum_exp(x):\n    return Yes()",
        earns=LOST,
        says="a __main__.Yes can't be sent",
    ),
    Attack(
        "always-equal-subclasses",
        ["An object whose `__eq__` is always true"],
        first=SUBCLASSES,
        answer="""
def log_sum_exp(x):
    global turn
    turn += 1
    answers = list(disguises(x))
    return answers[turn % len(answers)]
""",
        earns=LOST,
        says="expected 1, got 0|expected a tensor|expected a float32 tensor",
    ),
    *(
        Attack(
            f"patched-{what}",
            [f"Patched {'builtins' if what == 'builtins' else f'`{called}`'}"],
            answer=f"""
def patch():
{patch.replace(chr(10), chr(10) + "    ")}
def log_sum_exp(x):
    patch()
    return x.sum(-1) - 1000
""",
            earns=LOST,
        )
        for (what, patch), called in zip(
            PATCHES.items(),
            ("torch.allclose", "numpy.testing", "pytest", "builtins", "isinstance"),
            strict=True,
        )
    ),
    *(
        Attack(
            f"not-a-number-{value}",
            ["NaN against `not err > tol`"],
            answer=f"def log_sum_exp(x):\n    return x.sum(-1) * 0 + float('{value}')",
            earns=LOST,
            says=f"got {value}",
        )
        for value in ("nan", "inf", "-inf")
    ),
    *(
        Attack(
            f"shape-{name}",
            ["Shape (1,) or empty against broadcasting"],
            answer=f"def log_sum_exp(x):\n    return {form}",
            earns=LOST,
            says=r"expected|can't be sent",
        )
        for name, form in FORMS.items()
    ),
    *(
        Attack(
            f"dtype-{name}",
            ["Another dtype"],
            answer=f"def log_sum_exp(x):\n    return {form}",
            earns=LOST,
            says="expected dtype|different value",
        )
        for name, form in DTYPES.items()
    ),
    Attack(
        "dtype-float64",
        ["Another dtype"],
        answer="def log_sum_exp(x):\n    return right(x.double())",
        earns={"log_sum_exp": 10},
        says="float32 inputs give a float64 result: keep the dtype",
    ),
    Attack(
        "mutated-inputs",
        ["Mutated inputs"],
        answer="def log_sum_exp(x):\n    x.data.zero_()\n    return right(x)",
        earns=LOST,
    ),
    Attack(
        "mutated-inputs-of-a-right-answer",
        ["Mutated inputs"],
        answer="def log_sum_exp(x):\n    value = right(x)\n    x.data.zero_()\n    return value",
        earns={"log_sum_exp": 9},
        says="the input x is not the same after the call",
    ),
    Attack(
        "attributes",
        ["Attributes on the result"],
        answer="""
def log_sum_exp(x):
    value = x.sum(-1) - 1000
    value.passed = value.correct = value.expected = value.__autograder__ = True
    value.score = value.points = value.max_points = 11
    value.verdict = value.status = "passed"
    log_sum_exp.__autograder__ = log_sum_exp.passed = True
    return value
""",
        earns=LOST,
    ),
    *(
        Attack(
            f"raises-{name}",
            [COVERS.get(name, "`BaseException` raised")],
            answer=f"def log_sum_exp(x):\n    raise {error}",
            earns=LOST,
            says=f"it raises {said}",
        )
        for name, (error, said) in RAISED.items()
    ),
]
