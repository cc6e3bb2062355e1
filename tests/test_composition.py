"""References composed with a student's own answers give what these give, gradients too."""

import pytest
import torch
from torch import Tensor

from autograder.calls import Class, Function, LocalSession, Reply, Request
from autograder.composition import composed
from autograder.course import Course
from autograder.exercises import Exercise
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
