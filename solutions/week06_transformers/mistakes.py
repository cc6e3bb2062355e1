"""Week 6: wrong ways to write the answers, each with the misunderstanding behind it."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.author import mistake
from reference_impl import transformers


@mistake(
    "causal_mask", "Your mask lets a token see the future and hides its past: keep keys j <= i, not j >= i."
)
def upper_triangle(n):
    return torch.ones(n, n, dtype=torch.bool).triu()


@mistake(
    "causal_mask", "A token may attend to itself: the diagonal is True, otherwise the first one has nothing."
)
def without_the_diagonal(n):
    return torch.ones(n, n, dtype=torch.bool).tril(-1)


@mistake("causal_mask", "Your True means blocked; in this course True means that a key may be attended to.")
def true_blocks(n):
    return torch.ones(n, n, dtype=torch.bool).triu(1)


@mistake(
    "causal_mask", "The mask is boolean; these are numbers, and ~mask or torch.where would not work on them."
)
def ones_and_zeros(n):
    return torch.ones(n, n).tril()


@mistake("causal_mask", "This is the additive mask of 0 and -inf; the course's masks are boolean.")
def additive(n):
    return torch.full((n, n), -math.inf).triu(1)


@mistake("causal_mask", "A token sees all tokens before it, not only the previous one.")
def only_the_previous_token(n):
    return torch.ones(n, n, dtype=torch.bool).tril().triu(-1)


@mistake(
    "causal_mask",
    "Your triangle has one token too many: a query may not see the next token, which it predicts.",
)
def sees_the_next_token(n):
    return torch.ones(n, n, dtype=torch.bool).tril(1)


@mistake(
    "padding_mask", "Your True marks the padding; in this course True marks what takes part, the real tokens."
)
def true_marks_padding(lengths, n):
    return torch.arange(n) >= lengths.unsqueeze(-1)


@mistake(
    "padding_mask", "You keep one token too many: positions count from 0, so the last real one is length - 1."
)
def one_too_many(lengths, n):
    return torch.arange(n) <= lengths.unsqueeze(-1)


@mistake("padding_mask", "You keep one token too few: position 0 is a real token too.")
def one_too_few(lengths, n):
    return torch.arange(1, n + 1) < lengths.unsqueeze(-1)


@mistake("padding_mask", "Your sequences stand at the right; here the padding follows the tokens.")
def padded_on_the_left(lengths, n):
    return torch.arange(n) >= n - lengths.unsqueeze(-1)


@mistake(
    "padding_mask",
    "Your mask is as wide as the longest sequence; it needs n columns, as many as there are tokens.",
)
def as_wide_as_the_longest(lengths, n):
    return torch.arange(int(lengths.max())) < lengths.unsqueeze(-1)


@mistake("padding_mask", "Batch and position have changed places: row b of the mask belongs to sequence b.")
def transposed(lengths, n):
    return torch.arange(n).unsqueeze(-1) < lengths


@mistake(
    "padding_mask",
    "The mask of a batch is (B, n) here; the dimensions for heads and queries are added where used.",
)
def with_dimensions_of_heads_and_queries(lengths, n):
    return (torch.arange(n) < lengths.unsqueeze(-1))[:, None, None, :]


@mistake("padding_mask", "You change the lengths of the caller: `-=` on an argument works in place.")
def counts_the_lengths_down(lengths, n):
    mask = torch.zeros(len(lengths), n, dtype=torch.bool)
    for j in range(n):
        mask[:, j] = lengths > 0
        lengths -= 1
    return mask


def _weights(scores, mask):
    """softmax(scores) as it should be."""
    if mask is None:
        return scores.softmax(-1)
    return scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0)


def _attend(scores, v, mask):
    return _weights(scores, mask) @ v


@mistake("attention_weights", "The scores are not scaled: divide q k^T by sqrt(d_k).")
def weights_without_the_scale(q, k, mask=None):
    return _weights(q @ k.mT, mask)


@mistake("attention_weights", "You divide the scores by d_k; their standard deviation is sqrt(d_k).")
def weights_scaled_without_the_root(q, k, mask=None):
    return _weights(q @ k.mT / k.shape[-1], mask)


@mistake("attention_weights", "You scale by the number of keys; it is sqrt(d_k), the width of one key.")
def weights_scaled_by_the_number_of_keys(q, k, mask=None):
    return _weights(q @ k.mT / math.sqrt(k.shape[-2]), mask)


@mistake(
    "attention_weights",
    "Your softmax runs over the queries, and columns sum to 1; each query spreads its weight over the keys.",
)
def columns_that_sum_to_one(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return scores.softmax(-2)
    return scores.masked_fill(~mask, -math.inf).softmax(-2).masked_fill(~mask, 0)


@mistake("attention_weights", "These are the scores; a softmax over the keys makes weights of them.")
def scores_for_weights(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return scores if mask is None else scores.masked_fill(~mask, 0)


@mistake("attention_weights", "Your mask is upside down: True means that the key may be attended to.")
def weights_where_true_blocks(q, k, mask=None):
    return _weights(q @ k.mT / math.sqrt(k.shape[-1]), None if mask is None else ~mask)


@mistake("attention_weights", "The mask has no effect on your weights.")
def weights_without_the_mask(q, k, mask=None):
    return _weights(q @ k.mT / math.sqrt(k.shape[-1]), None)


@mistake(
    "attention_weights",
    "You mask after the softmax: blocked keys are still in the denominator, and the rest doesn't sum to 1.",
)
def weights_masked_after_the_softmax(q, k, mask=None):
    weights = _weights(q @ k.mT / math.sqrt(k.shape[-1]), None)
    return weights if mask is None else weights * mask


@mistake(
    "attention_weights", "You set blocked scores to 0, which is a score like any other: exp(0) = 1. Use -inf."
)
def zero_scores_for_blocked_keys(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return (scores if mask is None else scores * mask).softmax(-1)


@mistake(
    "attention_weights",
    "A query with nothing to attend to has NaN for weights: the softmax of only -inf is 0 / 0.",
)
def nan_weights(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1)


@mistake(
    "attention_weights",
    "Filled with a large negative number, a row without open keys gets equal weights: they should be 0.",
)
def equal_weights_where_nothing_is_left(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1)


@mistake(
    "attention_weights",
    "-10 is not low enough for a blocked score: it takes its share, most of it where open scores are lower.",
)
def blocked_scores_of_minus_ten(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return scores.softmax(-1)
    return scores.masked_fill(~mask, -10.0).softmax(-1).masked_fill(~mask, 0)


@mistake(
    "attention_weights",
    "The weights are right, their gradients are NaN: nan_to_num comes after the NaN of the softmax, whose "
    "derivative is still 0 times NaN. Clear it where the scores are filled.",
)
def weights_with_nan_in_the_gradient(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -math.inf)
    return scores.softmax(-1).nan_to_num()


@mistake(
    "attention_weights",
    "You count dimensions from the front: keys are dimension 2 of one batch only; the softmax is over -1.",
)
def weights_for_one_batch_dimension(q, k, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return scores.softmax(2)
    return scores.masked_fill(~mask, -math.inf).softmax(2).masked_fill(~mask, 0)


@mistake(
    "attention_weights", "Large scores overflow in exp: subtract the row's maximum, or use torch.softmax."
)
def weights_that_overflow(q, k, mask=None):
    e = (q @ k.mT / math.sqrt(k.shape[-1])).exp()
    e = e if mask is None else e * mask
    total = e.sum(-1, keepdim=True)
    return e / torch.where(total > 0, total, 1.0)


@mistake("attention_weights", "`/=` changes the caller's q in place.")
def weights_that_scale_the_callers_query(q, k, mask=None):
    q /= math.sqrt(k.shape[-1])
    return _weights(q @ k.mT, mask)


@mistake("attention_weights", "You compute in float32 whatever comes in: keep the dtype of the inputs.")
def weights_in_float32(q, k, mask=None):
    return _weights(q.float() @ k.float().mT / math.sqrt(k.shape[-1]), mask)


@mistake("attention_weights", "The weights are cut off from the graph: no gradient reaches q and k.")
def weights_off_the_graph(q, k, mask=None):
    return transformers.attention_weights(q, k, mask).detach()


@mistake("scaled_dot_product_attention", "The scores are not scaled: divide q k^T by sqrt(d_k).")
def without_the_scale(q, k, v, mask=None):
    return _attend(q @ k.mT, v, mask)


@mistake(
    "scaled_dot_product_attention", "You divide the scores by d_k; their standard deviation is sqrt(d_k)."
)
def scaled_without_the_root(q, k, v, mask=None):
    return _attend(q @ k.mT / k.shape[-1], v, mask)


@mistake(
    "scaled_dot_product_attention",
    "You scale by the width of the values; the scores sum over the d_k of the keys.",
)
def scaled_by_the_values_width(q, k, v, mask=None):
    return _attend(q @ k.mT / math.sqrt(v.shape[-1]), v, mask)


@mistake(
    "scaled_dot_product_attention", "You scale by the number of keys; it is sqrt(d_k), the width of one key."
)
def scaled_by_the_number_of_keys(q, k, v, mask=None):
    return _attend(q @ k.mT / math.sqrt(k.shape[-2]), v, mask)


@mistake(
    "scaled_dot_product_attention",
    "Your softmax runs over the queries; each query spreads its weight over the keys.",
)
def softmax_over_queries(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return scores.softmax(-2) @ v
    return scores.masked_fill(~mask, -math.inf).softmax(-2).masked_fill(~mask, 0) @ v


@mistake(
    "scaled_dot_product_attention", "Your mask is upside down: True means that the key may be attended to."
)
def true_means_blocked(q, k, v, mask=None):
    return _attend(q @ k.mT / math.sqrt(k.shape[-1]), v, None if mask is None else ~mask)


@mistake("scaled_dot_product_attention", "The mask has no effect in your answer.")
def ignores_the_mask(q, k, v, mask=None):
    return _attend(q @ k.mT / math.sqrt(k.shape[-1]), v, None)


@mistake(
    "scaled_dot_product_attention",
    "A query with nothing to attend to gives NaN: the softmax of only -inf is 0 / 0.",
)
def nan_where_nothing_is_left(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1) @ v


@mistake(
    "scaled_dot_product_attention",
    "Filled with a large negative number a row without keys gets equal weights: it averages blocked values.",
)
def mean_where_nothing_is_left(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1) @ v


@mistake(
    "scaled_dot_product_attention",
    "You mask after the softmax: blocked keys are still in the denominator, and the rest doesn't sum to 1.",
)
def masks_after_the_softmax(q, k, v, mask=None):
    weights = (q @ k.mT / math.sqrt(k.shape[-1])).softmax(-1)
    return (weights if mask is None else weights * mask) @ v


@mistake(
    "scaled_dot_product_attention",
    "You set blocked scores to 0, a score like any other: exp(0) = 1. Use -inf.",
)
def zero_for_blocked_scores(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    return (scores if mask is None else scores * mask).softmax(-1) @ v


@mistake(
    "scaled_dot_product_attention",
    "The values are right, but the gradients are NaN: nan_to_num comes after the NaN of the softmax, and its "
    "derivative is still 0 times NaN. Clear it where the scores are filled.",
)
def nan_in_the_gradient(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -math.inf)
    return scores.softmax(-1).nan_to_num() @ v


@mistake(
    "scaled_dot_product_attention",
    "You count dimensions from the front: keys are dimension 2 of one batch only; the softmax is over -1.",
)
def for_one_batch_dimension_only(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    if mask is None:
        return scores.softmax(2) @ v
    return scores.masked_fill(~mask, -math.inf).softmax(2).masked_fill(~mask, 0) @ v


@mistake(
    "scaled_dot_product_attention",
    "Large scores overflow in exp: subtract the row's maximum, or use torch.softmax.",
)
def exponentials_that_overflow(q, k, v, mask=None):
    e = (q @ k.mT / math.sqrt(k.shape[-1])).exp()
    e = e if mask is None else e * mask
    total = e.sum(-1, keepdim=True)
    return e @ v / torch.where(total > 0, total, 1.0)


@mistake("scaled_dot_product_attention", "`/=` changes the caller's q in place.")
def scales_the_callers_query(q, k, v, mask=None):
    q /= math.sqrt(k.shape[-1])
    return _attend(q @ k.mT, v, mask)


@mistake(
    "scaled_dot_product_attention", "You compute in float32 whatever comes in: keep the dtype of the inputs."
)
def always_in_float32(q, k, v, mask=None):
    return _attend(q.float() @ k.float().mT / math.sqrt(k.shape[-1]), v.float(), mask)


@mistake(
    "scaled_dot_product_attention", "The weights are cut off from the graph: no gradient reaches q and k."
)
def detached_weights(q, k, v, mask=None):
    return _attend((q @ k.mT / math.sqrt(k.shape[-1])).detach(), v, mask)


@mistake("cross_attention", "Keys and values come from x_q in your answer: that is self-attention.")
def attends_to_itself(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return transformers.cross_attention(x_q, x_q, w_q, w_k, w_v)


@mistake(
    "cross_attention",
    "Both sides have changed places: queries come from x_q, keys and values from x_kv; one result per query.",
)
def the_memory_asks(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return transformers.cross_attention(x_kv, x_q, w_q, w_k, w_v, None if mask is None else mask.mT)


@mistake("cross_attention", "Your values come from x_q; what is taken up stands in x_kv, as the keys do.")
def values_of_the_queries(x_q, x_kv, w_q, w_k, w_v, mask=None):
    scores = x_q @ w_q @ (x_kv @ w_k).mT / math.sqrt(w_k.shape[-1])
    return _attend(scores, x_q @ w_v, mask)


@mistake("cross_attention", "Your values are the keys: they have a matrix of their own, w_v.")
def keys_for_values(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return transformers.cross_attention(x_q, x_kv, w_q, w_k, w_k, mask)


@mistake("cross_attention", "You average the tokens themselves; the values are x_kv w_v.")
def tokens_for_values(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return transformers.attention_weights(x_q @ w_q, x_kv @ w_k, mask) @ x_kv


@mistake(
    "cross_attention",
    "You scale by the width of the tokens; a score sums over the d_k columns of query and key.",
)
def scaled_by_the_width_of_a_token(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return _attend(x_q @ w_q @ (x_kv @ w_k).mT / math.sqrt(x_q.shape[-1]), x_kv @ w_v, mask)


@mistake(
    "cross_attention", "You scale by the width of a value; a score sums over the d_k columns of the keys."
)
def scaled_by_the_width_of_a_value(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return _attend(x_q @ w_q @ (x_kv @ w_k).mT / math.sqrt(w_v.shape[-1]), x_kv @ w_v, mask)


@mistake("cross_attention", "The scores are not divided by sqrt(d_k).")
def cross_scores_without_the_scale(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return _attend(x_q @ w_q @ (x_kv @ w_k).mT, x_kv @ w_v, mask)


@mistake(
    "cross_attention",
    "You hide the future of x_kv: a causal mask belongs into self-attention; here all m tokens are known.",
)
def causal_across(x_q, x_kv, w_q, w_k, w_v, mask=None):
    causal = torch.ones(x_q.shape[-2], x_kv.shape[-2], dtype=torch.bool).tril()
    return transformers.cross_attention(x_q, x_kv, w_q, w_k, w_v, causal if mask is None else causal & mask)


@mistake("cross_attention", "The mask has no effect: it says which tokens of x_kv may be attended to.")
def across_without_the_mask(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return transformers.cross_attention(x_q, x_kv, w_q, w_k, w_v)


@mistake("cross_attention", "A query with nothing to attend to gives NaN; it should give zeros.")
def nan_across(x_q, x_kv, w_q, w_k, w_v, mask=None):
    scores = x_q @ w_q @ (x_kv @ w_k).mT / math.sqrt(w_k.shape[-1])
    return (scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1) @ (x_kv @ w_v)


@mistake(
    "cross_attention", "You add x_q to the result; the residual connection belongs to the layer around it."
)
def across_with_a_residual(x_q, x_kv, w_q, w_k, w_v, mask=None):
    out = transformers.cross_attention(x_q, x_kv, w_q, w_k, w_v, mask)
    return out + x_q if x_q.shape[-1] == w_v.shape[-1] else out


@mistake("cross_attention", "x_kv is detached: no gradient reaches it, so nothing could train what made it.")
def detached_memory(x_q, x_kv, w_q, w_k, w_v, mask=None):
    return transformers.cross_attention(x_q, x_kv.detach(), w_q, w_k, w_v, mask)


def _split(y, n_heads):
    """(B, n, dim) -> (B, heads, n, size) as it should be."""
    return y.unflatten(-1, (n_heads, -1)).transpose(1, 2)


@mistake(
    "multi_head_attention",
    "Your heads are interleaved: head h takes every n_heads-th column, not a contiguous slice of them.",
)
def interleaved_heads(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = ((x @ w).unflatten(-1, (-1, n_heads)).movedim(-1, 1) for w in (w_q, w_k, w_v))
    return _attend(q @ k.mT / math.sqrt(q.shape[-1]), v, mask).movedim(1, -1).flatten(-2) @ w_o


@mistake(
    "multi_head_attention",
    "You reshape (B, n, dim) straight to (B, heads, n, size), mixing up tokens: split dim, then transpose.",
)
def reshaped_without_transposing(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = ((x @ w).reshape(len(x), n_heads, x.shape[1], -1) for w in (w_q, w_k, w_v))
    return _attend(q @ k.mT / math.sqrt(q.shape[-1]), v, mask).transpose(1, 2).flatten(-2) @ w_o


@mistake(
    "multi_head_attention",
    "You merge the heads without transposing back: (B, heads, n, size) must be (B, n, heads, size) first.",
)
def merged_without_transposing(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = (_split(x @ w, n_heads) for w in (w_q, w_k, w_v))
    return _attend(q @ k.mT / math.sqrt(q.shape[-1]), v, mask).reshape(x.shape) @ w_o


@mistake(
    "multi_head_attention", "You scale by sqrt(dim); a head's scores sum over its own dim / n_heads columns."
)
def scaled_by_the_whole_width(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = (_split(x @ w, n_heads) for w in (w_q, w_k, w_v))
    return _attend(q @ k.mT / math.sqrt(x.shape[-1]), v, mask).transpose(1, 2).flatten(-2) @ w_o


@mistake("multi_head_attention", "The scores of your heads are not scaled by 1 / sqrt(dim / n_heads).")
def heads_without_the_scale(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = (_split(x @ w, n_heads) for w in (w_q, w_k, w_v))
    return _attend(q @ k.mT, v, mask).transpose(1, 2).flatten(-2) @ w_o


@mistake("multi_head_attention", "Your matrices are (out, in); this week computes x W with W as (in, out).")
def transposed_matrices(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    return transformers.multi_head_attention(x, w_q.T, w_k.T, w_v.T, w_o.T, n_heads, mask)


@mistake(
    "multi_head_attention", "The output projection is missing: multiply the heads, side by side, by w_o."
)
def without_the_output_projection(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    return transformers.multi_head_attention(
        x, w_q, w_k, w_v, torch.eye(len(w_o), dtype=x.dtype), n_heads, mask
    )


@mistake("multi_head_attention", "There is one head over all columns here: n_heads has no effect.")
def a_single_head(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    if mask is not None and mask.ndim > 2:
        mask = mask[..., 0, :, :]
    return _attend(x @ w_q @ (x @ w_k).mT / math.sqrt(x.shape[-1]), x @ w_v, mask) @ w_o


@mistake("multi_head_attention", "Your values are the keys: they have a matrix of their own, w_v.")
def keys_as_values(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    return transformers.multi_head_attention(x, w_q, w_k, w_k, w_o, n_heads, mask)


@mistake("multi_head_attention", "The mask does not reach the attention of your heads.")
def heads_without_the_mask(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    return transformers.multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads)


@mistake(
    "multi_head_attention",
    "You take a mask of three dimensions for (B, n, n); aligned at the last one, its first is the heads.",
)
def three_dimensions_are_a_batch(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    if mask is not None and mask.ndim == 3:
        mask = mask.unsqueeze(1)
    return transformers.multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, mask)


@mistake(
    "multi_head_attention",
    "All your heads use the mask of the first: it broadcasts over heads, it need not be equal.",
)
def every_head_with_the_first_mask(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    if mask is not None and mask.ndim > 2:
        mask = mask[..., :1, :, :]
    return transformers.multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, mask)


@mistake(
    "multi_head_attention", "A token with nothing to attend to gives NaN in your heads; it should give zeros."
)
def heads_with_nan(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    q, k, v = (_split(x @ w, n_heads) for w in (w_q, w_k, w_v))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    scores = scores if mask is None else scores.masked_fill(~mask, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2) @ w_o


@mistake(
    "multi_head_attention",
    "The heads are computed outside the graph or detached: w_q, w_k and w_v get no gradient.",
)
def detached_heads(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    identity = torch.eye(len(w_o), dtype=x.dtype)
    return transformers.multi_head_attention(x, w_q, w_k, w_v, identity, n_heads, mask).detach() @ w_o


@mistake(
    "multi_head_attention",
    "You compute the heads in float32 whatever comes in: keep the dtype of the inputs.",
)
def heads_in_float32(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    return transformers.multi_head_attention(*(t.float() for t in (x, w_q, w_k, w_v, w_o)), n_heads, mask)


@mistake("multi_head_attention", "You write the result into the caller's x: arguments stay as they are.")
def writes_into_the_callers_tokens(x, w_q, w_k, w_v, w_o, n_heads, mask=None):
    return x.copy_(transformers.multi_head_attention(x, w_q, w_k, w_v, w_o, n_heads, mask))


def _angles(n, dim, base=10000.0):
    """Positions times frequencies, (n, dim / 2), as they should be."""
    frequency = base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    return torch.arange(n, dtype=torch.float64).unsqueeze(-1) * frequency


def _interleaved(even, odd, dtype):
    return torch.stack([even, odd], -1).flatten(-2).to(dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "All your sines come first, then the cosines; here they alternate: column 2 i a sine, 2 i + 1 a cosine.",
)
def sines_then_cosines(n, dim, dtype=torch.float32):
    angle = _angles(n, dim)
    return torch.cat([angle.sin(), angle.cos()], -1).to(dtype)


@mistake("sinusoidal_positional_encoding", "Where no dtype is given, the table is float32.")
def double_unless_told(n, dim, dtype=torch.float64):
    angle = _angles(n, dim)
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake("sinusoidal_positional_encoding", "Sine and cosine have changed places: column 0 is a sine.")
def cosine_first(n, dim, dtype=torch.float32):
    angle = _angles(n, dim)
    return _interleaved(angle.cos(), angle.sin(), dtype)


@mistake("sinusoidal_positional_encoding", "Positions count from 0: the first row is 0, 1, 0, 1, ...")
def positions_from_one(n, dim, dtype=torch.float32):
    angle = _angles(n + 1, dim)[1:]
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake("sinusoidal_positional_encoding", "The pairs count from 0: the first one has frequency 1.")
def pairs_from_one(n, dim, dtype=torch.float32):
    angle = _angles(n, dim) * 10000 ** (-2 / dim)
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "Your exponent is i / dim; it is 2 i / dim, so that the frequencies fall nearly to 1 / 10000.",
)
def half_the_exponent(n, dim, dtype=torch.float32):
    angle = _angles(n, dim, base=100.0)
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "You take the column's number for 2 i in both, so that the cosine has another angle than its sine.",
)
def an_angle_for_each_column(n, dim, dtype=torch.float32):
    column = torch.arange(dim, dtype=torch.float64)
    angle = torch.arange(n, dtype=torch.float64).unsqueeze(-1) * 10000 ** (-column / dim)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).to(dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "You double the exponent: columns 0, 2, 4, ... are 2 i already, so theirs is 2 i / dim, not 4 i / dim.",
)
def twice_the_exponent(n, dim, dtype=torch.float32):
    angle = _angles(n, dim, base=1e8)
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "Your last pair has frequency 1 / 10000; with the exponent 2 i / dim the frequencies stop before that.",
)
def down_to_the_very_end(n, dim, dtype=torch.float32):
    frequency = torch.logspace(0, -4, dim // 2, dtype=torch.float64)
    angle = torch.arange(n, dtype=torch.float64).unsqueeze(-1) * frequency
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake("sinusoidal_positional_encoding", "You multiply by 10000^(2 i / dim): the frequencies have to fall.")
def rising_frequencies(n, dim, dtype=torch.float32):
    angle = torch.arange(n, dtype=torch.float64).unsqueeze(-1) * 10000 ** (
        torch.arange(0, dim, 2, dtype=torch.float64) / dim
    )
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "You divide positions by the length, so a row depends on how many follow; position p counts p steps.",
)
def positions_between_zero_and_one(n, dim, dtype=torch.float32):
    angle = _angles(n, dim) / n
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake("sinusoidal_positional_encoding", "The base is 10000; yours is 1000.")
def base_of_a_thousand(n, dim, dtype=torch.float32):
    angle = _angles(n, dim, base=1000.0)
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake(
    "sinusoidal_positional_encoding",
    "The angles are computed in float32 and only then made float64: that many digits are wrong.",
)
def angles_in_float32(n, dim, dtype=torch.float32):
    frequency = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angle = torch.arange(n, dtype=torch.float32).unsqueeze(-1) * frequency
    return _interleaved(angle.sin(), angle.cos(), dtype)


@mistake("feed_forward", "The ReLU between the matrices is missing: two linear maps are a single one.")
def two_linear_maps(x, w1, b1, w2, b2):
    return (x @ w1 + b1) @ w2 + b2


@mistake("feed_forward", "You use GELU, as GPT does; here it is ReLU.")
def with_gelu(x, w1, b1, w2, b2):
    return F.gelu(x @ w1 + b1) @ w2 + b2


@mistake("feed_forward", "There is no ReLU after the second matrix: the result may be negative.")
def a_relu_at_the_end(x, w1, b1, w2, b2):
    return torch.relu(torch.relu(x @ w1 + b1) @ w2 + b2)


@mistake("feed_forward", "b1 is added after the ReLU; it belongs inside, and shifts the kink.")
def bias_after_the_relu(x, w1, b1, w2, b2):
    return (torch.relu(x @ w1) + b1) @ w2 + b2


@mistake("feed_forward", "You normalise the hidden layer over the tokens; every token is worked on alone.")
def normalises_over_tokens(x, w1, b1, w2, b2):
    hidden = torch.relu(x @ w1 + b1)
    return (hidden - hidden.mean(0)) @ w2 + b2


@mistake("feed_forward", "The bias b1 is missing.")
def without_the_first_bias(x, w1, b1, w2, b2):
    return torch.relu(x @ w1) @ w2 + b2


@mistake("feed_forward", "The bias b2 is missing.")
def without_the_second_bias(x, w1, b1, w2, b2):
    return torch.relu(x @ w1 + b1) @ w2


@mistake("feed_forward", "You add x; the residual connection belongs to the layer around it.")
def with_the_residual(x, w1, b1, w2, b2):
    return x + transformers.feed_forward(x, w1, b1, w2, b2)


@mistake("feed_forward", "Your ReLU is leaky; below 0 it is 0.")
def with_a_leaky_relu(x, w1, b1, w2, b2):
    return F.leaky_relu(x @ w1 + b1) @ w2 + b2


@mistake("feed_forward", "You write the result into the caller's x: arguments stay as they are.")
def writes_into_the_callers_x(x, w1, b1, w2, b2):
    return x.copy_(transformers.feed_forward(x, w1, b1, w2, b2))


@mistake("feed_forward", "The hidden layer is detached: no gradient reaches x, w1 and b1.")
def detached_hidden_layer(x, w1, b1, w2, b2):
    return torch.relu(x @ w1 + b1).detach() @ w2 + b2


@mistake("feed_forward", "You compute in float32 whatever comes in: keep the dtype of the inputs.")
def feeds_forward_in_float32(x, w1, b1, w2, b2):
    return transformers.feed_forward(*(t.float() for t in (x, w1, b1, w2, b2)))


class _Layer(nn.Module):
    """Attention and feed-forward halves with the reference's parameters, to be put together wrongly."""

    def attention(self, y, mask):
        weights = self.w_q, self.w_k, self.w_v, self.w_o
        return transformers.multi_head_attention(y, *weights, self.n_heads, mask)

    def feed_forward(self, y):
        return torch.relu(y @ self.w1 + self.b1) @ self.w2 + self.b2

    def normalise(self, x, ln):
        return ln(x)


class _PostLN(_Layer, transformers.PostLNBlock):
    def forward(self, x, mask=None):
        x = self.normalise(x + self.attention(x, mask), self.ln1)
        return self.normalise(x + self.feed_forward(x), self.ln2)


@mistake(
    "PostLNBlock", "This is the pre-LN layer: post-LN normalises the sums, and nothing before the halves."
)
class NormalisesBefore(_PostLN):
    def forward(self, x, mask=None):
        x = x + self.attention(self.ln1(x), mask)
        return x + self.feed_forward(self.ln2(x))


@mistake("PostLNBlock", "You normalise what a half gives, and add then; post-LN normalises the sum.")
class NormalisesTheHalvesAlone(_PostLN):
    def forward(self, x, mask=None):
        x = x + self.ln1(self.attention(x, mask))
        return x + self.ln2(self.feed_forward(x))


@mistake("PostLNBlock", "The residual connections are missing: each half is to be added to its input.")
class WithoutResiduals(_PostLN):
    def forward(self, x, mask=None):
        x = self.ln1(self.attention(x, mask))
        return self.ln2(self.feed_forward(x))


@mistake("PostLNBlock", "The second half adds to the layer's input; it adds to what the first half has made.")
class AddsToTheFirstInput(_PostLN):
    def forward(self, x, mask=None):
        y = self.ln1(x + self.attention(x, mask))
        return self.ln2(x + self.feed_forward(y))


@mistake("PostLNBlock", "You use ln1 twice; the second sum has a normalisation of its own, ln2.")
class TwiceTheFirstNorm(_PostLN):
    def forward(self, x, mask=None):
        x = self.ln1(x + self.attention(x, mask))
        return self.ln1(x + self.feed_forward(x))


@mistake("PostLNBlock", "The sum after attention is not normalised: ln1 is missing.")
class WithoutTheNormBetween(_PostLN):
    def forward(self, x, mask=None):
        x = x + self.attention(x, mask)
        return self.ln2(x + self.feed_forward(x))


@mistake("PostLNBlock", "The last sum is not normalised: ln2 is missing.")
class WithoutTheLastNorm(_PostLN):
    def forward(self, x, mask=None):
        x = self.ln1(x + self.attention(x, mask))
        return x + self.feed_forward(x)


@mistake("PostLNBlock", "Attention comes first, then the feed-forward half.")
class PostLNFeedForwardFirst(_PostLN):
    def forward(self, x, mask=None):
        x = self.ln1(x + self.feed_forward(x))
        return self.ln2(x + self.attention(x, mask))


@mistake("PostLNBlock", "The mask does not reach the attention inside the layer.")
class PostLNWithoutTheMask(_PostLN):
    def forward(self, x, mask=None):
        return super().forward(x)


@mistake("PostLNBlock", "You use GELU; the feed-forward half of this layer has ReLU.")
class PostLNWithGELU(_PostLN):
    def feed_forward(self, y):
        return F.gelu(y @ self.w1 + self.b1) @ self.w2 + self.b2


@mistake(
    "PostLNBlock",
    "You divide by the unbiased standard deviation; layer normalisation takes the biased variance, plus eps.",
)
class PostLNUnbiased(_PostLN):
    def normalise(self, x, ln):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (x.var(-1, keepdim=True) + ln.eps).sqrt() * ln.weight + ln.bias


@mistake(
    "PostLNBlock", "You normalise over the tokens of a sequence; layer normalisation works within each token."
)
class PostLNOverTokens(_PostLN):
    def normalise(self, x, ln):
        centred = x - x.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + ln.eps).sqrt() * ln.weight + ln.bias


@mistake("PostLNBlock", "There is one head over all columns: n_heads has no effect.")
class PostLNWithOneHead(_PostLN):
    def attention(self, y, mask):
        if mask is not None and mask.ndim > 2:
            mask = mask[..., :1, :, :]
        return transformers.multi_head_attention(y, self.w_q, self.w_k, self.w_v, self.w_o, 1, mask)


@mistake(
    "PostLNBlock", "No gradient passes the attention half: it is computed outside the graph or detached."
)
class PostLNDetached(_PostLN):
    def attention(self, y, mask):
        return super().attention(y, mask).detach()


class _Block(_Layer, transformers.Block):
    def forward(self, x, mask=None):
        x = x + self.attention(self.normalise(x, self.ln1), mask)
        return x + self.feed_forward(self.normalise(x, self.ln2))


@mistake("Block", "This is the post-LN layer: pre-LN normalises what goes into each half, not the sum.")
class PostLN(_Block):
    def forward(self, x, mask=None):
        x = self.ln1(x + self.attention(x, mask))
        return self.ln2(x + self.feed_forward(x))


@mistake("Block", "You add to the normalised input; the residual path carries x itself, not ln(x).")
class ResidualFromTheNormalised(_Block):
    def forward(self, x, mask=None):
        y = self.ln1(x)
        y = self.ln2(y + self.attention(y, mask))
        return y + self.feed_forward(y)


@mistake("Block", "The residual connection around attention is missing: x is to be added to it.")
class WithoutTheFirstResidual(_Block):
    def forward(self, x, mask=None):
        x = self.attention(self.ln1(x), mask)
        return x + self.feed_forward(self.ln2(x))


@mistake("Block", "The residual connection around the feed-forward half is missing.")
class WithoutTheSecondResidual(_Block):
    def forward(self, x, mask=None):
        x = x + self.attention(self.ln1(x), mask)
        return self.feed_forward(self.ln2(x))


@mistake(
    "Block", "Both your halves read the layer's input; the second one reads the sum that the first has made."
)
class HalvesInParallel(_Block):
    def forward(self, x, mask=None):
        return x + self.attention(self.ln1(x), mask) + self.feed_forward(self.ln2(x))


@mistake("Block", "You use ln1 twice; the second half has a normalisation of its own, ln2.")
class OneNormalisation(_Block):
    def forward(self, x, mask=None):
        x = x + self.attention(self.ln1(x), mask)
        return x + self.feed_forward(self.ln1(x))


@mistake("Block", "Neither half normalises its input: ln1 and ln2 are missing.")
class WithoutNormalisation(_Block):
    def forward(self, x, mask=None):
        x = x + self.attention(x, mask)
        return x + self.feed_forward(x)


@mistake("Block", "Attention comes first, then the feed-forward half.")
class FeedForwardFirst(_Block):
    def forward(self, x, mask=None):
        x = x + self.feed_forward(self.ln2(x))
        return x + self.attention(self.ln1(x), mask)


@mistake("Block", "You use GELU, as GPT does; the feed-forward half of this layer has ReLU.")
class WithGELU(_Block):
    def feed_forward(self, y):
        return F.gelu(y @ self.w1 + self.b1) @ self.w2 + self.b2


@mistake("Block", "Your feed-forward half has no ReLU between its matrices, so it is a single linear map.")
class WithoutReLU(_Block):
    def feed_forward(self, y):
        return (y @ self.w1 + self.b1) @ self.w2 + self.b2


@mistake("Block", "The mask does not reach the attention inside the layer.")
class WithoutTheMask(_Block):
    def forward(self, x, mask=None):
        return super().forward(x)


@mistake("Block", "You normalise over the tokens of a sequence; layer normalisation works within each token.")
class NormalisesOverTokens(_Block):
    def normalise(self, x, ln):
        centred = x - x.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + ln.eps).sqrt() * ln.weight + ln.bias


@mistake(
    "Block",
    "You divide by the unbiased standard deviation; layer normalisation takes the biased variance, plus eps.",
)
class UnbiasedVariance(_Block):
    def normalise(self, x, ln):
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)
        return centred / (variance + ln.eps).sqrt() * ln.weight + ln.bias


@mistake("Block", "`+=` adds to the caller's x in place: write x = x + ...")
class AddsInPlace(_Block):
    def forward(self, x, mask=None):
        x += self.attention(self.ln1(x), mask)
        x += self.feed_forward(self.ln2(x))
        return x


@mistake("Block", "No gradient passes the attention half: it is computed outside the graph or detached.")
class DetachedAttention(_Block):
    def attention(self, y, mask):
        return super().attention(y, mask).detach()


@mistake("Block", "You go through float32 whatever comes in: keep the dtype of the inputs.")
class ThroughFloat32(_Block):
    def forward(self, x, mask=None):
        return super().forward(x, mask).float()


@mistake("Block", "Your ReLU stops at 6; it grows without a bound.")
class StopsAtSix(_Block):
    def feed_forward(self, y):
        return F.relu6(y @ self.w1 + self.b1) @ self.w2 + self.b2


class _GPT(transformers.GPT):
    """The reference's model in parts, to be put together wrongly."""

    def embed(self, tokens):
        return self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]

    def mask(self, n):
        return transformers.causal_mask(n)

    def through_blocks(self, x, mask):
        for block in self.blocks:
            x = block(x, mask)
        return x

    def forward(self, tokens):
        x = self.through_blocks(self.embed(tokens), self.mask(tokens.shape[1]))
        return self.ln(x) @ self.unembedding


@mistake(
    "GPT", "Nothing hides the future: without the causal mask the model reads the token that it predicts."
)
class SeesTheFuture(_GPT):
    def mask(self, n):
        return None


@mistake("GPT", "Your mask is upside down: tokens see what comes after them, and not what came before.")
class SeesTheFutureAlone(_GPT):
    def mask(self, n):
        return transformers.causal_mask(n).T


@mistake(
    "GPT", "Your mask leaves out the diagonal: a token sees itself too, it is the last one before the target."
)
class DoesNotSeeItself(_GPT):
    def mask(self, n):
        return transformers.causal_mask(n).tril(-1)


@mistake(
    "GPT", "The position embeddings are missing: without them a token's logits depend on no order before it."
)
class WithoutPositions(_GPT):
    def embed(self, tokens):
        return self.token_embedding(tokens)


@mistake("GPT", "Positions count from 0: the first token has row 0 of the position embeddings.")
class PositionsFromOne(_GPT):
    def embed(self, tokens):
        n, rows = tokens.shape[1], self.position_embedding.weight
        return self.token_embedding(tokens) + rows[torch.arange(1, n + 1).clamp(max=len(rows) - 1)]


@mistake(
    "GPT", "Your positions are aligned at the end of the context: a shorter sequence begins at row 0 as well."
)
class PositionsFromTheEnd(_GPT):
    def embed(self, tokens):
        return self.token_embedding(tokens) + self.position_embedding.weight[-tokens.shape[1] :]


@mistake("GPT", "You multiply the embeddings by sqrt(dim), as the first transformer did; this model doesn't.")
class ScaledEmbeddings(_GPT):
    def embed(self, tokens):
        x = self.token_embedding(tokens) * self.token_embedding.embedding_dim**0.5
        return x + self.position_embedding.weight[: tokens.shape[1]]


@mistake("GPT", "The final layer normalisation is missing before the unembedding.")
class WithoutTheFinalNorm(_GPT):
    def forward(self, tokens):
        return self.through_blocks(self.embed(tokens), self.mask(tokens.shape[1])) @ self.unembedding


@mistake("GPT", "You normalise the embeddings with ln; it comes after the last block.")
class NormalisesFirst(_GPT):
    def forward(self, tokens):
        return self.through_blocks(self.ln(self.embed(tokens)), self.mask(tokens.shape[1])) @ self.unembedding


@mistake("GPT", "You normalise after every block; ln stands once, after the last.")
class NormalisesAfterEveryBlock(_GPT):
    def through_blocks(self, x, mask):
        for block in self.blocks[:-1]:
            x = self.ln(block(x, mask))
        return self.blocks[-1](x, mask)


@mistake("GPT", "Only the first block is used: the tokens go through all of them.")
class OneBlockAlone(_GPT):
    def through_blocks(self, x, mask):
        return self.blocks[0](x, mask)


@mistake("GPT", "Every block reads the embeddings; each one reads what the one before has made.")
class BlocksInParallel(_GPT):
    def through_blocks(self, x, mask):
        return x + sum(block(x, mask) - x for block in self.blocks)


@mistake("GPT", "These are log-probabilities; the model gives logits, and the loss takes their softmax.")
class GivesLogProbabilities(_GPT):
    def forward(self, tokens):
        return super().forward(tokens).log_softmax(-1)


@mistake(
    "GPT", "You unembed with the transposed token embedding; here the unembedding is a matrix of its own."
)
class TiedEmbeddings(_GPT):
    def forward(self, tokens):
        x = self.through_blocks(self.embed(tokens), self.mask(tokens.shape[1]))
        return self.ln(x) @ self.token_embedding.weight.T


@mistake(
    "GPT", "These are the logits of the last token alone; in training every position predicts the next token."
)
class TheLastLogitsAlone(_GPT):
    def forward(self, tokens):
        return super().forward(tokens)[:, -1:]


@mistake("GPT", "No gradient reaches the embeddings: they are detached or computed outside the graph.")
class DetachedEmbeddings(_GPT):
    def embed(self, tokens):
        return super().embed(tokens).detach()


def _with_cache(q, k, v, cache, mask):
    """Attention to cached and new keys under a mask (n, m + n), as it should be."""
    if cache is not None:
        k, v = torch.cat([cache[0], k], -2), torch.cat([cache[1], v], -2)
    return transformers.scaled_dot_product_attention(q, k, v, mask), (k, v)


def _rows(q, cache):
    """How many new tokens there are, and how many in the cache."""
    return q.shape[-2], 0 if cache is None else cache[0].shape[-2]


@mistake(
    "attention_with_cache",
    "Your mask is aligned at the top left: new token i stands at position m + i and sees the whole cache.",
)
def aligned_at_the_top_left(q, k, v, cache):
    n, m = _rows(q, cache)
    return _with_cache(q, k, v, cache, torch.ones(n, m + n, dtype=torch.bool).tril())


@mistake(
    "attention_with_cache", "The new tokens see each other's future: among themselves the mask is causal."
)
def without_a_mask(q, k, v, cache):
    return _with_cache(q, k, v, cache, None)


@mistake("attention_with_cache", "A new token sees itself too; your mask stops one short of it.")
def one_short_of_itself(q, k, v, cache):
    n, m = _rows(q, cache)
    return _with_cache(q, k, v, cache, torch.ones(n, m + n, dtype=torch.bool).tril(m - 1))


@mistake("attention_with_cache", "Your mask lets a new token see the one after it.")
def one_token_too_many(q, k, v, cache):
    n, m = _rows(q, cache)
    return _with_cache(q, k, v, cache, torch.ones(n, m + n, dtype=torch.bool).tril(m + 1))


@mistake("attention_with_cache", "The cache has no effect: the new tokens see each other alone.")
def forgets_the_cache(q, k, v, cache):
    return _with_cache(q, k, v, None, transformers.causal_mask(q.shape[-2]))


@mistake(
    "attention_with_cache", "The results are right, but you return the new keys and values alone, not all."
)
def returns_the_new_alone(q, k, v, cache):
    out, _ = transformers.attention_with_cache(q, k, v, cache)
    return out, (k, v)


@mistake("attention_with_cache", "You put the new keys and values before the cached ones; they come last.")
def the_new_first(q, k, v, cache):
    if cache is not None:
        k, v = torch.cat([k, cache[0]], -2), torch.cat([v, cache[1]], -2)
    n, total = q.shape[-2], k.shape[-2]
    mask = torch.ones(n, total, dtype=torch.bool).tril(total - n)
    return transformers.scaled_dot_product_attention(q, k, v, mask), (k, v)


@mistake("attention_with_cache", "Keys and values have changed places in your cache: it is (k, v).")
def values_before_keys(q, k, v, cache):
    out, (keys, values) = transformers.attention_with_cache(q, k, v, cache)
    return out, (values, keys)


@mistake(
    "attention_with_cache",
    "Your values stand in another order than the keys: both are the cached ones, then the new.",
)
def values_in_another_order(q, k, v, cache):
    if cache is None:
        return transformers.attention_with_cache(q, k, v, None)
    n, m = _rows(q, cache)
    keys, values = torch.cat([cache[0], k], -2), torch.cat([v, cache[1]], -2)
    mask = torch.ones(n, m + n, dtype=torch.bool).tril(m)
    return transformers.scaled_dot_product_attention(q, keys, values, mask), (keys, values)


@mistake(
    "attention_with_cache",
    "You return rows for the cached tokens too; there is one result per new token.",
)
def results_for_the_cache_too(q, k, v, cache):
    out, kept = transformers.attention_with_cache(q, k, v, cache)
    return F.pad(out, (0, 0, kept[0].shape[-2] - q.shape[-2], 0)), kept


@mistake("attention_with_cache", "The scores are not divided by sqrt(d_k).")
def cached_without_the_scale(q, k, v, cache):
    return transformers.attention_with_cache(q * math.sqrt(q.shape[-1]), k, v, cache)


@mistake(
    "attention_with_cache",
    "With a cache you use no mask, which fits one new token; several must not see what follows them.",
)
def for_one_new_token_only(q, k, v, cache):
    n, _ = _rows(q, cache)
    return _with_cache(q, k, v, cache, transformers.causal_mask(n) if cache is None else None)


@mistake(
    "attention_with_cache",
    "The mask is right where there is a cache, but the first call, without one, hides nothing: a prompt of "
    "several tokens sees its own future.",
)
def prompts_without_a_mask(q, k, v, cache):
    n, m = _rows(q, cache)
    mask = None if cache is None else torch.ones(n, m + n, dtype=torch.bool).tril(m)
    return _with_cache(q, k, v, cache, mask)


def _token_losses(logits, tokens):
    return -logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _masked_mean(losses, mask):
    return losses.masked_fill(~mask, 0).sum() / mask.sum().clamp(min=1)


@mistake(
    "masked_token_loss", "You shift as for GPT; BERT's logits at a position score the token at that position."
)
def shifted_by_one(logits, tokens, mask):
    return _masked_mean(_token_losses(logits[:, :-1], tokens[:, 1:]), mask[:, 1:])


@mistake("masked_token_loss", "The mean runs over all positions; only masked ones count.")
def mean_over_all_positions(logits, tokens, mask):
    return _token_losses(logits, tokens).mean()


@mistake("masked_token_loss", "You divide by the number of all positions, not by that of the masked ones.")
def divided_by_all_positions(logits, tokens, mask):
    return (_token_losses(logits, tokens) * mask).mean()


@mistake("masked_token_loss", "Your mask is upside down: True marks the tokens to be predicted.")
def loss_of_what_was_seen(logits, tokens, mask):
    return _masked_mean(_token_losses(logits, tokens), ~mask)


@mistake(
    "masked_token_loss",
    "You average per sequence and then over sequences; the mean runs over all masked positions together.",
)
def mean_of_the_sequences_means(logits, tokens, mask):
    losses = _token_losses(logits, tokens).masked_fill(~mask, 0)
    return (losses.sum(1) / mask.sum(1).clamp(min=1)).mean()


@mistake("masked_token_loss", "This is the sum over the masked positions; the loss is their mean.")
def sum_for_mean(logits, tokens, mask):
    return _token_losses(logits, tokens).masked_fill(~mask, 0).sum()


@mistake("masked_token_loss", "Where nothing is masked you divide 0 by 0: the loss is 0 there, not NaN.")
def nan_of_nothing(logits, tokens, mask):
    return _token_losses(logits, tokens)[mask].mean()


@mistake("masked_token_loss", "This is the mean log-probability; a loss is to be minimised: negate it.")
def not_negated(logits, tokens, mask):
    return -_masked_mean(_token_losses(logits, tokens), mask)


@mistake(
    "masked_token_loss",
    "You set the logits of seen positions to 0 and keep them in the mean: each adds the logarithm of the "
    "vocabulary's size.",
)
def zero_logits_where_seen(logits, tokens, mask):
    return _token_losses(logits * mask.unsqueeze(-1), tokens).mean()


@mistake("masked_token_loss", "Your logarithm is that to base 2; losses are in nats.")
def in_bits(logits, tokens, mask):
    return _masked_mean(_token_losses(logits, tokens), mask) / math.log(2)


@mistake(
    "masked_token_loss",
    "The logarithm of a softmax is -inf where a probability underflows: use log_softmax, or logsumexp.",
)
def logarithm_of_the_softmax(logits, tokens, mask):
    prob = logits.softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return _masked_mean(-prob.log(), mask)


@mistake(
    "masked_token_loss",
    "A small number added inside the logarithm keeps unlikely tokens from costing what they should.",
)
def softmax_plus_a_little(logits, tokens, mask):
    prob = logits.softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return _masked_mean(-(prob + 1e-8).log(), mask)


@mistake("masked_token_loss", "The loss is detached: no gradient reaches the logits.")
def loss_off_the_graph(logits, tokens, mask):
    return _masked_mean(_token_losses(logits, tokens), mask).detach()


class _Decoder(_Layer, transformers.DecoderBlock):
    """The reference's decoder layer in parts, to be put together wrongly."""

    def cross(self, y, memory, mask):
        q, k, v = (_split(t, self.n_heads) for t in (y @ self.c_q, memory @ self.c_k, memory @ self.c_v))
        heads = _attend(q @ k.mT / math.sqrt(q.shape[-1]), v, mask)
        return heads.transpose(1, 2).flatten(-2) @ self.c_o

    def causal(self, n):
        return transformers.causal_mask(n)

    def forward(self, x, memory, memory_mask=None):
        x = x + self.attention(self.ln1(x), self.causal(x.shape[1]))
        x = x + self.cross(self.ln2(x), memory, memory_mask)
        return x + self.feed_forward(self.ln3(x))


@mistake("DecoderBlock", "The self-attention sees the future: in a decoder it has a causal mask.")
class DecoderWithoutCausalMask(_Decoder):
    def causal(self, n):
        return None


@mistake("DecoderBlock", "The memory is there as a whole: no causal mask belongs into the cross-attention.")
class CausalMemory(_Decoder):
    def cross(self, y, memory, mask):
        causal = torch.ones(y.shape[1], memory.shape[1], dtype=torch.bool).tril()
        return super().cross(y, memory, causal if mask is None else causal & mask)


@mistake("DecoderBlock", "memory_mask has no effect in your cross-attention.")
class WithoutTheMemoryMask(_Decoder):
    def cross(self, y, memory, mask):
        return super().cross(y, memory, None)


@mistake("DecoderBlock", "Cross-attention comes after self-attention, not before it.")
class MemoryFirst(_Decoder):
    def forward(self, x, memory, memory_mask=None):
        x = x + self.cross(self.ln2(x), memory, memory_mask)
        x = x + self.attention(self.ln1(x), self.causal(x.shape[1]))
        return x + self.feed_forward(self.ln3(x))


@mistake(
    "DecoderBlock", "Keys and values of the cross-attention come from the tokens; they come from the memory."
)
class ReadsItselfTwice(_Decoder):
    def cross(self, y, memory, mask):
        if memory.shape[1] != y.shape[1]:
            mask = None
        return super().cross(y, y, mask)


@mistake(
    "DecoderBlock", "The cross-attention takes its values from the self-attention's w_v; they are memory c_v."
)
class ValuesOfTheOtherAttention(_Decoder):
    def cross(self, y, memory, mask):
        q, k, v = (_split(t, self.n_heads) for t in (y @ self.c_q, memory @ self.c_k, memory @ self.w_v))
        heads = _attend(q @ k.mT / math.sqrt(q.shape[-1]), v, mask)
        return heads.transpose(1, 2).flatten(-2) @ self.c_o


@mistake("DecoderBlock", "Your cross-attention has a single head; it has n_heads, as the self-attention has.")
class OneHeadAcross(_Decoder):
    def cross(self, y, memory, mask):
        if mask is not None and mask.ndim > 2:
            mask = mask[..., 0, :, :]
        return transformers.cross_attention(y, memory, self.c_q, self.c_k, self.c_v, mask) @ self.c_o


@mistake("DecoderBlock", "The output projection of the cross-attention, c_o, is missing.")
class WithoutTheCrossProjection(_Decoder):
    def cross(self, y, memory, mask):
        q, k, v = (_split(t, self.n_heads) for t in (y @ self.c_q, memory @ self.c_k, memory @ self.c_v))
        return _attend(q @ k.mT / math.sqrt(q.shape[-1]), v, mask).transpose(1, 2).flatten(-2)


@mistake("DecoderBlock", "You normalise the memory too; in this layer only its own tokens are normalised.")
class NormalisedMemory(_Decoder):
    def cross(self, y, memory, mask):
        return super().cross(y, self.ln2(memory), mask)


@mistake("DecoderBlock", "The residual connection around the cross-attention is missing.")
class WithoutTheMiddleResidual(_Decoder):
    def forward(self, x, memory, memory_mask=None):
        x = x + self.attention(self.ln1(x), self.causal(x.shape[1]))
        x = self.cross(self.ln2(x), memory, memory_mask)
        return x + self.feed_forward(self.ln3(x))


@mistake(
    "DecoderBlock", "This is the post-LN layer: pre-LN normalises what goes into each third, not the sums."
)
class PostLNDecoder(_Decoder):
    def forward(self, x, memory, memory_mask=None):
        x = self.ln1(x + self.attention(x, self.causal(x.shape[1])))
        x = self.ln2(x + self.cross(x, memory, memory_mask))
        return self.ln3(x + self.feed_forward(x))


@mistake("DecoderBlock", "You use ln2 for the feed-forward third too; it has ln3.")
class WithoutTheThirdNorm(_Decoder):
    def forward(self, x, memory, memory_mask=None):
        x = x + self.attention(self.ln1(x), self.causal(x.shape[1]))
        x = x + self.cross(self.ln2(x), memory, memory_mask)
        return x + self.feed_forward(self.ln2(x))


@mistake("DecoderBlock", "The memory is detached: no gradient reaches the encoder, which could not learn.")
class DetachedMemory(_Decoder):
    def cross(self, y, memory, mask):
        return super().cross(y, memory.detach(), mask)
