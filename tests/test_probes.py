"""Probes: what their values tell of how they were called."""

import pytest
import torch

from autograder.probes import Probe


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
