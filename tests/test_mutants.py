"""References are changed in every way that a student might get them wrong, one small change at a time."""

from __future__ import annotations

import textwrap

import pytest

from autograder.course import Course
from autograder.quality.mutants import Mutant, module_of, mutants, mutants_of
from reference_impl import vae
from tests.conftest import ROOT


def _mutants(text: str, name: str = "f", **more) -> list[Mutant]:
    return list(mutants_of(textwrap.dedent(text), name, **more))


def _after(line: str, parameters: str = "a, b", **more) -> set[str]:
    """What stands in the mutants of a function of one line instead of it."""
    return {m.after for m in _mutants(f"def f({parameters}):\n    {line}", **more)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a - b", {"return a + b", "return b - a", "return a", "return -b", "return -(a - b)"}),
        ("return a * b", {"return a / b", "return a", "return b"}),
        ("return a ** 2", {"return a * 2", "return a ** 3", "return 2 ** a"}),
        ("return a @ b", {"return b @ a", "return a @ b.mT", "return a"}),
        ("return -a", {"return a"}),
        ("return a + 1e-08", {"return a + 0.0", "return a + 2e-08", "return a"}),
        ("return a + 0.5", {"return a + 1.5", "return a + 1.0"}),
        ("return a.sum(-1)", {"return a.sum(-2)", "return a.sum(0)", "return a.sum()", "return a.mean(-1)"}),
        ("return a[1:b]", {"return a[0:b]", "return a[2:b]", "return a[:b]", "return a[1:b - 1]"}),
        ("return a[b]", {"return a[b + 1]"}),
        ("return range(a)", {"return range(a + 1)", "return range(a - 1)"}),
        ("return a < b", {"return a <= b", "return a >= b"}),
        ("return a == b", {"return a != b"}),
        ("return a and b", {"return a or b", "return a", "return b"}),
        ("return not a", {"return a"}),
        ("return ~a", {"return a"}),
        ("return g(a, b)", {"return g(b, a)", "return a"}),
        ("return a.clamp(min=b)", {"return a", "return a.clamp()"}),
        ("return a.max(-1, keepdim=True)", {"return a.max(-1, keepdim=False)", "return a.max(-1)"}),
        ("return a.mT", {"return a"}),
        ("return a if a > 0 else b", {"return a", "return b", "return b if a > 0 else a"}),
        ("return (a, b)", {"return (b, a)"}),
        ("return [v for v in a if v]", {"return [v for v in a]"}),
        ("a += b", {"a -= b", "a = b", "pass"}),
        ("a = a.exp()", {"pass", "a = a", "a = a.expm1()"}),
        ("raise ValueError('no')", {"pass"}),
    ],
)
def test_expressions_are_changed(line: str, expected: set[str]) -> None:
    assert expected <= _after(line)


def test_branches_are_turned_taken_and_left_out() -> None:
    text = "def f(a):\n    if a > 0:\n        return 1\n    return 2"
    assert {"if not a > 0:", "if True:", "if False:", "if a >= 0:"} <= {m.after for m in _mutants(text)}


def test_loops_stop_early_and_run_backwards() -> None:
    text = "def f(a):\n    for v in a:\n        g(v)"
    sources = [m.source for m in _mutants(text)]
    assert any("reversed(list(a))" in s for s in sources) and any("break" in s for s in sources)
    assert not any("reversed" in m.source for m in _mutants(text.replace("v", "_")))


def test_contexts_are_left_out() -> None:
    text = "def f(a):\n    with torch.no_grad():\n        return a"
    assert "if True:" in {m.after for m in _mutants(text)}


def test_defaults_are_changed_and_left_out() -> None:
    heads = _after("return a", "a, flag=False, beta=1.0")
    assert {
        "def f(a, flag=True, beta=1.0):",
        "def f(a, flag=False, beta=2.0):",
        "def f(a, flag, beta=1.0):",
    } <= heads


def test_parameters_of_a_kind_are_swapped_and_others_are_not() -> None:
    text = "def f(a: Float[Tensor, 'n'], b: Float[Tensor, 'n'], c: int):\n    return g(a, c)"
    afters = {m.after for m in _mutants(text)}
    assert {"def f(b, a, c):", "return g(b, c)"} <= afters
    assert not any(head.startswith("def f(c") or head == "def f(a, c, b):" for head in afters)


def test_layers_made_in_the_same_way_are_swapped() -> None:
    text = """
        class F(nn.Module):
            def __init__(self, n):
                self.a = nn.Linear(n, n)
                self.b = nn.Linear(n, n)
                self.c = nn.Linear(n, 1)

            def forward(self, x):
                return self.c(self.a(x))
    """
    afters = {m.after for m in _mutants(text, "F")}
    assert "return self.c(self.b(x))" in afters and "return self.a(x)" in afters
    assert not any("self.a(self.a" in after for after in afters)


def test_gradients_are_cut_only_where_they_are_asked_for() -> None:
    text = "def f(a: Float[Tensor, 'n'], b: Float[Tensor, 'n']):\n    c = a * b\n    return c"

    def cut(differentiable) -> set[str]:
        return {m.after for m in _mutants(text, differentiable=differentiable) if m.kind == "detached"}

    assert cut(False) == set()
    assert cut(["a"]) == {"c = a.detach() * b", "return c.detach()"}
    assert cut(True) == {"c = a.detach() * b", "c = a * b.detach()", "return c.detach()"}
    assert "return a" in _after("return a.detach()")


def test_gradients_are_cut_in_methods_that_are_differentiated() -> None:
    text = """
        class F(nn.Module):
            def forward(self, x: Float[Tensor, "n"]):
                return x + 1

            def sample(self, z: Float[Tensor, "n"]):
                return z + 1
    """

    def cut(differentiable) -> set[str]:
        made = _mutants(text, "F", differentiable=differentiable, methods=["forward", "sample"])
        return {m.after for m in made if m.kind == "detached"}

    forward, sample = "return x.detach() + 1", "return z.detach() + 1"
    assert (cut(False), cut(["forward"]), cut(True)) == (set(), {forward}, {forward, sample})


def test_what_students_are_given_stays_as_it_is() -> None:
    text = '''
        class F(nn.Module):
            """1 + 1 - 1"""

            def __init__(self, n=1):
                self.n = n + 1

            def forward(self, x: Float[Tensor, "n+1"]) -> Float[Tensor, "n-1"]:
                require(len(x) > 1, "x must be longer")
                return g(*zip(x, x, strict=True), device=x.device)
    '''
    for mutant in _mutants(text, "F"):
        for kept in ("1 + 1 - 1", "n + 1", '"n+1"', '"n-1"', "len(x) > 1", "strict=True), device=x.device"):
            assert kept.replace('"', "'") in mutant.source.replace('"', "'"), mutant.after


def test_what_is_moved_to_a_device_changes_and_the_move_does_not() -> None:
    assert _after("return a.exp().to(b.device)") >= {"return a.to(b.device)", "return a.expm1().to(b.device)"}
    assert not _after("return a.exp().to(b.device)") & {"return a.exp()", "return a.exp().to(b)"}


def test_helpers_change_with_what_calls_them_and_other_exercises_do_not() -> None:
    text = """
        def other(a):
            return a + 1

        def helper(a):
            return a * EPS

        EPS = 1e-3

        def f(a):
            return helper(other(a))
    """
    afters = {m.after for m in _mutants(text, others=["other", "f"])}
    assert {"return a / EPS", "EPS = 0.0", "return helper(a)"} <= afters
    assert not any("a - 1" in m.source for m in _mutants(text, others=["other", "f"]))


def test_a_mutant_says_where_it_is_and_what_it_changes() -> None:
    text = "def f(a, b):\n    c = a\n    return a - b"
    (mutant,) = [m for m in _mutants(text) if m.after == "return a + b"]
    assert (mutant.exercise, mutant.kind, mutant.line, mutant.before) == ("f", "operator", 3, "return a - b")


def test_no_two_mutants_are_the_same_and_all_can_be_built() -> None:
    week = Course.load(ROOT).week("week07_vae")
    names = [e.name for e in week.exercises]
    for name in ("vector_quantize", "VAE"):
        exercise = week.exercise(name)
        made = mutants(exercise, names)
        assert len({m.source for m in made}) == len(made) > 40
        assert all(callable(m.build(module_of(exercise))) for m in made)


def test_a_mutant_finds_the_rest_of_its_module_and_leaves_it_alone() -> None:
    exercise = Course.load(ROOT).week("week07_vae").exercise("elbo")
    mutant = next(m for m in mutants(exercise, ["bernoulli_log_likelihood", "kl_to_standard_normal"]))
    elbo = mutant.build(module_of(exercise))
    assert elbo is not vae.elbo and module_of(exercise).elbo is exercise.reference
    assert elbo.__globals__["kl_to_standard_normal"] is vae.kl_to_standard_normal


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        _mutants("def f(a):\n    return a", "nowhere")
