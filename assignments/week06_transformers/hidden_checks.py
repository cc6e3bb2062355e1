"""Week 6: the checks that only the instructor has; the battery comes on top."""

import torch
import torch.nn.functional as F

from autograder.author import check, close, dimension, equal, floating_dtype, mask


@check("scaled_dot_product_attention", points=1, keep=mask(dims="1 n_k"))
def blocked_keys_have_no_influence(scaled_dot_product_attention, q, k, v, keep):
    """What stands at a blocked key, and the value that belongs to it, makes no difference."""
    blocked = (~keep).mT.to(q.dtype)
    before = scaled_dot_product_attention(q, k, v, keep)
    close(scaled_dot_product_attention(q, k + 2 * blocked, v - 3 * blocked, keep), before)


@check("scaled_dot_product_attention", points=1)
def answers_each_query_alone(scaled_dot_product_attention, q, k, v):
    """A query's answer depends on no other query; no mask is a mask of None."""
    together = scaled_dot_product_attention(q, k, v)
    close(scaled_dot_product_attention(q[..., -1:, :], k, v, None), together[..., -1:, :])


@check("scaled_dot_product_attention", points=1, dtype=floating_dtype())
def only_differences_of_scores_count(scaled_dot_product_attention, dtype):
    """Scores of 1024 and 1025 give the weights that 0 and 1 give, and the only key, however low, gets all."""
    q = torch.tensor([[16.0]], dtype=dtype)
    k = torch.tensor([[64.0], [64 + 2**-4]], dtype=dtype)
    v = torch.tensor([[1.0], [0.0]], dtype=dtype)
    close(scaled_dot_product_attention(q, k, v, None), torch.sigmoid(torch.tensor([[-1.0]], dtype=dtype)))
    close(scaled_dot_product_attention(q, -k, v, torch.tensor([[True, False]])), v[:1])


@check("causal_mask", points=1)
def agrees_with_shorter_masks(causal_mask, n):
    """The mask of 25 tokens more begins with that of n, and its last token sees all of them."""
    longer = causal_mask(n + 25)
    equal(longer[:n, :n], causal_mask(n))
    equal(longer[-1], torch.ones(n + 25, dtype=torch.bool))


@check("padding_mask", points=1)
def keeps_its_width(padding_mask, lengths, n):
    """Each row keeps as many tokens as its sequence has; more padding adds columns of False at the right."""
    equal(padding_mask(lengths, n).sum(-1), lengths)
    equal(padding_mask(lengths, n + 2), F.pad(padding_mask(lengths, n), (0, 2), value=False))


@check("multi_head_attention", points=1)
def does_not_see_padding(multi_head_attention, x, w_q, w_k, w_v, w_o, n_heads):
    """With its padding masked a sequence has the results that it has without the padding."""
    padded = torch.cat([x, x.flip(1) + 1], 1)
    real = (torch.arange(padded.shape[1]) < x.shape[1]).expand(len(x), 1, 1, -1)
    alone = multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, None)
    close(multi_head_attention(padded, w_q, w_k, w_v, w_o, n_heads, real)[:, : x.shape[1]], alone)


@check("multi_head_attention", points=1, size=dimension("size"))
def masks_each_head_for_itself(multi_head_attention, x, w_q, w_k, w_v, w_o, n_heads, size):
    """The first head, blocked entirely, adds nothing, just as if its columns of w_v were zero."""
    open_heads = (torch.arange(n_heads) > 0).reshape(-1, 1, 1).expand(-1, x.shape[1], x.shape[1])
    without = torch.cat([0 * w_v[:, :size], w_v[:, size:]], -1)
    expected = multi_head_attention(x, w_q, w_k, without, w_o, n_heads, None)
    close(multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, open_heads), expected)


@check("Block", points=1)
def a_single_token_attends_to_itself(Block, dim, n_heads, hidden, state, x):
    """For a single token attention is x w_v w_o: the layer can be computed by hand, half by half."""
    p, token = state | {"w1": 8 * state["w1"]}, x[:, :1]
    normal = F.layer_norm(token, (dim,), p["ln1.weight"], p["ln1.bias"])
    between = token + normal @ p["w_v"] @ p["w_o"]
    normal = F.layer_norm(between, (dim,), p["ln2.weight"], p["ln2.bias"])
    expected = between + torch.relu(normal @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
    close(Block(dim, n_heads, hidden).load(p)(token), expected)


@check("Block", points=1)
def tokens_meet_in_attention_alone(Block, dim, n_heads, hidden, state, x, mask):
    """Where w_o is zero every token goes its own way: the last one gives the same alone and among others."""
    deaf = {name: 0 * value if name == "w_o" else value for name, value in state.items()}
    block = Block(dim, n_heads, hidden).load(deaf)
    close(block(x[:, -1:], None), block(x, mask)[:, -1:])
