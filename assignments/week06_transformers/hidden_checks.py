"""Week 6: the checks that only the instructor has; the battery comes on top."""

import torch
import torch.nn.functional as F

from autograder.author import check, close, dimension, equal, floating_dtype, mask

FEW, FEWER = 12, 8  # examples of a check of functions, and of layers


@check("causal_mask", points=1, examples=FEW)
def agrees_with_shorter_masks(causal_mask, n):
    """The mask of 25 tokens more begins with that of n, and its last token sees all of them."""
    longer = causal_mask(n + 25)
    equal(longer[:n, :n], causal_mask(n))
    equal(longer[-1], torch.ones(n + 25, dtype=torch.bool))


@check("padding_mask", points=1, examples=FEW)
def keeps_its_width(padding_mask, lengths, n):
    """Each row keeps as many tokens as its sequence has; more padding adds columns of False at the right."""
    equal(padding_mask(lengths, n).sum(-1), lengths)
    equal(padding_mask(lengths, n + 2), F.pad(padding_mask(lengths, n), (0, 2), value=False))


@check("attention_weights", points=1, examples=FEW, keep=mask(dims="1 n_k"))
def does_not_look_at_blocked_keys(attention_weights, q, k, keep):
    """The weights are the same whatever stands at a blocked key."""
    blocked = (~keep).mT.to(q.dtype)
    close(attention_weights(q, k + 2 * blocked, keep), attention_weights(q, k, keep))


@check("attention_weights", points=1, examples=1, dtype=floating_dtype())
def only_differences_of_scores_count(attention_weights, dtype):
    """Scores of 1024 and 1028 give the weights that 0 and 4 give, and the only key, however low, gets all."""
    q = torch.tensor([[16.0]], dtype=dtype)
    k = torch.tensor([[64.0], [64.25]], dtype=dtype)
    high = torch.sigmoid(torch.tensor([4.0], dtype=dtype))
    close(attention_weights(q, k, None), torch.stack([1 - high, high], -1))
    only = torch.tensor([[True, False]])
    close(attention_weights(q, -k, only), only.to(dtype))


@check("scaled_dot_product_attention", points=1, examples=FEW, keep=mask(dims="1 n_k"))
def blocked_keys_have_no_influence(scaled_dot_product_attention, q, k, v, keep):
    """What stands at a blocked key, and the value that belongs to it, makes no difference."""
    blocked = (~keep).mT.to(q.dtype)
    before = scaled_dot_product_attention(q, k, v, keep)
    close(scaled_dot_product_attention(q, k + 2 * blocked, v - 3 * blocked, keep), before)


@check("scaled_dot_product_attention", points=1, examples=FEW)
def answers_each_query_alone(scaled_dot_product_attention, q, k, v):
    """A query's answer depends on no other query; no mask is a mask of None."""
    together = scaled_dot_product_attention(q, k, v)
    close(scaled_dot_product_attention(q[..., -1:, :], k, v, None), together[..., -1:, :])


@check("scaled_dot_product_attention", points=1, examples=1, dtype=floating_dtype())
def scores_may_be_large(scaled_dot_product_attention, dtype):
    """Scores of 1024 and 1025 give the weights that 0 and 1 give, and the only key, however low, gets all."""
    q = torch.tensor([[16.0]], dtype=dtype)
    k = torch.tensor([[64.0], [64 + 2**-4]], dtype=dtype)
    v = torch.tensor([[1.0], [0.0]], dtype=dtype)
    close(scaled_dot_product_attention(q, k, v, None), torch.sigmoid(torch.tensor([[-1.0]], dtype=dtype)))
    close(scaled_dot_product_attention(q, -k, v, torch.tensor([[True, False]])), v[:1])


@check("cross_attention", points=1, examples=FEW, keep=mask(dims="1 m"))
def passes_over_masked_tokens(cross_attention, x_q, x_kv, w_q, w_k, w_v, keep):
    """What stands at a masked token of x_kv makes no difference; with all masked the results are zero."""
    changed = torch.where(keep.mT, x_kv, 2 - 3 * x_kv)
    before = cross_attention(x_q, x_kv, w_q, w_k, w_v, keep)
    close(cross_attention(x_q, changed, w_q, w_k, w_v, keep), before)
    none = torch.zeros_like(keep)
    close(cross_attention(x_q, x_kv, w_q, w_k, w_v, none), torch.zeros_like(before))


@check("cross_attention", points=1, examples=FEW)
def scales_by_the_width_of_a_key(cross_attention, x_q, x_kv, w_q, w_k, w_v):
    """Keys twice as wide, the second half of them zero, divide the scores by sqrt(2) more."""
    wide = torch.cat([w_q, w_q], -1), torch.cat([w_k, torch.zeros_like(w_k)], -1)
    close(
        cross_attention(x_q, x_kv, *wide, w_v, None), cross_attention(x_q, x_kv, w_q / 2**0.5, w_k, w_v, None)
    )


@check("multi_head_attention", points=1, examples=FEW)
def does_not_see_padding(multi_head_attention, x, w_q, w_k, w_v, w_o, n_heads):
    """With its padding masked a sequence has the results that it has without the padding."""
    padded = torch.cat([x, x.flip(1) + 1], 1)
    real = (torch.arange(padded.shape[1]) < x.shape[1]).expand(len(x), 1, 1, -1)
    alone = multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, None)
    close(multi_head_attention(padded, w_q, w_k, w_v, w_o, n_heads, real)[:, : x.shape[1]], alone)


@check("multi_head_attention", points=1, examples=FEW, size=dimension("size"))
def masks_each_head_for_itself(multi_head_attention, x, w_q, w_k, w_v, w_o, n_heads, size):
    """The first head, blocked entirely, adds nothing, just as if its columns of w_v were zero."""
    open_heads = (torch.arange(n_heads) > 0).reshape(-1, 1, 1).expand(-1, x.shape[1], x.shape[1])
    without = torch.cat([0 * w_v[:, :size], w_v[:, size:]], -1)
    expected = multi_head_attention(x, w_q, w_k, without, w_o, n_heads, None)
    close(multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, open_heads), expected)


@check("sinusoidal_positional_encoding", points=1, examples=FEW)
def does_not_know_the_length(sinusoidal_positional_encoding, n, dim, dtype):
    """A longer table begins with the shorter one: a row depends on its position and on dim alone."""
    longer = sinusoidal_positional_encoding(n + 7, dim, dtype)
    close(longer[:n], sinusoidal_positional_encoding(n, dim, dtype))


@check("sinusoidal_positional_encoding", points=1, examples=1, dtype=floating_dtype())
def turns_slower_from_pair_to_pair(sinusoidal_positional_encoding, dtype):
    """With dim = 8 the pairs turn by 1, 1/10, 1/100 and 1/1000 a step, never by 1/10000."""
    angle = torch.tensor([[1.0], [2.0], [12.0]], dtype=dtype) / torch.tensor([1, 10, 100, 1000], dtype=dtype)
    table = sinusoidal_positional_encoding(13, 8, dtype)[torch.tensor([1, 2, 12])]
    close(table[:, 0::2], angle.sin())
    close(table[:, 1::2], angle.cos())


@check("sinusoidal_positional_encoding", points=1, examples=1)
def is_in_single_precision_unless_told(sinusoidal_positional_encoding, n, dim):
    """Where no dtype is given, the table is float32."""
    equal(str(sinusoidal_positional_encoding(n, dim).dtype), "torch.float32")


@check("feed_forward", points=1, examples=FEW)
def grows_in_proportion(feed_forward, x, w1, b1, w2, b2):
    """The ReLU has no scale: 16 times x, b1 and b2 give 16 times the result, exactly."""
    before = feed_forward(x, w1, b1, w2, b2)
    close(feed_forward(16 * x, w1, 16 * b1, w2, 16 * b2), 16 * before)


def layer_norm(x, p, name):
    return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])


def feed(x, p):
    return torch.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


@check("PostLNBlock", points=1, examples=FEWER)
def a_single_token_by_hand(PostLNBlock, dim, n_heads, hidden, state, x):
    """For a single token attention is x w_v w_o: the layer can be computed by hand, half by half."""
    p, token = state | {"w1": 8 * state["w1"]}, x[:, :1]
    between = layer_norm(token + token @ p["w_v"] @ p["w_o"], p, "ln1")
    expected = layer_norm(between + feed(between, p), p, "ln2")
    close(PostLNBlock(dim, n_heads, hidden).load(p)(token), expected)


@check("PostLNBlock", points=1, examples=FEWER)
def tokens_meet_nowhere_else(PostLNBlock, dim, n_heads, hidden, state, x, mask):
    """Where w_o is zero every token goes its own way: the last one gives the same alone and among others."""
    deaf = {name: 0 * value if name == "w_o" else value for name, value in state.items()}
    block = PostLNBlock(dim, n_heads, hidden).load(deaf)
    close(block(x[:, -1:], None), block(x, mask)[:, -1:])


@check("Block", points=1, examples=FEWER)
def a_single_token_attends_to_itself(Block, dim, n_heads, hidden, state, x):
    """For a single token attention is x w_v w_o: the layer can be computed by hand, half by half."""
    p, token = state | {"w1": 8 * state["w1"]}, x[:, :1]
    between = token + layer_norm(token, p, "ln1") @ p["w_v"] @ p["w_o"]
    expected = between + feed(layer_norm(between, p, "ln2"), p)
    close(Block(dim, n_heads, hidden).load(p)(token), expected)


@check("Block", points=1, examples=FEWER)
def tokens_meet_in_attention_alone(Block, dim, n_heads, hidden, state, x, mask):
    """Where w_o is zero every token goes its own way: the last one gives the same alone and among others."""
    deaf = {name: 0 * value if name == "w_o" else value for name, value in state.items()}
    block = Block(dim, n_heads, hidden).load(deaf)
    close(block(x[:, -1:], None), block(x, mask)[:, -1:])


@check("GPT", points=1, examples=FEWER)
def the_first_token_goes_through_every_block(
    GPT, vocab, context, dim, n_heads, hidden, n_layers, state, tokens
):
    """The first token sees itself alone: attention is x w_v w_o, and its logits by hand, block by block."""
    x = state["token_embedding.weight"][tokens[:, :1]] + state["position_embedding.weight"][:1]
    for i in range(n_layers):
        p = {n.removeprefix(f"blocks.{i}."): t for n, t in state.items() if n.startswith(f"blocks.{i}.")}
        x = x + layer_norm(x, p, "ln1") @ p["w_v"] @ p["w_o"]
        x = x + feed(layer_norm(x, p, "ln2"), p)
    model = GPT(vocab, context, dim, n_heads, hidden, n_layers).load(state)
    close(model(tokens)[:, :1], layer_norm(x, state, "ln") @ state["unembedding"])


@check("GPT", points=1, examples=FEWER)
def a_prefix_has_its_logits_already(GPT, vocab, context, dim, n_heads, hidden, n_layers, state, tokens):
    """A beginning of a sequence, given alone, has the logits that it has in the whole."""
    model = GPT(vocab, context, dim, n_heads, hidden, n_layers).load(state)
    n = (tokens.shape[1] + 1) // 2
    close(model(tokens[:, :n]), model(tokens)[:, :n])


@check("attention_with_cache", points=1, examples=FEW)
def earlier_calls_are_not_lost(attention_with_cache, q, k, v, cache):
    """The new cache is the old one with the new keys and values behind it; the last token sees all of it."""
    out, (keys, values) = attention_with_cache(q, k, v, cache)
    old = (k[..., :0, :], v[..., :0, :]) if cache is None else cache
    close((keys, values), (torch.cat([old[0], k], -2), torch.cat([old[1], v], -2)))
    scores = q[..., -1:, :] @ keys.mT / k.shape[-1] ** 0.5
    close(out[..., -1:, :], scores.softmax(-1) @ values)


@check("attention_with_cache", points=1, examples=FEW)
def pieces_of_any_size_fit(attention_with_cache, q, k, v):
    """A prompt of n tokens and then n more, in two calls, have the results of one call with all 2 n."""
    n = q.shape[-2]
    q, k, v = (torch.cat([t, 0.5 - t.flip(-2)], -2) for t in (q, k, v))
    together, _ = attention_with_cache(q, k, v, None)
    first, cache = attention_with_cache(q[..., :n, :], k[..., :n, :], v[..., :n, :], None)
    second, _ = attention_with_cache(q[..., n:, :], k[..., n:, :], v[..., n:, :], cache)
    close(torch.cat([first, second], -2), together)


@check("masked_token_loss", points=1, examples=FEW)
def weighs_positions_not_sequences(masked_token_loss, logits, tokens, mask):
    """All masked positions weigh the same, whichever sequence they stand in: the losses of the sequences,
    weighted by their numbers of masked positions, make the loss of the batch."""
    counts = mask.sum(1).to(logits.dtype)
    total = sum(
        counts[b] * masked_token_loss(logits[b : b + 1], tokens[b : b + 1], mask[b : b + 1])
        for b in range(len(tokens))
    )
    close(masked_token_loss(logits, tokens, mask) * counts.sum(), total)


@check("masked_token_loss", points=1, examples=FEW)
def of_nothing_is_zero(masked_token_loss, logits, tokens, mask):
    """Where no position is masked the loss is 0, not NaN; and where all are it is the usual cross-entropy."""
    close(masked_token_loss(logits, tokens, torch.zeros_like(mask)), 0 * logits.sum())
    entropy = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    close(masked_token_loss(logits, tokens, torch.ones_like(mask)), entropy)


@check("DecoderBlock", points=1, examples=FEWER)
def a_single_token_and_a_single_memory(DecoderBlock, dim, n_heads, hidden, state, x, memory):
    """One token before a memory of one: both attentions are products of matrices, and all goes by hand."""
    p, token, one = state | {"w1": 8 * state["w1"]}, x[:, :1], memory[:, :1]
    y = token + layer_norm(token, p, "ln1") @ p["w_v"] @ p["w_o"]
    y = y + one @ p["c_v"] @ p["c_o"]
    close(DecoderBlock(dim, n_heads, hidden).load(p)(token, one, None), y + feed(layer_norm(y, p, "ln3"), p))


@check("DecoderBlock", points=1, examples=FEWER)
def takes_nothing_from_masked_memory(DecoderBlock, dim, n_heads, hidden, state, x, memory):
    """What stands at a masked place of the memory makes no difference, and where all is it adds nothing."""
    block = DecoderBlock(dim, n_heads, hidden).load(state)
    padded, keep = torch.cat([memory, 2 - memory], 1), torch.arange(2 * memory.shape[1]) < memory.shape[1]
    close(block(x, padded, keep.expand(len(x), 1, 1, -1)), block(x, memory, None))
    deaf = DecoderBlock(dim, n_heads, hidden).load(state | {"c_o": torch.zeros_like(state["c_o"])})
    none = torch.zeros(1, memory.shape[1], dtype=torch.bool)
    close(block(x, memory, none), deaf(x, memory, None))
