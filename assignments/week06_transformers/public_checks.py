"""Week 6: the checks that students have too."""

import math

import torch
import torch.nn.functional as F

from autograder.author import at_least, check, close, dimension, equal, floating_dtype, real

FEW, FEWER = 12, 8  # examples of a check of functions, and of layers


@check("causal_mask", points=1)
def sees_itself_and_the_past(causal_mask):
    """Of three tokens the first sees itself, the second also the first, the third all: True means "sees"."""
    equal(causal_mask(3), torch.tensor([[True, False, False], [True, True, False], [True, True, True]]))


@check("padding_mask", points=1)
def gives_the_worked_example_of_three_sentences(padding_mask):
    """Sentences of 2, 0 and 3 tokens, padded to 4: True at the first 2, 0 and 3 places of their rows."""
    expected = [[True, True, False, False], [False, False, False, False], [True, True, True, False]]
    equal(padding_mask(torch.tensor([2, 0, 3]), 4), torch.tensor(expected))


@check("attention_weights", points=1, examples=1, dtype=floating_dtype())
def gives_the_worked_weights(attention_weights, dtype):
    """With d_k = 4 the query (2 ln 3, 0, 0, 0) scores ln 3 and 0 with two keys: weights 3/4 and 1/4."""
    q = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]], dtype=dtype)
    k = torch.eye(4, dtype=dtype)[:2]
    close(attention_weights(q, k), torch.tensor([[0.75, 0.25]], dtype=dtype))
    close(attention_weights(q, k, torch.tensor([[False, True]])), torch.tensor([[0.0, 1.0]], dtype=dtype))


@check("attention_weights", points=1, examples=FEW)
def shares_out_one_among_the_open_keys(attention_weights, q, k, mask):
    """No weight is negative, a blocked key has exactly 0, and those of the open keys, if any, sum to 1."""
    weights = attention_weights(q, k, mask)
    open_keys = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool) if mask is None else mask
    open_keys = open_keys.expand(*q.shape[:-1], k.shape[-2])
    at_least(weights, 0)
    equal(weights.masked_fill(open_keys, 0), torch.zeros_like(weights))
    close(weights.sum(-1), open_keys.any(-1).to(q.dtype))


@check("scaled_dot_product_attention", points=1, examples=1, dtype=floating_dtype())
def gives_the_worked_example(scaled_dot_product_attention, dtype):
    """The weights 3/4 and 1/4 make (3, 2) of the values (4, 0) and (0, 8); the second alone is (0, 8)."""
    q = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]], dtype=dtype)
    k, v = torch.eye(4, dtype=dtype)[:2], torch.tensor([[4.0, 0.0], [0.0, 8.0]], dtype=dtype)
    close(scaled_dot_product_attention(q, k, v, None), torch.tensor([[3.0, 2.0]], dtype=dtype))
    only_the_second = torch.tensor([[False, True]])
    close(scaled_dot_product_attention(q, k, v, only_the_second), v[1:])


@check("scaled_dot_product_attention", points=1, examples=FEW)
def averages_the_values(scaled_dot_product_attention, q, k, v, mask):
    """The weights sum to 1: the mean of equal values is their value, and 0 where nothing may be looked at."""
    mean = scaled_dot_product_attention(q, k, torch.ones_like(v), mask)
    allowed = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool) if mask is None else mask
    allowed = allowed.expand(*q.shape[:-1], k.shape[-2])
    close(mean, allowed.any(-1, keepdim=True).to(v.dtype).expand(*q.shape[:-1], v.shape[-1]))


@check("cross_attention", points=1, examples=FEW)
def gives_each_query_a_value(cross_attention, x_q, x_kv, w_q, w_k, w_v):
    """With w_k = 0 all weights are 1 / m: each of the n queries gets the mean of the m values, d_v wide."""
    mean = (x_kv @ w_v).mean(-2, keepdim=True).expand(*x_q.shape[:-1], w_v.shape[-1])
    close(cross_attention(x_q, x_kv, w_q, torch.zeros_like(w_k), w_v), mean)


@check("cross_attention", points=1, examples=FEW)
def reads_a_set(cross_attention, x_q, x_kv, w_q, w_k, w_v):
    """What is attended to is a set: its order makes no difference, while each query keeps its own result."""
    straight = cross_attention(x_q, x_kv, w_q, w_k, w_v, None)
    close(cross_attention(x_q, x_kv.flip(-2), w_q, w_k, w_v, None), straight)
    close(cross_attention(x_q.flip(-2), x_kv, w_q, w_k, w_v, None), straight.flip(-2))


@check("multi_head_attention", points=1, examples=FEW)
def knows_no_order(multi_head_attention, x, w_q, w_k, w_v, w_o, n_heads):
    """Without a mask attention knows no order: permuted tokens give the same results, permuted."""
    straight = multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads)
    close(multi_head_attention(x.flip(1), w_q, w_k, w_v, w_o, n_heads, None), straight.flip(1))


@check("multi_head_attention", points=1, examples=FEW, size=dimension("size"))
def heads_work_apart(multi_head_attention, x, w_q, w_k, w_v, n_heads, size):
    """With w_o = I a head's queries move only its own columns of the result: those of the others stay."""
    identity = torch.eye(x.shape[-1], dtype=x.dtype)
    other = torch.cat([1 - 2 * w_q[:, :size], w_q[:, size:]], -1)
    before = multi_head_attention(x, w_q, w_k, w_v, identity, n_heads, None)
    after = multi_head_attention(x, other, w_k, w_v, identity, n_heads, None)
    close(after[..., size:], before[..., size:])


@check("sinusoidal_positional_encoding", points=1, examples=1, dtype=floating_dtype())
def gives_the_first_rows_of_the_table(sinusoidal_positional_encoding, dtype):
    """For dim = 4, row 0 is 0, 1, 0, 1 and row 1 is sin 1, cos 1, sin 0.01, cos 0.01."""
    one = [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]
    expected = torch.tensor([[0, 1, 0, 1], one], dtype=dtype)
    close(sinusoidal_positional_encoding(2, 4, dtype), expected)


@check("sinusoidal_positional_encoding", points=1, examples=FEW)
def turns_each_pair_on_the_unit_circle(sinusoidal_positional_encoding, n, dim, dtype):
    """Sine and cosine of one angle stand side by side, so that the squares of each pair sum to 1."""
    pairs = sinusoidal_positional_encoding(n, dim, dtype).reshape(n, dim // 2, 2)
    close(pairs.square().sum(-1), torch.ones(n, dim // 2, dtype=dtype))


@check("sinusoidal_positional_encoding", points=1, examples=FEW)
def knows_the_distance_of_two_positions(sinusoidal_positional_encoding, n, dim, dtype):
    """The scalar product of two rows depends on their distance alone, because a step turns every pair."""
    table = sinusoidal_positional_encoding(n + 1, dim, dtype)
    products = table @ table.T
    close(products[1:, 1:], products[:-1, :-1])


@check("feed_forward", points=1, examples=1, dtype=floating_dtype())
def gives_the_worked_numbers(feed_forward, dtype):
    """For x = (1, 2) the hidden units are 4, -3 and 1, after the ReLU 4, 0 and 1: the result is (6, -3)."""
    x = torch.tensor([[1.0, 2.0]], dtype=dtype)
    w1 = torch.tensor([[1.0, -1.0, 1.0], [1.0, -1.0, 0.5]], dtype=dtype)
    b1 = torch.tensor([1.0, 0.0, -1.0], dtype=dtype)
    w2 = torch.tensor([[1.0, 0.0], [5.0, 7.0], [2.0, -1.0]], dtype=dtype)
    b2 = torch.tensor([0.0, -2.0], dtype=dtype)
    close(feed_forward(x, w1, b1, w2, b2), torch.tensor([[6.0, -3.0]], dtype=dtype))


@check("feed_forward", points=1, examples=FEW)
def answers_each_token_alone(feed_forward, x, w1, b1, w2, b2):
    """A token has the same result alone as among others: tokens don't meet here."""
    close(feed_forward(x[-1:], w1, b1, w2, b2), feed_forward(x, w1, b1, w2, b2)[-1:])


def causal(n):
    return torch.arange(n)[:, None] >= torch.arange(n)


@check("PostLNBlock", points=1, examples=FEWER)
def ends_normalised(PostLNBlock, dim, n_heads, hidden, state, x, mask):
    """Its last step is ln2: with scale 1 and shift 1 the entries of every token average 1."""
    ones = torch.ones_like(state["ln2.bias"])
    block = PostLNBlock(dim, n_heads, hidden).load(state | {"ln2.weight": ones, "ln2.bias": ones})
    close(block(x, mask).mean(-1), torch.ones_like(x[..., 0]))


@check("PostLNBlock", points=1, examples=FEWER)
def keeps_the_future_hidden(PostLNBlock, dim, n_heads, hidden, state, x):
    """Under a causal mask the last token changes nothing that was computed for the tokens before it."""
    block = PostLNBlock(dim, n_heads, hidden).load(state)
    changed = torch.cat([x[:, :-1], 1 - 2 * x[:, -1:]], 1)
    close(block(changed, causal(x.shape[1]))[:, :-1], block(x, causal(x.shape[1]))[:, :-1])


@check("Block", points=1, examples=FEWER)
def hides_the_future(Block, dim, n_heads, hidden, state, x):
    """Under a causal mask the last token changes nothing that was computed for the tokens before it."""
    block = Block(dim, n_heads, hidden).load(state)
    changed = torch.cat([x[:, :-1], 1 - 2 * x[:, -1:]], 1)
    close(block(changed, causal(x.shape[1]))[:, :-1], block(x, causal(x.shape[1]))[:, :-1])


@check("Block", points=1, examples=FEWER)
def adds_to_its_input(Block, dim, n_heads, hidden, state, x, mask):
    """Both halves are added to x: where w_o, w2 and b2 are zero the layer leaves x as it is."""
    silent = {name: 0 * value if name in ("w_o", "w2", "b2") else value for name, value in state.items()}
    close(Block(dim, n_heads, hidden).load(silent)(x, mask), x)


@check("GPT", points=1, examples=FEWER)
def a_later_token_changes_no_earlier_logits(
    GPT, vocab, context, dim, n_heads, hidden, n_layers, state, tokens
):
    """Another last token leaves all logits before it as they were: they predict it."""
    model = GPT(vocab, context, dim, n_heads, hidden, n_layers).load(state)
    changed = torch.cat([tokens[:, :-1], (tokens[:, -1:] + 1) % vocab], 1)
    close(model(changed)[:, :-1], model(tokens)[:, :-1])


@check("GPT", points=1, examples=FEWER)
def reads_tokens_and_positions(GPT, vocab, context, dim, n_heads, hidden, n_layers, state, tokens):
    """With silent blocks (w_o, w2 and b2 zero) the logits are ln(token + position embedding) unembedding."""
    silent = {n: 0 * t if n.endswith(("w_o", "w2", "b2")) else t for n, t in state.items()}
    x = state["token_embedding.weight"][tokens] + state["position_embedding.weight"][: tokens.shape[1]]
    normal = F.layer_norm(x, (dim,), state["ln.weight"], state["ln.bias"])
    logits = GPT(vocab, context, dim, n_heads, hidden, n_layers).load(silent)(tokens)
    close(logits, normal @ state["unembedding"])


@check("attention_with_cache", points=1, examples=FEW)
def token_by_token_is_all_at_once(attention_with_cache, q, k, v, cache):
    """One token at a time, each with the cache of the call before, gives the results of a single call."""
    together, kept = attention_with_cache(q, k, v, cache)
    for i in range(q.shape[-2]):
        token = [t[..., i : i + 1, :] for t in (q, k, v)]
        one, cache = attention_with_cache(*token, cache)
        close(one, together[..., i : i + 1, :])
    close(cache, kept)


@check("attention_with_cache", points=1, examples=FEW)
def the_first_token_sees_itself_alone(attention_with_cache, q, k, v):
    """Without a cache the first token has only its own value to take, and the new cache is (k, v)."""
    out, kept = attention_with_cache(q, k, v, None)
    close(out[..., :1, :], v[..., :1, :])
    close(kept, (k, v))


@check("masked_token_loss", points=1, examples=1, logits=real(dims="2 3 4"))
def of_equal_logits_is_the_logarithm_of_the_vocabulary(masked_token_loss, logits):
    """A model that finds 4 tokens equally likely loses log 4 nats at each position, and so on average."""
    tokens = torch.tensor([[0, 3, 1], [2, 2, 0]])
    mask = torch.tensor([[True, False, True], [False, True, False]])
    close(masked_token_loss(torch.zeros_like(logits), tokens, mask), math.log(4))


@check("masked_token_loss", points=1, examples=FEW)
def counts_masked_positions_alone(masked_token_loss, logits, tokens, mask):
    """What the model says of tokens that it saw makes no difference."""
    elsewhere = torch.where(mask.unsqueeze(-1), logits, 1 - 2 * logits)
    close(masked_token_loss(elsewhere, tokens, mask), masked_token_loss(logits, tokens, mask))


@check("DecoderBlock", points=1, examples=FEWER)
def hides_the_future_but_not_the_memory(DecoderBlock, dim, n_heads, hidden, state, x, memory, memory_mask):
    """The last token changes nothing before it; and the memory is a set, whose order makes no difference."""
    block = DecoderBlock(dim, n_heads, hidden).load(state)
    before = block(x, memory, memory_mask)
    changed = torch.cat([x[:, :-1], 1 - 2 * x[:, -1:]], 1)
    close(block(changed, memory, memory_mask)[:, :-1], before[:, :-1])
    turned = None if memory_mask is None else memory_mask.flip(-1)
    close(block(x, memory.flip(1), turned), before)


@check("DecoderBlock", points=1, examples=FEWER)
def takes_the_mean_of_the_memory(DecoderBlock, dim, n_heads, hidden, state, x, memory):
    """With c_k = 0 every token takes the mean of memory c_v c_o, and, with w_o, w2 and b2 zero, no more."""
    silent = {n: 0 * t if n in ("w_o", "w2", "b2", "c_k") else t for n, t in state.items()}
    mean = (memory @ state["c_v"] @ state["c_o"]).mean(1, keepdim=True)
    close(DecoderBlock(dim, n_heads, hidden).load(silent)(x, memory), x + mean)
