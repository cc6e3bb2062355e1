"""Week 6: wrong ways to write the answers, each with the misunderstanding behind it."""

import math

import torch
import torch.nn.functional as F

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


def _attend(scores, v, mask):
    """softmax(scores) v as it should be."""
    if mask is None:
        return scores.softmax(-1) @ v
    return scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0) @ v


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
    "You count dimensions from the front, which fits one batch dimension only: transpose keys as (-2, -1).",
)
def for_one_batch_dimension_only(q, k, v, mask=None):
    return _attend(q @ k.transpose(1, 2) / math.sqrt(k.shape[-1]), v, mask)


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


class _Block(transformers.Block):
    """The reference's layer, its halves to be put together wrongly."""

    def attention(self, y, mask):
        weights = self.w_q, self.w_k, self.w_v, self.w_o
        return transformers.multi_head_attention(y, *weights, self.n_heads, mask)

    def feed_forward(self, y):
        return torch.relu(y @ self.w1 + self.b1) @ self.w2 + self.b2

    def normalise(self, x, ln):
        return ln(x)

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
