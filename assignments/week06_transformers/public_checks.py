"""Week 6: the checks that students have too."""

import math

import torch

from autograder.author import check, close, dimension, equal, floating_dtype


@check("scaled_dot_product_attention", points=1, examples=1, dtype=floating_dtype())
def gives_the_worked_example(scaled_dot_product_attention, dtype):
    """With d_k = 4 the query (2 ln 3, 0, 0, 0) scores ln 3 and 0 with two keys: weights 3/4 and 1/4."""
    q = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]], dtype=dtype)
    k, v = torch.eye(4, dtype=dtype)[:2], torch.tensor([[4.0, 0.0], [0.0, 8.0]], dtype=dtype)
    close(scaled_dot_product_attention(q, k, v, None), torch.tensor([[3.0, 2.0]], dtype=dtype))
    only_the_second = torch.tensor([[False, True]])
    close(scaled_dot_product_attention(q, k, v, only_the_second), v[1:])


@check("scaled_dot_product_attention", points=1)
def averages_the_values(scaled_dot_product_attention, q, k, v, mask):
    """The weights sum to 1: the mean of equal values is their value, and 0 where nothing may be looked at."""
    mean = scaled_dot_product_attention(q, k, torch.ones_like(v), mask)
    allowed = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool) if mask is None else mask
    allowed = allowed.expand(*q.shape[:-1], k.shape[-2])
    close(mean, allowed.any(-1, keepdim=True).to(v.dtype).expand(*q.shape[:-1], v.shape[-1]))


@check("causal_mask", points=1)
def sees_itself_and_the_past(causal_mask):
    """Of three tokens the first sees itself, the second also the first, the third all: True means "sees"."""
    equal(causal_mask(3), torch.tensor([[True, False, False], [True, True, False], [True, True, True]]))


@check("padding_mask", points=1)
def gives_the_worked_example_of_three_sentences(padding_mask):
    """Sentences of 2, 0 and 3 tokens, padded to 4: True at the first 2, 0 and 3 places of their rows."""
    expected = [[True, True, False, False], [False, False, False, False], [True, True, True, False]]
    equal(padding_mask(torch.tensor([2, 0, 3]), 4), torch.tensor(expected))


@check("multi_head_attention", points=1)
def knows_no_order(multi_head_attention, x, w_q, w_k, w_v, w_o, n_heads):
    """Without a mask attention knows no order: permuted tokens give the same results, permuted."""
    straight = multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads)
    close(multi_head_attention(x.flip(1), w_q, w_k, w_v, w_o, n_heads, None), straight.flip(1))


@check("multi_head_attention", points=1, size=dimension("size"))
def heads_work_apart(multi_head_attention, x, w_q, w_k, w_v, n_heads, size):
    """With w_o = I a head's queries move only its own columns of the result: those of the others stay."""
    identity = torch.eye(x.shape[-1], dtype=x.dtype)
    other = torch.cat([1 - 2 * w_q[:, :size], w_q[:, size:]], -1)
    before = multi_head_attention(x, w_q, w_k, w_v, identity, n_heads, None)
    after = multi_head_attention(x, other, w_k, w_v, identity, n_heads, None)
    close(after[..., size:], before[..., size:])


@check("Block", points=1)
def hides_the_future(Block, dim, n_heads, hidden, state, x):
    """Under a causal mask the last token changes nothing that was computed for the tokens before it."""
    block = Block(dim, n_heads, hidden).load(state)
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    changed = torch.cat([x[:, :-1], 1 - 2 * x[:, -1:]], 1)
    close(block(changed, mask)[:, :-1], block(x, mask)[:, :-1])


@check("Block", points=1)
def adds_to_its_input(Block, dim, n_heads, hidden, state, x, mask):
    """Both halves are added to x: where w_o, w2 and b2 are zero the layer leaves x as it is."""
    silent = {name: 0 * value if name in ("w_o", "w2", "b2") else value for name, value in state.items()}
    close(Block(dim, n_heads, hidden).load(silent)(x, mask), x)
