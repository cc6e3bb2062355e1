"""Probes: what they compute, what that tells of how they were called, and what they refuse."""

import pytest
import torch

from autograder.probes import KINDS, Critic, MatrixProduct, Policy, Probe, Quadratic

MATRIX = torch.tensor([[2.0, 1.0], [0.0, 3.0]])


def test_an_unknown_kind_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'Unknown' is no probe; there are TimeModel"):
        Probe("Unknown").build()


def test_a_mixing_model_sees_when_it_is_shown_part_of_an_example():
    x, t = torch.arange(12.0).reshape(2, 3, 2), torch.tensor([1, 2])
    plain, mixing = Probe("TimeModel").build(), Probe("TimeModel", {"mixing": 0.5}).build()
    torch.testing.assert_close(plain(x[:, :2], t), plain(x, t)[:, :2])
    means = torch.tensor([2.5, 8.5])[:, None, None]
    torch.testing.assert_close(mixing(x, t), plain(x, t) + 0.5 * means)
    torch.testing.assert_close(mixing(x[1:], t[1:]), mixing(x, t)[1:])
    assert not torch.allclose(mixing(x[:, :2], t), mixing(x, t)[:, :2])


def test_a_pair_encoder_halves_the_last_dimension():
    encode = Probe("PairEncoder", {"a": 0.5}).build()
    u, v = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 4.0]])
    x = torch.stack([u, v], -1).flatten(-2)
    torch.testing.assert_close(encode(x), torch.tanh(u / 2) + v / 4)
    with pytest.raises(ValueError, match=r"encode\(x\) takes a tensor"):
        encode(torch.zeros(2, 3))


def test_they_are_built_by_name():
    for kind in (MatrixProduct, Quadratic, Policy, Critic):
        assert KINDS[kind.__name__] is kind
    assert Probe("MatrixProduct", {"matrix": MATRIX}).build()(torch.ones(2)).tolist() == [3.0, 3.0]


def test_a_quadratic_is_a_scalar():
    f = Quadratic(torch.tensor([1.0, 0.0]), torch.tensor([2.0, -1.0]), offset=0.5)
    assert f(torch.tensor([2.0, 3.0])).item() == 0.5 + 2 - 9


def test_policy_and_critic_keep_leading_dimensions_and_the_dtype():
    states = torch.randn(3, 2, 4, dtype=torch.float64)
    actions = Policy(torch.ones(2, 4))(states)
    torch.testing.assert_close(actions, 2 * states.sum(-1, keepdim=True).tanh().expand(3, 2, 2))
    q = Critic(torch.ones(4), torch.tensor([1.0, 2.0]))(states, actions)
    torch.testing.assert_close(q, states.sum(-1).tanh() + (actions[..., 0] + 2 * actions[..., 1]).sin())


@pytest.mark.parametrize(
    "call",
    [
        lambda: MatrixProduct(MATRIX)(torch.ones(2, 1)),
        lambda: Quadratic(torch.ones(2), torch.ones(2))(torch.ones(3)),
        lambda: Policy(torch.ones(2, 4))(torch.ones(3, 2)),
        lambda: Critic(torch.ones(4), torch.ones(2))(torch.ones(3, 2), torch.ones(3, 4)),
        lambda: Critic(torch.ones(4), torch.ones(2))(torch.ones(3, 4), 1.0),
    ],
)
def test_they_name_the_shape_that_they_take(call):
    with pytest.raises(ValueError, match="takes"):
        call()
