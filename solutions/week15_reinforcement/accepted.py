"""Week 15: other right ways to write the answers."""

import math
import random
from collections import deque, namedtuple
from functools import reduce
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, MultivariateNormal, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from autograder.author import accepted


@accepted("trajectory_log_prob")
def step_by_step(p0, P, pi, s, a):
    total = torch.log(p0[s[0]])
    for t in range(len(a)):
        total = total + torch.log(pi[s[t], a[t]]) + torch.log(P[s[t], a[t], s[t + 1]])
    return total


@accepted("trajectory_log_prob")
def from_logarithms_of_the_tables(start, transition, policy, states, actions):
    joint = policy.log().unsqueeze(-1) + transition.log()  # of an action and where it leads
    s, a, s_next = states[:-1], actions, states[1:]
    n_actions, n_states = joint.shape[1:]
    steps = joint.flatten().take((s * n_actions + a) * n_states + s_next)
    return start.log()[states[0]] + torch.sum(steps, dim=0)


@accepted("trajectory_log_prob")
def with_one_hot_vectors(p0, P, pi, states, actions):
    s = F.one_hot(states, len(p0)).to(P.dtype)
    a = F.one_hot(actions, pi.shape[1]).to(P.dtype)
    move = torch.einsum("t...i,t...a,t...j,iaj->t...", s[:-1], a, s[1:], P)
    choose = torch.einsum("t...i,t...a,ia->t...", s[:-1], a, pi)
    return (s[0] @ p0).log() + (move.log() + choose.log()).sum(0)


@accepted("policy_evaluation")
def by_inverting(transition, reward, policy, gamma):
    P_pi = (policy.unsqueeze(-1) * transition).sum(dim=1)
    r_pi = torch.einsum("sa,sa->s", policy, reward)
    return torch.inverse(torch.eye(P_pi.shape[0]).to(P_pi) - gamma * P_pi) @ r_pi


@accepted("policy_evaluation")
def sweeping_until_nothing_moves(P, R, pi, gamma):
    V = torch.zeros(P.shape[0], dtype=torch.float64)
    P, R, pi, dtype = P.double(), R.double(), pi.double(), P.dtype
    for _ in range(2000):
        Q = R + gamma * torch.einsum("sat,t->sa", P, V)
        V, before = (pi * Q).sum(1), V
        if (V - before).abs().max() < 1e-17:
            break
    return V.to(dtype)


@accepted("policy_evaluation")
def through_action_values(P, R, pi, gamma):
    """Q = R + gamma P pi Q is a linear system for the pairs of state and action."""
    n, m = R.shape
    following = (P[..., None] * pi).reshape(n * m, n * m)
    Q = torch.linalg.lstsq(torch.eye(n * m, dtype=R.dtype) - gamma * following, R.reshape(-1, 1)).solution
    return (pi * Q.view(n, m)).sum(-1)


@accepted("policy_evaluation")
def with_numpy(P, R, pi, gamma):
    P_pi = np.einsum("sa,sat->st", pi.numpy().astype(np.float64), P.numpy().astype(np.float64))
    r_pi = (pi.double() * R.double()).sum(1).numpy()
    return torch.from_numpy(np.linalg.solve(np.eye(len(P_pi)) - gamma * P_pi, r_pi)).to(P.dtype)


@accepted("value_iteration")
def sweeps_with_einsum(transition, reward, gamma, n):
    V = reward.new_zeros(len(reward))
    for _ in range(n):
        Q = reward + gamma * torch.einsum("sap,p->sa", transition, V)
        V = Q.max(dim=1).values
    return V


@accepted("value_iteration")
def state_by_state(P, R, gamma, n_iter):
    V = [torch.tensor(0.0, dtype=R.dtype) for _ in R]
    for _ in range(n_iter):
        ahead = torch.stack(V)
        V = [max(R[s, a] + gamma * P[s, a].dot(ahead) for a in range(R.shape[1])) for s in range(len(R))]
    return torch.stack(V)


@accepted("value_iteration")
def recursively_in_float64(P, R, gamma, n_iter):
    def value(n):
        if n == 0:
            return torch.zeros(len(R), dtype=torch.float64)
        return torch.max(R.double() + gamma * (P.double() * value(n - 1)).sum(-1), -1)[0]

    return value(n_iter).to(R.dtype)


@accepted("discounted_return")
def as_a_dot_product(rewards, gamma):
    weights = torch.tensor([gamma**t for t in range(len(rewards))], dtype=rewards.dtype)
    return torch.einsum("t,t...->...", weights, rewards)


@accepted("discounted_return")
def with_a_running_discount(rewards, gamma):
    total, discount = torch.zeros_like(rewards[0]), 1.0
    for reward in rewards:
        total = total + discount * reward
        discount *= gamma
    return total


@accepted("discounted_return")
def from_the_returns_of_every_step(r, gamma):
    return reduce(lambda later, now: now + gamma * later, reversed(r.unbind(0)))


@accepted("discounted_return")
def summed_in_float64(rewards, gamma):
    powers = gamma ** torch.arange(rewards.shape[0], dtype=torch.float64)
    return (rewards.double() * powers.view(-1, *[1] * (rewards.ndim - 1))).sum(dim=0).to(rewards.dtype)


@accepted("rewards_to_go")
def backwards_into_its_own_tensor(rewards, dones, gamma, last_value):
    returns = torch.empty_like(rewards)
    running = last_value.clone()
    for t in reversed(range(rewards.shape[0])):
        running = running * (1.0 - dones[t]) * gamma
        running += rewards[t]
        returns[t] = running
    return returns


@accepted("rewards_to_go")
def as_one_matrix_product(rewards, dones, gamma, last_value):
    """Weights gamma^(s - t) where no episode ends between t and s; the last value is a reward at time T."""
    steps = rewards.shape[0]
    streams = torch.cat([rewards, last_value.unsqueeze(0)]).reshape(steps + 1, -1)
    episode = torch.cat([torch.zeros_like(dones[:1]), dones.cumsum(0)]).reshape(steps + 1, -1)
    lag = torch.arange(steps + 1) - torch.arange(steps)[:, None]
    discount = torch.tensor(gamma, dtype=rewards.dtype) ** lag.clamp(min=0)
    seen = (lag >= 0)[..., None] & (episode[None] == episode[:-1, None])
    return torch.einsum("ts,tsb,sb->tb", discount, seen.to(rewards.dtype), streams).reshape(rewards.shape)


@accepted("rewards_to_go")
def recursively(r, d, discount, bootstrap):
    later = recursively(r[1:], d[1:], discount, bootstrap) if len(r) > 1 else bootstrap[None]
    now = torch.where(d[0].bool(), r[0], r[0] + discount * later[0])
    return torch.cat([now[None], later]) if len(r) > 1 else now[None]


@accepted("rewards_to_go")
def accumulated_in_float64(rewards, dones, gamma, last_value):
    pairs = zip(rewards.double().unbind(0)[::-1], dones.double().unbind(0)[::-1], strict=True)
    start = last_value.double()
    sums = accumulate(pairs, lambda g, step: step[0] + gamma * (1 - step[1]) * g, initial=start)
    return torch.stack(list(sums)[:0:-1]).to(rewards.dtype)


@accepted("categorical_log_prob")
def with_a_distribution(logits, actions):
    return Categorical(logits=logits).log_prob(actions)


@accepted("categorical_log_prob")
def minus_the_cross_entropy(scores, taken):
    flat = F.cross_entropy(scores.reshape(-1, scores.shape[-1]), taken.reshape(-1), reduction="none")
    return -flat.reshape(taken.shape)


@accepted("categorical_log_prob")
def by_hand_below_the_largest(logits, actions):
    shifted = logits - logits.max(dim=-1, keepdim=True).values.detach()
    chosen = torch.take_along_dim(shifted, actions.unsqueeze(-1), dim=-1).squeeze(-1)
    return chosen - shifted.exp().sum(-1).log()


@accepted("categorical_log_prob")
def with_one_hot_actions(logits, actions):
    chosen = (F.one_hot(actions, logits.shape[-1]) * logits).sum(-1)
    return chosen - torch.logsumexp(logits, -1)


@accepted("diagonal_gaussian_log_prob")
def with_a_normal_distribution(a, mean, log_std):
    return Normal(mean, log_std.exp()).log_prob(a).sum(dim=-1)


@accepted("diagonal_gaussian_log_prob")
def with_a_full_covariance(x, mu, log_sigma):
    return MultivariateNormal(mu, scale_tril=torch.diag_embed(log_sigma.exp())).log_prob(x)


@accepted("diagonal_gaussian_log_prob")
def as_in_spinning_up(x, mu, log_std):
    pre_sum = -0.5 * (((x - mu) / torch.exp(log_std)) ** 2 + 2 * log_std + np.log(2 * np.pi))
    return pre_sum.sum(axis=-1)


@accepted("diagonal_gaussian_log_prob")
def dimension_after_dimension(a, mean, log_std):
    total = torch.zeros_like(a[..., 0])
    for i in range(a.shape[-1]):
        variance = torch.exp(2 * log_std[..., i])
        total = total - (a[..., i] - mean[..., i]) ** 2 / (2 * variance) - log_std[..., i]
    return total - a.shape[-1] * 0.9189385332046727


@accepted("tanh_gaussian_sample")
def with_a_transformed_distribution(mean, log_std, noise):
    std = log_std.exp()
    policy = TransformedDistribution(Normal(mean, std), TanhTransform(cache_size=1))
    action = policy.transforms[0](mean + std * noise)
    return action, policy.log_prob(action).sum(-1)


@accepted("tanh_gaussian_sample")
def as_in_spinning_up_squashed(mu, log_std, noise):
    pi_distribution = Normal(mu, torch.exp(log_std))
    pi_action = mu + torch.exp(log_std) * noise
    logp_pi = pi_distribution.log_prob(pi_action).sum(axis=-1)
    logp_pi -= (2 * (np.log(2) - pi_action - F.softplus(-2 * pi_action))).sum(axis=-1)
    return torch.tanh(pi_action), logp_pi


@accepted("tanh_gaussian_sample")
def with_the_slope_as_two_sigmoids(mean, log_std, noise):
    u = torch.addcmul(mean, log_std.exp(), noise)
    log_slope = math.log(4) + F.logsigmoid(2 * u) + F.logsigmoid(-2 * u)
    base = -(noise * noise + math.log(2 * math.pi)) / 2 - log_std
    return u.tanh(), torch.sum(base - log_slope, dim=-1)


@accepted("tanh_gaussian_sample")
def with_absolute_values_in_a_loop(mean, log_std, noise):
    actions, total = [], 0
    for m, l, e in zip(mean.unbind(-1), log_std.unbind(-1), noise.unbind(-1), strict=True):
        u = m + l.exp() * e
        far = torch.where(u < 0, -u, u)
        total = total - 0.5 * e**2 - l - 0.5 * math.log(2 * math.pi)
        total = total - 2 * (math.log(2) - far - torch.log1p(torch.exp(-2 * far)))
        actions.append(torch.tanh(u))
    return torch.stack(actions, -1), total


@accepted("exact_policy_gradient")
def by_autograd(logits, rewards, baseline):
    theta = logits.detach().clone().requires_grad_(True)
    expected = torch.sum(torch.softmax(theta, -1) * (rewards - baseline))
    return torch.autograd.grad(expected, theta)[0]


@accepted("exact_policy_gradient")
def against_the_mean_reward(logits, rewards, baseline):
    pi = torch.exp(logits - torch.logsumexp(logits, 0))
    return pi * (rewards - torch.dot(pi, rewards))


@accepted("exact_policy_gradient")
def arm_by_arm(theta, r, b):
    pi = F.softmax(theta, dim=0)
    gradient = torch.zeros_like(theta)
    for arm in range(len(theta)):
        score = -pi.clone()
        score[arm] += 1
        gradient += pi[arm] * (r[arm] - b) * score
    return gradient


@accepted("exact_policy_gradient")
def with_the_jacobian_of_softmax(logits, rewards, baseline):
    pi = logits.softmax(0)
    return (torch.diag(pi) - torch.outer(pi, pi)) @ rewards


@accepted("policy_gradient_loss")
def as_a_dot_product_of_flat_tensors(logp, w):
    return -torch.dot(logp.reshape(-1), w.detach().reshape(-1)) / logp.numel()


@accepted("policy_gradient_loss")
def mean_of_costs(log_probs, weights):
    with torch.no_grad():
        costs = -1 * weights
    return torch.mean(costs * log_probs)


@accepted("policy_gradient_loss")
def one_step_after_the_other(log_probs, weights):
    total = torch.zeros((), dtype=log_probs.dtype)
    for lp, w in zip(log_probs, weights.data, strict=True):
        total = total - (lp * w).sum()
    return total / log_probs.numel()


@accepted("policy_gradient_loss")
def through_float64(log_probs, weights):
    return (log_probs.double() * weights.detach().double()).mean().neg().to(log_probs.dtype)


@accepted("value_loss")
def with_mse_loss(values, returns):
    return F.mse_loss(values, returns.detach())


@accepted("value_loss")
def with_a_norm(v, target):
    errors = (v - target.detach()).flatten()
    return errors @ errors / errors.numel()


@accepted("value_loss")
def powers_of_the_errors(values, returns):
    target = returns.data
    return torch.pow(target - values, 2).sum() / values.numel()


@accepted("value_loss")
def expanded_in_float64(values, returns):
    v, target = values.double(), returns.detach().double()
    return (v * v - 2 * v * target + target * target).mean().to(values.dtype)


@accepted("gae")
def as_in_cleanrl(rewards, values, dones, next_value, gamma, gae_lambda):
    with torch.no_grad():
        advantages = torch.zeros_like(rewards)
        lastgaelam = 0
        for t in reversed(range(len(rewards))):
            nextvalues = next_value if t == len(rewards) - 1 else values[t + 1]
            nextnonterminal = 1.0 - dones[t]
            delta = rewards[t] + gamma * nextvalues * nextnonterminal - values[t]
            advantages[t] = lastgaelam = delta + gamma * gae_lambda * nextnonterminal * lastgaelam
        return advantages, advantages + values


@accepted("gae")
def from_lambda_returns(rewards, values, dones, last_value, gamma, lam):
    returns, ahead = [], last_value
    for t in range(len(rewards) - 1, -1, -1):
        v_next = values[t + 1] if t + 1 < len(values) else last_value
        ahead = rewards[t] + gamma * (1 - dones[t]) * ((1 - lam) * v_next + lam * ahead)
        returns.insert(0, ahead)
    targets = torch.stack(returns)
    return targets - values, targets


@accepted("gae")
def weighted_sum_of_deltas(rewards, values, dones, last_value, gamma, lam):
    """A_t = sum over s >= t of (gamma lam)^(s - t) delta_s, with a factor 0 across every end."""
    alive = 1 - dones
    bootstrapped = torch.cat((values, last_value.unsqueeze(0)), dim=0)
    delta = rewards + gamma * alive * bootstrapped[1:] - bootstrapped[:-1]
    advantages = delta.clone()
    for t in range(len(rewards)):
        weight = torch.ones_like(delta[0])
        for s in range(t + 1, len(rewards)):
            weight = weight * (gamma * lam) * alive[s - 1]
            advantages[t] += weight * delta[s]
    return [advantages, advantages + values]


@accepted("gae")
def folded_in_float64(rewards, values, dones, last_value, gamma, lam):
    r, v, d, last = (x.detach().to(torch.float64) for x in (rewards, values, dones, last_value))
    v_next = v.roll(-1, 0)
    v_next[-1] = last
    delta = torch.where(d > 0.5, r - v, r + gamma * v_next - v)

    def step(done, t):
        return [delta[t] + torch.where(d[t] > 0.5, 0.0, gamma * lam * done[0]), *done]

    advantages = torch.stack(reduce(step, range(len(r) - 1, -1, -1), [torch.zeros_like(last)])[:-1])
    return advantages.to(rewards.dtype), (advantages + v).to(rewards.dtype)


@accepted("normalize_advantages")
def with_std_mean(advantages):
    std, mean = torch.std_mean(advantages)
    return (advantages - mean) / (std + 1e-8)


@accepted("normalize_advantages")
def from_sums(advantages):
    n = advantages.numel()
    centred = advantages - advantages.sum() / n
    return centred / ((centred * centred).sum().div(n - 1).sqrt() + 1e-8)


@accepted("normalize_advantages")
def flat_and_in_place_on_a_copy(advantages):
    flat = advantages.detach().clone().reshape(-1)
    flat -= flat.mean()
    flat /= torch.linalg.vector_norm(flat) / (len(flat) - 1) ** 0.5 + 1e-8
    return flat.view(advantages.shape)


@accepted("normalize_advantages")
def with_float64_inside(advantages):
    wide = advantages.to(torch.float64)
    return ((wide - wide.mean()) / (wide.var(correction=1).sqrt() + 1e-8)).to(advantages.dtype)


@accepted("ppo_clip_loss")
def maximum_of_losses(logp, logp_old, adv, eps=0.2):
    adv = adv.detach()
    logratio = logp - logp_old.detach()
    ratio = logratio.exp()
    return torch.max(-adv * ratio, -adv * torch.clamp(ratio, 1 - eps, 1 + eps)).mean()


@accepted("ppo_clip_loss")
def bounded_by_the_sign_of_the_advantage(log_probs, old_log_probs, advantages, clip=0.2):
    with torch.no_grad():
        bound = torch.where(advantages > 0, (1 + clip) * advantages, (1 - clip) * advantages)
    ratio = torch.exp(log_probs - old_log_probs.detach())
    return -torch.min(ratio * advantages.detach(), bound).mean()


@accepted("ppo_clip_loss")
def gradient_only_where_it_is_not_clipped(log_probs, old_log_probs, advantages, clip=0.2):
    advantages, old = advantages.data, old_log_probs.data
    ratio = (log_probs - old).exp()
    improves_too_far = ((ratio > 1 + clip) & (advantages > 0)) | ((ratio < 1 - clip) & (advantages < 0))
    limit = 1 + clip * torch.sign(advantages)
    return -(torch.where(improves_too_far, limit, ratio) * advantages).sum() / ratio.numel()


@accepted("ppo_clip_loss")
def element_by_element_in_float64(log_probs, old_log_probs, advantages, clip=0.2):
    terms = []
    flat = (x.reshape(-1) for x in (log_probs, old_log_probs.detach(), advantages.detach()))
    for new, old, a in zip(*flat, strict=True):
        r = torch.exp(new.double() - old.double())
        clipped = r if 1 - clip <= r.item() <= 1 + clip else r.detach().clamp(1 - clip, 1 + clip)
        terms.append(torch.stack([r * a, clipped * a]).min())
    return (-sum(terms) / len(terms)).to(log_probs.dtype)


@accepted("ReplayBuffer")
class ADequeSampledWithoutReplacement:
    def __init__(self, capacity):
        self.memory = deque(maxlen=capacity)

    def __len__(self):
        return len(self.memory)

    def add(self, *transition):
        self.memory.append(transition)

    def sample(self, batch_size, generator):
        chosen = torch.randperm(len(self.memory), generator=generator)[:batch_size]
        return tuple(map(torch.stack, zip(*(self.memory[i] for i in chosen), strict=True)))


@accepted("ReplayBuffer")
class PreallocatedTensors:
    def __init__(self, capacity):
        self.capacity, self.position, self.full, self.storage = capacity, 0, False, None

    def __len__(self):
        return self.capacity if self.full else self.position

    def add(self, state, action, reward, next_state, done):
        values = (state, action, reward, next_state, done)
        if self.storage is None:
            self.storage = [torch.zeros((self.capacity, *v.shape), dtype=v.dtype) for v in values]
        for column, value in zip(self.storage, values, strict=True):
            column[self.position] = value
        self.position = (self.position + 1) % self.capacity
        self.full = self.full or self.position == 0

    def sample(self, batch_size, generator):
        rows = (torch.rand(batch_size, generator=generator) * len(self)).long()
        return tuple(column[rows] for column in self.storage)


@accepted("ReplayBuffer")
class SortedSubsetsInANamedTuple:
    Batch = namedtuple("Batch", "states actions rewards next_states dones")

    def __init__(self, capacity):
        self.capacity, self.added = capacity, 0
        self.slots = {}

    def __len__(self):
        return min(self.added, self.capacity)

    def add(self, state, action, reward, next_state, done):
        self.slots[self.added % self.capacity] = tuple(
            x.detach().clone() for x in (state, action, reward, next_state, done)
        )
        self.added += 1

    def sample(self, batch_size, generator):
        chosen = torch.multinomial(torch.ones(len(self)), batch_size, generator=generator).sort().values
        return self.Batch(*(torch.stack([self.slots[i][k] for i in chosen.tolist()]) for k in range(5)))


@accepted("ReplayBuffer")
class PythonsRandomSeededByTheGenerator:
    def __init__(self, capacity):
        self.capacity, self.items = capacity, []

    def __len__(self):
        return len(self.items)

    def add(self, *transition):
        self.items = [*self.items, transition][-self.capacity :]

    def sample(self, batch_size, generator):
        rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
        return [torch.stack(column) for column in zip(*rng.sample(self.items, batch_size), strict=True)]
