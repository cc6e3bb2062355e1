"""Week 15: reinforcement learning."""

import torch

from autograder.author import Assignment, Drawing, choice, domain, exercise, flags, integer, number, real
from reference_impl import reinforcement

GAMMA = number(0.5, 0.9, 1.0, 0.0, low=0, high=1)
LAM = number(0.8, 0.25, 1.0, 0.0, low=0, high=1)
EPISODES = {"time": (1, 6)}


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
            reinforcement.rewards_to_go,
            inputs={"dones": flags(), "gamma": GAMMA},
            sizes=EPISODES,
        ),
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
