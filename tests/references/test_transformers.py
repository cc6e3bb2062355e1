"""Week 6: the references against torch's own attention, plain loops and numbers worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reference_impl.transformers import (
    Block,
    causal_mask,
    multi_head_attention,
    padding_mask,
    scaled_dot_product_attention,
)


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(6)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def block(draw):
    layer = Block(6, 3, 5).double()
    layer.load_state_dict({name: draw(*value.shape) for name, value in layer.state_dict().items()})
    return layer


def loop_attention(q, k, v, mask):
    """One query at a time, exponentials of Python numbers."""
    out = torch.zeros(len(q), v.shape[1], dtype=v.dtype)
    for i in range(len(q)):
        kept = [j for j in range(len(k)) if mask[i, j]]
        e = {
            j: math.exp(sum(a * b for a, b in zip(q[i], k[j], strict=True)) / math.sqrt(len(k[j])))
            for j in kept
        }
        for j in kept:
            out[i] += e[j] / sum(e.values()) * v[j]
    return out


def test_causal_mask_keeps_what_is_not_later():
    assert causal_mask(1).tolist() == [[True]]
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    square = nn.Transformer.generate_square_subsequent_mask(7)  # -inf where blocked
    assert torch.equal(causal_mask(7), square == 0)


def test_padding_mask_keeps_the_first_tokens_of_each_row():
    mask = padding_mask(torch.tensor([2, 0, 4]), 4)
    assert mask.tolist() == [[True, True, False, False], [False] * 4, [True] * 4]
    assert padding_mask(torch.tensor([1, 1]), 3).shape == (2, 3)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_attention_is_torchs(draw, batch):
    q, k, v = draw(*batch, 3, 4), draw(*batch, 5, 4), draw(*batch, 5, 2)
    mask = draw(*batch, 3, 5) > 0
    mask[..., 0, :] = False
    for m in (None, mask, mask[..., :1, :], mask.any(-1, keepdim=True)):
        expected = F.scaled_dot_product_attention(q, k, v, attn_mask=m)
        torch.testing.assert_close(scaled_dot_product_attention(q, k, v, m), expected)


def test_attention_is_the_plain_loop(draw):
    q, k, v, mask = draw(3, 4), draw(5, 4), draw(5, 2), draw(3, 5) > 0.3
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v, mask), loop_attention(q, k, v, mask))


def test_attention_of_worked_scores():
    q = torch.tensor([[2 * math.log(3), 0, 0, 0]])
    v = torch.tensor([[4.0, 0.0], [0.0, 8.0]])
    torch.testing.assert_close(
        scaled_dot_product_attention(q, torch.eye(4)[:2], v), torch.tensor([[3.0, 2.0]])
    )


def test_a_query_without_keys_gives_zeros_and_no_gradient(draw):
    q, k, v = (draw(2, 3).requires_grad_() for _ in range(3))
    mask = torch.tensor([[False, False], [True, False]])
    out = scaled_dot_product_attention(q, k, v, mask)
    assert torch.equal(out[0], torch.zeros(3, dtype=torch.float64))
    assert torch.equal(out[1], v[0])
    dq, dk, dv = torch.autograd.grad(out.sum(), (q, k, v))
    assert not dq.any() and not dk.any()  # the second query has one key, of weight 1 whatever it is
    assert torch.equal(dv, torch.tensor([[1.0], [0.0]]).expand(2, 3).double())
    assert torch.autograd.gradcheck(lambda *a: scaled_dot_product_attention(*a, mask), (q, k, v))


def test_attention_does_not_overflow():
    q = torch.tensor([[1e3]])
    out = scaled_dot_product_attention(q, torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [5.0]]))
    assert torch.equal(out, torch.tensor([[2.0]]))


@pytest.mark.parametrize("n_heads", [1, 2, 3, 6])
def test_multi_head_attention_is_torchs(draw, n_heads):
    x, weights = draw(2, 5, 6), [draw(6, 6) for _ in range(4)]
    w_q, w_k, w_v, w_o = weights
    mask = draw(2, n_heads, 5, 5) > 0
    mask[..., 0] = True  # torch's answer to a row that is blocked entirely is another
    expected, _ = F.multi_head_attention_forward(
        *[x.transpose(0, 1)] * 3,
        6,
        n_heads,
        torch.cat([w_q.T, w_k.T, w_v.T]),
        None,
        None,
        None,
        False,
        0.0,
        w_o.T,
        None,
        attn_mask=~mask.flatten(0, 1),  # True blocks there
    )
    torch.testing.assert_close(multi_head_attention(x, *weights, n_heads, mask), expected.transpose(0, 1))


def test_multi_head_attention_is_one_attention_per_slice(draw):
    x, w_q, w_k, w_v, w_o = draw(2, 4, 6), draw(6, 6), draw(6, 6), draw(6, 6), draw(6, 6)
    mask = draw(3, 4, 4) > 0  # one per head, some rows empty
    for b in range(2):
        heads = [
            loop_attention(x[b] @ w_q[:, s], x[b] @ w_k[:, s], x[b] @ w_v[:, s], mask[h])
            for h, s in enumerate((slice(0, 2), slice(2, 4), slice(4, 6)))
        ]
        expected = torch.cat(heads, -1) @ w_o
        torch.testing.assert_close(multi_head_attention(x, w_q, w_k, w_v, w_o, 3, mask)[b], expected)


def test_block_is_torchs_pre_norm_encoder_layer(draw, block):
    theirs = nn.TransformerEncoderLayer(6, 3, 5, dropout=0.0, batch_first=True, norm_first=True).double()
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": torch.cat([block.w_q.T, block.w_k.T, block.w_v.T]),
            "self_attn.in_proj_bias": torch.zeros(18),
            "self_attn.out_proj.weight": block.w_o.T,
            "self_attn.out_proj.bias": torch.zeros(6),
            "linear1.weight": block.w1.T,
            "linear1.bias": block.b1,
            "linear2.weight": block.w2.T,
            "linear2.bias": block.b2,
            "norm1.weight": block.ln1.weight,
            "norm1.bias": block.ln1.bias,
            "norm2.weight": block.ln2.weight,
            "norm2.bias": block.ln2.bias,
        }
    )
    x = draw(2, 4, 6)
    torch.testing.assert_close(block(x), theirs(x))
    torch.testing.assert_close(block(x, causal_mask(4)), theirs(x, src_mask=~causal_mask(4)))


def test_block_with_a_causal_mask_hides_the_future(draw, block):
    x = draw(1, 4, 6).requires_grad_()
    gradient = torch.autograd.grad(block(x, causal_mask(4))[0, 1].sum(), x)[0]
    assert not gradient[0, 2:].any()
    assert gradient[0, :2].any(-1).all()


def test_names_of_the_blocks_parameters():
    shapes = {name: tuple(value.shape) for name, value in Block(4, 2, 3).state_dict().items()}
    square = dict.fromkeys(("w_q", "w_k", "w_v", "w_o"), (4, 4))
    norms = {f"{ln}.{name}": (4,) for ln in ("ln1", "ln2") for name in ("weight", "bias")}
    assert shapes == {**square, **norms, "w1": (4, 3), "b1": (3,), "w2": (3, 4), "b2": (4,)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_are_kept(dtype):
    x, w = torch.ones(1, 2, 4, dtype=dtype), torch.eye(4, dtype=dtype)
    assert scaled_dot_product_attention(x, x, x, causal_mask(2)).dtype is dtype
    assert multi_head_attention(x, w, w, w, w, 2).dtype is dtype
    assert Block(4, 2, 3).to(dtype)(x).dtype is dtype


@pytest.mark.parametrize(
    ("named", "call"),
    [
        ("n must", lambda: causal_mask(0)),
        ("lengths", lambda: padding_mask(torch.tensor([3]), 2)),
        ("lengths", lambda: padding_mask(torch.tensor([-1]), 2)),
        ("mask", lambda: scaled_dot_product_attention(*[torch.ones(2, 2)] * 3, torch.ones(2, 2))),
        ("n_heads", lambda: multi_head_attention(torch.ones(1, 2, 3), *[torch.eye(3)] * 4, 2)),
        ("n_heads", lambda: multi_head_attention(torch.ones(1, 2, 3), *[torch.eye(3)] * 4, 0)),
        ("n_heads", lambda: Block(3, 2, 4)),
    ],
)
def test_outside_the_domain(named, call):
    with pytest.raises(ValueError, match=named):
        call()
