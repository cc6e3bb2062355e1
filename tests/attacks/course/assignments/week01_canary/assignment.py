"""One week with light exercises; the attacks are made on the last of them."""

import canary_reference as reference
from hypothesis import strategies as st

from autograder.author import Assignment, dimension, exercise, real, strategy

WORDS = strategy(st.lists(st.sampled_from(["a", "b", "cat", "dog"]), max_size=6))
LIGHT = dict.fromkeys(["precision", "batches"], "a hundred submissions shall be graded in seconds")

assignment = Assignment(
    "Things worth stealing",
    [
        exercise(reference.double, without=LIGHT),
        exercise(reference.tally, inputs={"words": WORDS}),
        exercise(reference.Affine, inputs={"n": dimension("n")}, methods={"forward": {}}, without=LIGHT),
        exercise(
            reference.log_sum_exp,
            inputs={"x": real(edge=500)},
            differentiable=True,
            forbids={
                "torch.logsumexp": "binding",
                "torch.special.logsumexp": "binding",
                "torch.Tensor.logsumexp": "binding",
                "torch.logcumsumexp": "advisory",
            },
        ),
    ],
)
