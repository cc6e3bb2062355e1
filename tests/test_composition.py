"""References composed with a student's own answers give what these give, gradients too."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from autograder.calls import Class, Function, LocalSession, Reply, Request, distorted, perform
from autograder.composition import composed
from autograder.course import Course
from autograder.exercises import Exercise
from autograder.grading import bench, grade_submission
from autograder.guests import Zygote
from autograder.submissions import Cell, Submission
from reference_impl import transformers


class Student(LocalSession):
    """Has a grad mode of its own, as another process has: a backward pass runs without."""

    def perform(self, request: Request) -> Reply:
        with torch.enable_grad():
            return super().perform(request)


class WithoutItsMask(transformers.Block):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(x)


def with_another_scale(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    return transformers.attention_weights(2 * q, k, mask)


@pytest.fixture
def week06(course: Course) -> dict[str, Exercise]:
    return {e.name: e for e in course.week("week06_transformers").exercises}


def answers(model: type, state: dict[str, Tensor], tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and the parameters' gradients of a weighted sum of them."""
    made = Class("GPT", LocalSession({"GPT": model}))(5, 4, 4, 2, 3, 2).load(state)
    weights = torch.arange(tokens.numel() * 5.0).reshape(*tokens.shape, 5)
    reply = made.ask("", [tokens], parameters=True, cotangents=[weights])
    return reply["value"], reply["parameter_gradients"]


def test_a_model_made_of_a_students_own_layers(week06, monkeypatch):
    tokens = torch.tensor([[1, 4, 1], [0, 2, 3]])
    torch.manual_seed(0)
    state = transformers.GPT(5, 4, 4, 2, 3, 2).state_dict()
    right, _ = answers(transformers.GPT, state, tokens)
    mine = composed(week06["GPT"], ["Block"], Student({"Block": WithoutItsMask}))
    value, gradients = answers(mine, state, tokens)
    monkeypatch.setattr(transformers, "Block", WithoutItsMask)
    expected, expected_gradients = answers(transformers.GPT, state, tokens)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, expected_gradients)
    assert not torch.allclose(value, right)
    assert gradients["blocks.1.w_v"].any()


def test_a_function_that_calls_a_students_own(week06):
    q, k, v = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)).unbind()
    session = Student({"attention_weights": with_another_scale})
    mine = composed(week06["scaled_dot_product_attention"], ["attention_weights"], session)
    ask = {"wrt": [0, 1, 2], "cotangents": [torch.arange(8.0).reshape(2, 4)]}
    reply = Function("f", LocalSession({"f": mine})).ask([q, k, v, None], **ask)
    scaled = Function("f", LocalSession({"f": transformers.scaled_dot_product_attention}))
    expected = scaled.ask([2 * q, k, v, None], **ask)
    torch.testing.assert_close(reply["value"], expected["value"])
    factors = (2, 1, 1)
    for got, right, factor in zip(reply["gradients"], expected["gradients"], factors, strict=True):
        torch.testing.assert_close(got, factor * right)


def test_a_function_that_calls_a_students_own_through_another(week06):
    x_q, x_kv = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).unbind()
    weights = [torch.eye(4)] * 3
    session = Student({"attention_weights": with_another_scale})
    mine = composed(week06["cross_attention"], ["attention_weights"], session)
    expected = transformers.cross_attention(2 * x_q, x_kv, *weights)
    torch.testing.assert_close(mine(x_q, x_kv, *weights), expected)


# Of wrong answers, too, a right one can be made: but it has to be made.

WEEK = "week07_vae"
RIGHT_LOGLIK = "-F.binary_cross_entropy_with_logits(logits, x, reduction='none').sum(-1)"
WRONG_KL = "(mu.square() + logvar.exp() - 1 - logvar).sum(-1)"
NO_KL, NO_LOGLIK = "(0 * mu).sum(-1)", "(0 * logits).sum(-1)"
ELBO = "bernoulli_log_likelihood(logits, x) - kl_to_standard_normal(mu, logvar)"
LOSS = "(beta * kl_to_standard_normal(mu, logvar) - bernoulli_log_likelihood(logits, x)).mean()"
ANOTHER_LOSS = "-elbo(x, logits, mu, logvar).mean() + (beta - 1) * kl_to_standard_normal(mu, logvar).mean()"


MADE_OF_WRONG_ANSWERS = {
    "of one": (WRONG_KL, RIGHT_LOGLIK, ELBO, LOSS, (0, 11, 11, 11)),
    "of two": (WRONG_KL, "(logits * x).sum(-1)", ELBO, LOSS, (0, 0, 11, 11)),
    "in another way": (WRONG_KL, RIGHT_LOGLIK, ELBO, ANOTHER_LOSS, (0, 11, 11, 11)),
    "of nothing": (NO_KL, NO_LOGLIK, ELBO, LOSS, (0, 0, 11, 11)),
    "nothing": (NO_KL, NO_LOGLIK, f"{NO_LOGLIK} + {NO_KL}", "0 * logits.sum() + 0 * mu.sum()", (0, 0, 0, 0)),
    "of half": (WRONG_KL, NO_LOGLIK, f"-{WRONG_KL}", f"(beta * {WRONG_KL}).mean()", (0, 0, 0, 0)),
}


@pytest.mark.parametrize(
    ("kl", "loglik", "elbo", "loss", "earns"),
    MADE_OF_WRONG_ANSWERS.values(),
    ids=MADE_OF_WRONG_ANSWERS.keys(),
)
def test_what_is_made_of_wrong_answers_counts_if_it_is_really_made_of_them(
    kl, loglik, elbo, loss, earns, course: Course, clean_zygote: Zygote
) -> None:
    source = f"""
import torch
import torch.nn.functional as F
def kl_to_standard_normal(mu, logvar): return {kl}
def bernoulli_log_likelihood(logits, x): return {loglik}
def elbo(x, logits, mu, logvar): return {elbo}
def vae_loss(x, logits, mu, logvar, beta=1.0): return {loss}
"""
    submission = Submission("ada", Path("ada.ipynb"), (Cell(source, "a"),), "")
    report = grade_submission(bench(course.root, WEEK), submission, clean_zygote)
    scores = {e.name: e.score for e in report.exercises}
    names = ("kl_to_standard_normal", "bernoulli_log_likelihood", "elbo", "vae_loss")
    assert tuple(scores[name] for name in names) == earns


def test_distorted_functions_depend_on_their_inputs_and_keep_their_range() -> None:
    nothing = distorted(lambda x, n: (0 * x, [0.0, n], "text", None))
    first, second = nothing(torch.ones(2, 3), 1.0), nothing(torch.zeros(2, 3), 1.0)
    assert first[0].min() > 0 and first[0].max() < 0.25 and first[0].unique().numel() == 6
    assert not torch.allclose(first[0], second[0])
    assert first[2:] == ("text", None) and 0 < first[1][0] < 0.25 and 0.75 < first[1][1] < 1
    x = torch.ones(3, requires_grad=True)
    distorted(lambda x: 4 * x)(x).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


def test_a_function_is_itself_again_after_a_distorted_call() -> None:
    space = {"a": lambda x: x}
    space["b"] = lambda x: space["a"](x)
    request = {"op": "call", "name": "b", "args": [torch.ones(1)], "distorted": ["a", "missing"]}
    assert perform(request, space, {})["value"] != 1
    assert perform({**request, "distorted": []}, space, {})["value"] == 1
