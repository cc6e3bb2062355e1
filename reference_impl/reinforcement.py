"""Week 15: reinforcement learning (Sutton and Barto, 2018; Schulman et al., 2016 and 2017)."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from reference_impl._require import require


def rewards_to_go(
    rewards: Float[Tensor, "time *batch"],
    dones: Float[Tensor, "time *batch"],
    gamma: float,
    last_value: Float[Tensor, "*batch"],
) -> Float[Tensor, "time *batch"]:
    """The discounted return from every step on: G_t = r_t + gamma (1 - done_t) G_{t+1}, G_T = last_value.

    Time is dimension 0, any other dimensions are environments that run side by side. `dones` holds 0.0 and
    1.0: dones[t] = 1 means that step t ended its episode; r_t still belongs to it, and nothing flows back
    across it. `last_value` estimates what comes after the last step; it counts only where that step ended
    no episode, and is a 0-dimensional tensor where there is no batch. gamma lies in [0, 1]. No gradient is
    asked for: the result serves as a target. (Sutton and Barto, 2018, equation 3.9.)
    """
    require(len(rewards) > 0, "rewards must hold at least one step")
    require(((dones == 0) | (dones == 1)).all(), f"dones must be 0.0 or 1.0, not {dones.unique().tolist()}")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    returns = []
    future = last_value
    for reward, done in zip(rewards.flip(0), dones.flip(0), strict=True):
        future = reward + gamma * (1 - done) * future
        returns.append(future)
    return torch.stack(returns).flip(0)


def gae(
    rewards: Float[Tensor, "time *batch"],
    values: Float[Tensor, "time *batch"],
    dones: Float[Tensor, "time *batch"],
    last_value: Float[Tensor, "*batch"],
    gamma: float,
    lam: float,
) -> tuple[Float[Tensor, "time *batch"], Float[Tensor, "time *batch"]]:
    """Generalised advantage estimates, and the returns that the values are fitted to: (A, A + V).

    A_t = delta_t + gamma lam (1 - done_t) A_{t+1}, delta_t = r_t + gamma (1 - done_t) V_{t+1} - V_t, A_T = 0.

    Time is dimension 0. values[t] = V_t is the value of the state in which step t was taken, and V_T is
    `last_value`, a 0-dimensional tensor where there is no batch. `dones` holds 0.0 and 1.0: dones[t] = 1
    means that step t ended its episode, and nothing flows back across it, also not from `last_value`.
    gamma and lam lie in [0, 1]. The advantages are not normalised. No gradient is asked for: losses take both
    results as constants. (Schulman et al., 2016, equation 16, for episodes that end inside the rollout.)
    """
    require(len(rewards) > 0, "rewards must hold at least one step")
    require(((dones == 0) | (dones == 1)).all(), f"dones must be 0.0 or 1.0, not {dones.unique().tolist()}")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    require(0 <= lam <= 1, f"lam must lie in [0, 1], not be {lam}")
    next_values = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * (1 - dones) * next_values - values
    advantages = rewards_to_go(deltas, dones, gamma * lam, torch.zeros_like(last_value))
    return advantages, advantages + values


def normalize_advantages(advantages: Float[Tensor, "time *batch"]) -> Float[Tensor, "time *batch"]:
    """The advantages shifted and scaled to mean 0 and standard deviation 1: (A - mean) / (std + 1e-8).

    Mean and standard deviation are taken over all elements together, of which there are at least two; the
    standard deviation is the unbiased one (n - 1). Where no advantage differs from the mean, the result is
    0. No gradient is asked for.
    """
    require(advantages.numel() >= 2, f"advantages must have at least two elements, not {advantages.numel()}")
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def ppo_clip_loss(
    log_probs: Float[Tensor, "time *batch"],
    old_log_probs: Float[Tensor, "time *batch"],
    advantages: Float[Tensor, "time *batch"],
    clip: float = 0.2,
) -> Float[Tensor, ""]:
    """PPO's clipped surrogate as a loss: minus the mean of min(r A, clamp(r, 1 - clip, 1 + clip) A).

    A scalar to be minimised, the mean over all elements. r = exp(log_probs - old_log_probs) is the ratio of
    the probabilities of the actions taken, under the new policy and under the one that took them. It is
    right also where both probabilities are too small for a float. The gradient reaches log_probs alone:
    old_log_probs and advantages are constants, and are detached here. The advantages are used as they are.
    clip >= 0. (Schulman et al., 2017, equation 7.)
    """
    require(clip >= 0, f"clip must not be negative, got {clip}")
    advantages = advantages.detach()
    ratio = torch.exp(log_probs - old_log_probs.detach())
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


class ReplayBuffer:
    """A ring of the last `capacity` transitions, from which batches are drawn uniformly.

    ReplayBuffer(capacity), capacity >= 1. While there is room, `add` fills the buffer; then each new
    transition takes the place of the oldest. (Lin, 1992; Mnih et al., 2015.)
    """

    def __init__(self, capacity: int) -> None:
        require(capacity >= 1, f"capacity must be at least 1, not {capacity}")
        self.capacity = capacity
        self.transitions: list[tuple[Tensor, ...]] = []
        self.oldest = 0

    def __len__(self) -> int:
        """How many transitions the buffer holds now: at most `capacity`."""
        return len(self.transitions)

    def add(
        self,
        state: Float[Tensor, "*state"],
        action: Shaped[Tensor, "*action"],
        reward: Float[Tensor, ""],
        next_state: Float[Tensor, "*state"],
        done: Float[Tensor, ""],
    ) -> None:
        """Store one transition: five tensors, whose shapes and dtypes are the same from call to call."""
        transition = (state, action, reward, next_state, done)
        if len(self.transitions) < self.capacity:
            self.transitions.append(transition)
        else:
            self.transitions[self.oldest] = transition
            self.oldest = (self.oldest + 1) % self.capacity

    def sample(
        self, batch_size: int, generator: torch.Generator
    ) -> tuple[Shaped[Tensor, "batch_size ..."], ...]:
        """A batch (states, actions, rewards, next_states, dones): transitions stacked along dimension 0.

        1 <= batch_size <= len(self). All transitions in the buffer are equally likely, and so are all pairs:
        draw with replacement or without, both are right. The fields keep their dtypes, and row i of each
        belongs to the same transition. All randomness comes from `generator`; the buffer stays as it is.
        """
        size = len(self.transitions)
        require(1 <= batch_size <= size, f"batch_size must lie in 1 ... {size}, not be {batch_size}")
        rows = torch.randint(size, (batch_size,), generator=generator).tolist()
        return tuple(torch.stack(field) for field in zip(*[self.transitions[i] for i in rows], strict=True))
