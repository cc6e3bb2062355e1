"""Week 15: reinforcement learning (Sutton and Barto, 2018; Schulman et al., 2015, 2016 and 2017)."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from reference_impl._require import require


def trajectory_log_prob(
    p0: Float[Tensor, "S"],
    P: Float[Tensor, "S A S"],
    pi: Float[Tensor, "S A"],
    states: Int64[Tensor, "time+1 *batch"],
    actions: Int64[Tensor, "time *batch"],
) -> Float[Tensor, "*batch"]:
    """log p(s_0, a_0, s_1, a_1, ..., s_T) in nats, for each trajectory of the batch.

    p0[s] is the probability to start in s, P[s, a, s'] that of going to s' after action a in s, pi[s, a] that
    of choosing a in s. Time is dimension 0: T >= 1 actions, and one state more, as the state in which the
    last action ended is part of the trajectory. -inf where the trajectory is impossible. Right also for
    hundreds of steps, whose probability is too small for a float. No gradient is asked for.
    (Sutton and Barto, 2018, section 5.5.)
    """
    require(
        len(states) == len(actions) + 1,
        f"states must be one more than actions, not {len(states)} and {len(actions)}",
    )
    for name, p in (("p0", p0), ("P", P), ("pi", pi)):
        require((p >= 0).all() and (p.sum(-1) - 1).abs().max() < 1e-3, f"{name} must hold probabilities: {p}")
    chosen = pi[states[:-1], actions].log().sum(0)
    moved = P[states[:-1], actions, states[1:]].log().sum(0)
    return p0[states[0]].log() + chosen + moved


def policy_evaluation(
    P: Float[Tensor, "S A S"], R: Float[Tensor, "S A"], pi: Float[Tensor, "S A"], gamma: float
) -> Float[Tensor, "S"]:
    """The values of a policy: V(s) = sum_a pi(a|s) [R(s, a) + gamma sum_s' P(s'|s, a) V(s')].

    P[s, a, s'] are transition probabilities, R[s, a] expected rewards, pi[s, a] the policy's probabilities.
    V is the solution of this linear system, not an approximation to it; 0 <= gamma < 1 makes it the only
    one. No gradient is asked for. (Sutton and Barto, 2018, equation 4.4.)
    """
    require(0 <= gamma < 1, f"gamma must lie in [0, 1), not be {gamma}")
    for name, p in (("P", P), ("pi", pi)):
        require((p >= 0).all() and (p.sum(-1) - 1).abs().max() < 1e-3, f"{name} must hold probabilities: {p}")
    P_pi = torch.einsum("sa,sat->st", pi, P)
    r_pi = (pi * R).sum(-1)
    identity = torch.eye(len(r_pi), dtype=P.dtype, device=P.device)
    return torch.linalg.solve(identity - gamma * P_pi, r_pi)


def value_iteration(
    P: Float[Tensor, "S A S"], R: Float[Tensor, "S A"], gamma: float, n_iter: int
) -> Float[Tensor, "S"]:
    """The values after n_iter sweeps of V(s) <- max_a [R(s, a) + gamma sum_s' P(s'|s, a) V(s')] from V = 0.

    P[s, a, s'] are transition probabilities, R[s, a] expected rewards, 0 <= gamma <= 1, n_iter >= 0. Each
    sweep takes the values of all states from the sweep before. No gradient is asked for.
    (Sutton and Barto, 2018, equation 4.10.)
    """
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    require(n_iter >= 0, f"n_iter must not be negative, got {n_iter}")
    require((P >= 0).all() and (P.sum(-1) - 1).abs().max() < 1e-3, f"P must hold probabilities: {P}")
    values = torch.zeros_like(R[:, 0])
    for _ in range(n_iter):
        values = (R + gamma * P @ values).amax(-1)
    return values


def discounted_return(rewards: Float[Tensor, "time *batch"], gamma: float) -> Float[Tensor, "*batch"]:
    """The return of a whole episode: r_0 + gamma r_1 + gamma^2 r_2 + ...

    Time is dimension 0, any other dimensions are episodes of the same length side by side; at least one step.
    0 <= gamma <= 1, and at gamma = 0 the first reward alone counts. No gradient is asked for.
    (Sutton and Barto, 2018, equation 3.8.)
    """
    require(len(rewards) > 0, "rewards must hold at least one step")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    total = torch.zeros_like(rewards[0])
    for reward in rewards.flip(0):
        total = reward + gamma * total
    return total


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


def categorical_log_prob(
    logits: Float[Tensor, "*batch A"], actions: Int64[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """log pi(a) in nats of the actions taken, where pi = softmax(logits) over the last dimension.

    One number for each action of the batch. Finite and exact for any finite logits, +-1e4 included. The
    gradient reaches the logits.
    """
    require(
        ((actions >= 0) & (actions < logits.shape[-1])).all(),
        f"actions must lie in 0 ... {logits.shape[-1] - 1}, not be {actions.tolist()}",
    )
    return logits.log_softmax(-1).gather(-1, actions[..., None])[..., 0]


def diagonal_gaussian_log_prob(
    a: Float[Tensor, "*batch action"],
    mean: Float[Tensor, "*batch action"],
    log_std: Float[Tensor, "*batch action"],
) -> Float[Tensor, "*batch"]:
    """log N(a; mean, diag(std^2)) in nats with std = exp(log_std), the constant included.

    One number per action: summed over its dimensions, the last of the tensors. `log_std` is the logarithm of
    the standard deviation, not of the variance. The gradient reaches all three.
    """
    residual = (a - mean) * torch.exp(-log_std)
    return -(0.5 * residual.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


def tanh_gaussian_sample(
    mean: Float[Tensor, "*batch action"],
    log_std: Float[Tensor, "*batch action"],
    noise: Float[Tensor, "*batch action"],
) -> tuple[Float[Tensor, "*batch action"], Float[Tensor, "*batch"]]:
    """An action between -1 and 1 and the logarithm of its density: (tanh(u), log p(tanh(u))).

    u = mean + exp(log_std) noise is a draw from a diagonal Gaussian; `noise` is standard normal, already
    drawn. log p is the density of the squashed action, so that of u is corrected for the change of variables:
    log p = sum_i [log N(u_i; mean_i, std_i^2) - log(1 - tanh(u_i)^2)], one number per action, in nats.
    Finite and exact also where tanh(u) rounds to +-1, without a small constant in the logarithm. The gradient
    of both results reaches all three inputs. (Haarnoja et al., 2018, appendix C.)
    """
    u = mean + torch.exp(log_std) * noise
    # 1 - tanh(u)^2 = 4 / (e^u + e^-u)^2
    log_slope = 2 * (math.log(2) - torch.logaddexp(u, -u)).sum(-1)
    log_density = -(0.5 * noise.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)
    return torch.tanh(u), log_density - log_slope


def exact_policy_gradient(
    logits: Float[Tensor, "arms"], rewards: Float[Tensor, "arms"], baseline: float
) -> Float[Tensor, "arms"]:
    """The gradient of a bandit's expected reward with respect to the policy's logits, exactly.

    pi = softmax(logits) chooses one of the arms, and arm a pays rewards[a]. The gradient of J = sum_a pi_a
    rewards[a] is E[(rewards[a] - baseline) grad log pi_a], a sum over all arms: no sampling. It is the same
    for any baseline, and it points uphill, towards more reward. (Williams, 1992.)
    """
    probabilities = logits.softmax(-1)
    weights = probabilities * (rewards - baseline)
    # The gradient of log pi_a with respect to the logits is onehot(a) - pi.
    return weights - probabilities * weights.sum(-1)


def policy_gradient_loss(
    log_probs: Float[Tensor, "time *batch"], weights: Float[Tensor, "time *batch"]
) -> Float[Tensor, ""]:
    """The loss whose gradient is minus the policy gradient: minus the mean of weights * log_probs.

    A scalar to be minimised, the mean over all elements. `weights` are returns or advantages, used as they
    are; they are constants, and are detached here, so that the gradient reaches log_probs alone.
    (Williams, 1992; Sutton and Barto, 2018, equation 13.8.)
    """
    return -(log_probs * weights.detach()).mean()


def value_loss(
    values: Float[Tensor, "time *batch"], returns: Float[Tensor, "time *batch"]
) -> Float[Tensor, ""]:
    """The mean over all elements of (values - returns)^2, without a factor 1/2: a scalar to be minimised.

    `returns` are targets, and are detached here: the gradient reaches the values alone.
    """
    return (values - returns.detach()).square().mean()


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


def ppo_kl_penalty_loss(
    log_probs: Float[Tensor, "time *batch"],
    old_log_probs: Float[Tensor, "time *batch"],
    advantages: Float[Tensor, "time *batch"],
    kl: Float[Tensor, "time *batch"],
    coef: float,
) -> Float[Tensor, ""]:
    """PPO with a penalty in the place of the clip: minus the mean of r A - coef kl, over all elements.

    A scalar to be minimised. r = exp(log_probs - old_log_probs); kl is KL(old policy || new policy) in the
    state of each step, computed from both policies by the caller. The gradient reaches log_probs and kl,
    which both depend on the new policy; old_log_probs and advantages are constants, and are detached here.
    coef >= 0. (Schulman et al., 2017, equation 8.)
    """
    require(coef >= 0, f"coef must not be negative, got {coef}")
    ratio = torch.exp(log_probs - old_log_probs.detach())
    return (coef * kl).mean() - (ratio * advantages.detach()).mean()


def adapt_kl_coefficient(coef: float, kl: float, target: float) -> float:
    """The penalty's coefficient for the next update, from the kl that the last one led to.

    Doubled where kl > 1.5 target, halved where kl < target / 1.5, and else (at these limits too) as it was.
    coef, kl and the result are Python numbers; coef > 0, kl >= 0, target > 0. (Schulman et al., 2017, section
    4.)"""
    require(coef > 0, f"coef must be positive, got {coef}")
    require(kl >= 0, f"kl must not be negative, got {kl}")
    require(target > 0, f"target must be positive, got {target}")
    if kl > 1.5 * target:
        return coef * 2
    if kl < target / 1.5:
        return coef / 2
    return coef


def clipped_value_loss(
    values: Float[Tensor, "time *batch"],
    old_values: Float[Tensor, "time *batch"],
    returns: Float[Tensor, "time *batch"],
    clip: float,
) -> Float[Tensor, ""]:
    """PPO's value loss: the mean of max((V - R)^2, (V_clipped - R)^2), without a factor 1/2.

    A scalar to be minimised, the mean over all elements. V_clipped = V_old + clamp(V - V_old, -clip, clip)
    stays near the values of the network that collected the rollout. old_values and returns are constants, and
    are detached here. clip >= 0. (Engstrom et al., 2020, section 3.)
    """
    require(clip >= 0, f"clip must not be negative, got {clip}")
    old_values, returns = old_values.detach(), returns.detach()
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum((values - returns).square(), (clipped - returns).square()).mean()


def entropy_bonus(logits: Float[Tensor, "*batch A"]) -> Float[Tensor, ""]:
    """The mean entropy of the policies softmax(logits) in nats: the batch's average of -sum_a pi_a log pi_a.

    A scalar, not negated: a loss subtracts it. Right for logits of +-1e4 as well: a probability that rounds
    to 0 contributes 0. The gradient reaches the logits. (Mnih et al., 2016.)
    """
    log_probabilities = logits.log_softmax(-1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1).mean()


def surrogate_advantage(
    log_probs: Float[Tensor, "time *batch"],
    old_log_probs: Float[Tensor, "time *batch"],
    advantages: Float[Tensor, "time *batch"],
) -> Float[Tensor, ""]:
    """The mean over all elements of r A, r = exp(log_probs - old_log_probs): what TRPO maximises.

    A scalar, not negated. The gradient reaches log_probs alone: old_log_probs and advantages are constants,
    and are detached here. Right also where both probabilities are too small for a float.
    (Schulman et al., 2015, equation 14.)
    """
    return (torch.exp(log_probs - old_log_probs.detach()) * advantages.detach()).mean()


def mean_categorical_kl(
    logits: Float[Tensor, "*batch A"], old_logits: Float[Tensor, "*batch A"]
) -> Float[Tensor, ""]:
    """KL(old || new) in nats, averaged over the batch, for old = softmax(old_logits), new = softmax(logits).

    A scalar: for each element of the batch sum_a old_a (log old_a - log new_a), then the mean. The new
    policy's logits come first. The gradient reaches `logits` alone: the old policy is a constant, and is
    detached here. (Schulman et al., 2015, section 4.)
    """
    new, old = logits.log_softmax(-1), old_logits.detach().log_softmax(-1)
    return (old.exp() * (old - new)).sum(-1).mean()


def conjugate_gradient(
    hvp: Callable[[Float[Tensor, "n"]], Float[Tensor, "n"]],
    b: Float[Tensor, "n"],
    iters: int = 10,
    tol: float = 1e-10,
) -> Float[Tensor, "n"]:
    """Solve H x = b by conjugate gradients, where H is known by its products hvp(v) = H v alone.

    H is symmetric and positive definite. From x = 0 on, at most `iters` steps, each with one product; it
    stops before a step as soon as the squared norm of the residual b - H x is below tol, so that b = 0
    gives 0. iters >= 0, tol > 0. No gradient is asked for. (Hestenes and Stiefel, 1952; Nocedal and Wright,
    2006, algorithm 5.2.)
    """
    require(iters >= 0, f"iters must not be negative, got {iters}")
    require(tol > 0, f"tol must be positive, got {tol}")
    x, residual, direction = torch.zeros_like(b), b, b
    squared = residual @ residual
    for _ in range(iters):
        if squared < tol:
            break
        product = hvp(direction)
        length = squared / (direction @ product)
        x = x + length * direction
        residual = residual - length * product
        before, squared = squared, residual @ residual
        direction = residual + squared / before * direction
    return x


def trpo_step(
    g: Float[Tensor, "n"], hvp: Callable[[Float[Tensor, "n"]], Float[Tensor, "n"]], delta: float
) -> Float[Tensor, "n"]:
    """The natural gradient's step to the trust region's edge: sqrt(2 delta / g^T H^-1 g) H^-1 g.

    g is the gradient of the objective to be raised; hvp(v) = H v multiplies by the Hessian of the KL
    divergence, symmetric and positive definite; H^-1 g comes from `conjugate_gradient` with its defaults.
    Among all steps s with s^T H s / 2 <= delta this one has the largest g^T s. g is not 0, delta > 0. No
    gradient is asked for. (Schulman et al., 2015, appendix C.)
    """
    require(g.any(), f"g must not be 0: {g}")
    require(delta > 0, f"delta must be positive, got {delta}")
    direction = conjugate_gradient(hvp, g)
    return torch.sqrt(2 * delta / (g @ direction)) * direction


def backtracking_line_search(
    objective: Callable[[Float[Tensor, "n"]], Float[Tensor, ""]],
    kl: Callable[[Float[Tensor, "n"]], Float[Tensor, ""]],
    theta: Float[Tensor, "n"],
    step: Float[Tensor, "n"],
    delta: float,
    alpha: float = 0.8,
    max_steps: int = 10,
) -> Float[Tensor, "n"]:
    """The first of theta + alpha^j step, j = 0, 1, ..., max_steps - 1, that is better and stays near.

    Better: objective(candidate) > objective(theta), as the objective is to be raised. Near: kl(candidate) <=
    delta. If none of them is both, the result is theta. `objective` and `kl` map parameters (n,) to a scalar.
    theta stays as it is. 0 < alpha < 1, delta > 0, max_steps >= 1. No gradient is asked for. (Schulman et
    al., 2015, appendix C.)
    """
    require(delta > 0, f"delta must be positive, got {delta}")
    require(0 < alpha < 1, f"alpha must lie in (0, 1), not be {alpha}")
    require(max_steps >= 1, f"max_steps must be at least 1, not {max_steps}")
    before = objective(theta)
    for j in range(max_steps):
        candidate = theta + alpha**j * step
        if objective(candidate) > before and kl(candidate) <= delta:
            return candidate
    return theta


def q_learning_target(
    rewards: Float[Tensor, "*batch"],
    dones: Float[Tensor, "*batch"],
    q_next: Float[Tensor, "*batch A"],
    gamma: float,
) -> Float[Tensor, "*batch"]:
    """The target of Q-learning for each transition: r + gamma (1 - done) max_a Q(s', a).

    q_next[..., a] = Q(s', a). `dones` holds 0.0 and 1.0; where the transition ended its episode, the reward
    is all there is. 0 <= gamma <= 1. No gradient is asked for: the result serves as a target. (Watkins and
    Dayan, 1992; Mnih et al., 2015.)
    """
    require(((dones == 0) | (dones == 1)).all(), f"dones must be 0.0 or 1.0, not {dones.unique().tolist()}")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    return rewards + gamma * (1 - dones) * q_next.amax(-1)


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


def polyak_update(
    target: Sequence[Float[Tensor, "..."]], source: Sequence[Float[Tensor, "..."]], rho: float
) -> list[Float[Tensor, "..."]]:
    """The target network's parameters moved a little towards the source's: rho target + (1 - rho) source.

    Two lists of as many tensors, of the same shapes in pairs; a new list comes back, and both lists stay as
    they are. 0 <= rho <= 1 is the part of the target that is kept, near 1 in practice. No gradient is asked
    for. (Lillicrap et al., 2016; Polyak and Juditsky, 1992.)
    """
    require(0 <= rho <= 1, f"rho must lie in [0, 1], not be {rho}")
    require(
        [t.shape for t in target] == [s.shape for s in source],
        "source must hold tensors shaped like the target's",
    )
    return [rho * t + (1 - rho) * s for t, s in zip(target, source, strict=True)]


def ddpg_losses(
    q: Float[Tensor, "*batch"],
    q_next: Float[Tensor, "*batch"],
    q_pi: Float[Tensor, "*batch"],
    rewards: Float[Tensor, "*batch"],
    dones: Float[Tensor, "*batch"],
    gamma: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The losses of deep deterministic policy gradients: (critic, actor), two scalars to be minimised.

    q = Q(s, a) of the transitions in the batch; q_next = Q_target(s', mu_target(s')); q_pi = Q(s, mu(s)), of
    the actions that the policy would take now. The critic's loss is the mean of (q - y)^2, without a factor
    1/2, with the target y = r + gamma (1 - done) q_next, which is detached here; the actor's is minus the
    mean of q_pi. `dones` holds 0.0 and 1.0, 0 <= gamma <= 1. (Lillicrap et al., 2016, algorithm 1.)
    """
    require(((dones == 0) | (dones == 1)).all(), f"dones must be 0.0 or 1.0, not {dones.unique().tolist()}")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    target = (rewards + gamma * (1 - dones) * q_next).detach()
    return (q - target).square().mean(), -q_pi.mean()


def exploration_action(
    mu: Float[Tensor, "*batch action"], noise: Float[Tensor, "*batch action"], low: float, high: float
) -> Float[Tensor, "*batch action"]:
    """A deterministic policy's action, with noise to explore, within bounds: clamp(mu + noise, low, high).

    `noise` is already drawn and scaled; low < high are the least and the largest action in every dimension.
    No gradient is asked for. (Lillicrap et al., 2016, equation 7.)
    """
    require(low < high, f"low must be less than high, not {low} and {high}")
    return (mu + noise).clamp(low, high)


def td3_targets(
    rewards: Float[Tensor, "*batch"],
    dones: Float[Tensor, "*batch"],
    next_states: Float[Tensor, "*batch state"],
    policy: Callable[[Float[Tensor, "*batch state"]], Float[Tensor, "*batch action"]],
    q1: Callable[[Float[Tensor, "*batch state"], Float[Tensor, "*batch action"]], Float[Tensor, "*batch"]],
    q2: Callable[[Float[Tensor, "*batch state"], Float[Tensor, "*batch action"]], Float[Tensor, "*batch"]],
    noise: Float[Tensor, "*batch action"],
    gamma: float,
    noise_clip: float,
    low: float,
    high: float,
) -> Float[Tensor, "*batch"]:
    """The target of twin delayed DDPG: r + gamma (1 - done) min(q1(s', a'), q2(s', a')).

    a' = clamp(policy(s') + clamp(noise, -noise_clip, noise_clip), low, high) is the target policy's action,
    smoothed by noise that is already drawn and scaled. policy(states), q1(states, actions) and q2(states,
    actions) are the target networks; the critics give one number per state, of the shape of the rewards. The
    smaller of the two is taken for each transition. `dones` holds 0.0 and 1.0; 0 <= gamma <= 1, noise_clip >=
    0, low < high. No gradient is asked for. (Fujimoto et al., 2018, algorithm 1.)
    """
    require(((dones == 0) | (dones == 1)).all(), f"dones must be 0.0 or 1.0, not {dones.unique().tolist()}")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    require(noise_clip >= 0, f"noise_clip must not be negative, got {noise_clip}")
    require(low < high, f"low must be less than high, not {low} and {high}")
    actions = (policy(next_states) + noise.clamp(-noise_clip, noise_clip)).clamp(low, high)
    q_next = torch.minimum(q1(next_states, actions), q2(next_states, actions))
    return rewards + gamma * (1 - dones) * q_next


def sac_targets(
    rewards: Float[Tensor, "*batch"],
    dones: Float[Tensor, "*batch"],
    q1: Float[Tensor, "*batch"],
    q2: Float[Tensor, "*batch"],
    next_log_prob: Float[Tensor, "*batch"],
    gamma: float,
    alpha: float,
) -> Float[Tensor, "*batch"]:
    """The target of soft actor-critic: r + gamma (1 - done) (min(q1, q2) - alpha log pi(a'|s')).

    q1 and q2 are the two target critics' values of (s', a'), a' drawn from the policy in s', and
    next_log_prob = log pi(a'|s'). Entropy is part of what is to come: it is discounted, and there is none
    after an end. `dones` holds 0.0 and 1.0; 0 <= gamma <= 1, alpha >= 0. No gradient is asked for. (Haarnoja
    et al., 2018.)"""
    require(((dones == 0) | (dones == 1)).all(), f"dones must be 0.0 or 1.0, not {dones.unique().tolist()}")
    require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not be {gamma}")
    require(alpha >= 0, f"alpha must not be negative, got {alpha}")
    return rewards + gamma * (1 - dones) * (torch.minimum(q1, q2) - alpha * next_log_prob)


def sac_policy_loss(
    log_prob: Float[Tensor, "*batch"], q1: Float[Tensor, "*batch"], q2: Float[Tensor, "*batch"], alpha: float
) -> Float[Tensor, ""]:
    """The policy's loss in soft actor-critic: the mean of alpha log pi(a|s) - min(q1, q2), to be minimised.

    a is drawn from the policy as a differentiable function of its parameters (`tanh_gaussian_sample`),
    log_prob is its log-density, q1 and q2 are the critics' values of (s, a). The gradient reaches all three:
    through q1 and q2 it arrives at the action. A scalar, the mean over the batch. alpha >= 0. (Haarnoja et
    al., 2018.)"""
    require(alpha >= 0, f"alpha must not be negative, got {alpha}")
    return (alpha * log_prob - torch.minimum(q1, q2)).mean()
