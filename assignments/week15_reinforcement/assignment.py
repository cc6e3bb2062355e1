"""Week 15: reinforcement learning."""

import torch

from autograder.author import (
    Assignment,
    Drawing,
    choice,
    domain,
    exercise,
    flags,
    index,
    integer,
    number,
    probability,
    real,
)
from reference_impl import reinforcement

GAMMA = number(0.5, 0.9, 1.0, 0.0, low=0, high=1)
LAM = number(0.8, 0.25, 1.0, 0.0, low=0, high=1)
EPISODES = {"time": (1, 6)}
CHAIN = {"S": (2, 4), "A": (1, 3)}
EXAMPLES = {"published": 12, "agrees": 32, "gradients": 12, "precision": 12, "batches": 16, "edges": 12}


def log_probs_away_from_the_clip(d: Drawing) -> torch.Tensor:
    """New log-probabilities, none of whose ratios to the old ones is near 1 +- 0.1, 0.2 or 0.3, the kinks."""
    old = d["old_log_probs"].double()
    steps = torch.from_numpy(d.array(old.shape, (0.5, -0.5, 0.0, 1.0, -1.0, 0.0625, -0.0625, 3.0, -3.0)))
    if d.noise is not None:
        steps *= torch.from_numpy(d.noise.uniform(0.85, 1.15, old.shape))
    return (old + steps).float()


def spread_advantages(d: Drawing) -> torch.Tensor:
    """At least two advantages that are not all alike: rounding decides what equal ones become."""
    advantages = real().draw(d).double().flatten()
    if advantages.max() - advantages.min() < 0.5:
        advantages[0] += 2
    return advantages.reshape(d.shape()).float()


assignment = Assignment(
    title="Reinforcement learning",
    exercises=[
        exercise(
            reinforcement.trajectory_log_prob,
            inputs={
                "p0": probability(zeros=False),
                "P": probability(zeros=False),
                "pi": probability(zeros=False),
                "states": index("S"),
                "actions": index("A"),
            },
            sizes={**CHAIN, "time": (1, 4)},
            differentiable=["pi"],
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.policy_evaluation,
            inputs={
                "P": probability(),
                "pi": probability(),
                "gamma": number(0.5, 0.9, 0.75, 0.0, low=0, high=0.95),
            },
            sizes=CHAIN,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.value_iteration,
            inputs={"P": probability(), "gamma": GAMMA, "n_iter": integer(0, 4)},
            sizes=CHAIN,
            examples=EXAMPLES,
        ),
        exercise(reinforcement.discounted_return, inputs={"gamma": GAMMA}, sizes=EPISODES, examples=EXAMPLES),
        exercise(
            reinforcement.rewards_to_go,
            inputs={"dones": flags(), "gamma": GAMMA},
            sizes=EPISODES,
        ),
        exercise(
            reinforcement.categorical_log_prob,
            inputs={"logits": real(edge=1e4), "actions": index("A")},
            sizes={"A": (2, 5)},
            differentiable=["logits"],
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.diagonal_gaussian_log_prob,
            inputs={"log_std": real(low=-3, high=2)},
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.tanh_gaussian_sample,
            inputs={
                "mean": real(low=-4, high=4, edge=(30.0, -30.0)),
                "log_std": real(low=-2, high=0.5),
                "noise": real(low=-3, high=3),
            },
            differentiable=True,
            examples=EXAMPLES,
            uses=["diagonal_gaussian_log_prob"],
        ),
        exercise(
            reinforcement.exact_policy_gradient,
            inputs={"baseline": number(1.0, 0.0, -2.0, 0.5)},
            sizes={"arms": (2, 5)},
            examples=EXAMPLES,
        ),
        exercise(reinforcement.policy_gradient_loss, sizes=EPISODES, differentiable=True, examples=EXAMPLES),
        exercise(reinforcement.value_loss, sizes=EPISODES, differentiable=True, examples=EXAMPLES),
        exercise(
            reinforcement.gae,
            inputs={"dones": flags(), "gamma": GAMMA, "lam": LAM},
            sizes=EPISODES,
            uses=["rewards_to_go"],
        ),
        exercise(
            reinforcement.normalize_advantages,
            inputs={"advantages": domain(spread_advantages)},
            sizes={"time": (2, 6)},
        ),
        exercise(
            reinforcement.ppo_clip_loss,
            inputs={
                "log_probs": domain(log_probs_away_from_the_clip),
                "old_log_probs": real(edge=(-200.0, -120.0)),
                "clip": choice(0.2, 0.1, 0.3),
            },
            sizes=EPISODES,
            differentiable=True,
        ),
        exercise(reinforcement.ReplayBuffer, inputs={"capacity": integer(1, 4)}),
    ],
)
