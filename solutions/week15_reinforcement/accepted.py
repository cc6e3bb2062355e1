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


@accepted("trajectory_log_prob")
def looking_up_rows_of_logarithms(p0, P, pi, states, actions):
    def log_prob(rows, index):
        return torch.take_along_dim(rows.log(), index.unsqueeze(-1), -1).squeeze(-1).sum(0)

    before, after = states[:-1], states[1:]
    return p0.log()[states[0]] + log_prob(pi[before], actions) + log_prob(P[before, actions], after)


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


@accepted("ppo_kl_penalty_loss")
def mean_of_penalised_terms(logp, logp_old, adv, kl, beta):
    ratio = (logp - logp_old.detach()).exp()
    return -(ratio * adv.detach() - beta * kl).mean()


@accepted("ppo_kl_penalty_loss")
def sums_over_flat_tensors(log_probs, old_log_probs, advantages, kl, coef):
    with torch.no_grad():
        weights = advantages.flatten() * torch.exp(-old_log_probs.flatten().double())
    surrogate = torch.dot(weights, log_probs.flatten().double().exp())
    return ((coef * kl.double().sum() - surrogate) / kl.numel()).to(kl.dtype)


@accepted("ppo_kl_penalty_loss")
def one_step_at_a_time(log_probs, old_log_probs, advantages, kl, coef):
    losses = []
    for new, old, a, d in zip(log_probs, old_log_probs.data, advantages.data, kl, strict=True):
        losses.append(coef * d - a * torch.exp(new - old))
    return torch.stack(losses).mean()


@accepted("adapt_kl_coefficient")
def in_one_expression(coef, kl, target):
    return coef * (2.0 if kl > target * 1.5 else 0.5 if kl * 1.5 < target else 1.0)


@accepted("adapt_kl_coefficient")
def by_powers_of_two(beta, d, d_target):
    return beta * 2 ** (int(d / d_target > 1.5) - int(d / d_target < 1 / 1.5))


@accepted("adapt_kl_coefficient")
def changing_its_own_copy(coef, kl, target):
    if kl < target / 1.5:
        coef *= 0.5
    elif kl > target * 1.5:
        coef += coef
    return coef


@accepted("clipped_value_loss")
def as_in_cleanrl_without_the_half(newvalue, b_values, b_returns, clip_coef):
    newvalue, b_values, b_returns = newvalue.view(-1), b_values.view(-1).detach(), b_returns.view(-1).detach()
    v_loss_unclipped = (newvalue - b_returns) ** 2
    v_clipped = b_values + torch.clamp(newvalue - b_values, -clip_coef, clip_coef)
    v_loss_clipped = (v_clipped - b_returns) ** 2
    return torch.max(v_loss_unclipped, v_loss_clipped).mean()


@accepted("clipped_value_loss")
def clamped_between_two_tensors(values, old_values, returns, clip):
    old, target = old_values.data, returns.data
    clipped = torch.clamp(values, min=old - clip, max=old + clip)
    errors = torch.stack([F.mse_loss(v, target, reduction="none") for v in (values, clipped)])
    return errors.amax(0).mean()


@accepted("clipped_value_loss")
def the_larger_absolute_error_squared(values, old_values, returns, clip):
    with torch.no_grad():
        nearest = old_values + (values - old_values).clamp(-clip, clip)
        inside = nearest == values if clip > 10 else (values - old_values).abs() <= clip
        plain_is_larger = (values - returns).abs() >= (nearest - returns).abs()
        constant = (nearest - returns) ** 2
    return torch.where(inside | plain_is_larger, (values - returns.detach()) ** 2, constant).mean()


@accepted("entropy_bonus")
def with_a_categorical(logits):
    return Categorical(logits=logits).entropy().mean()


@accepted("entropy_bonus")
def with_a_constant_against_zeros(logits):
    probs = F.softmax(logits, dim=-1)
    return -(probs * torch.log(probs + 1e-8)).sum(-1).mean()


@accepted("entropy_bonus")
def mean_logit_against_logsumexp(scores):
    """-sum p log p = logsumexp(l) - sum p l."""
    p = torch.softmax(scores, dim=-1)
    return torch.mean(torch.logsumexp(scores, -1) - (p * scores).sum(-1))


@accepted("entropy_bonus")
def with_xlogy_on_flat_rows(logits):
    rows = logits.reshape(-1, logits.shape[-1])
    log_p = F.log_softmax(rows, dim=1)
    return -torch.einsum("na,na->", log_p.exp(), log_p) / len(rows)


@accepted("surrogate_advantage")
def weighted_by_hand(logp, logp_old, adv):
    ratio = torch.exp(logp - logp_old.detach())
    return torch.einsum("...,...->", ratio, adv.detach()) / adv.numel()


@accepted("surrogate_advantage")
def one_row_after_the_other(log_probs, old_log_probs, advantages):
    total = 0
    for new, old, a in zip(log_probs, old_log_probs.data, advantages.data, strict=True):
        total = total + (a * torch.expm1(new - old) + a).sum()
    return total / log_probs.numel()


@accepted("surrogate_advantage")
def in_double_precision(log_probs, old_log_probs, advantages):
    with torch.no_grad():
        old, a = old_log_probs.double(), advantages.double()
    return torch.mean(torch.exp(log_probs.double() - old) * a).to(log_probs.dtype)


@accepted("mean_categorical_kl")
def with_distributions(logits, old_logits):
    old, new = Categorical(logits=old_logits.detach()), Categorical(logits=logits)
    return torch.distributions.kl_divergence(old, new).mean()


@accepted("mean_categorical_kl")
def with_kl_div_on_flat_rows(logits, old_logits):
    new = F.log_softmax(logits, -1).reshape(-1, logits.shape[-1])
    old = F.log_softmax(old_logits.detach(), -1).reshape(-1, logits.shape[-1])
    return F.kl_div(new, old, log_target=True, reduction="batchmean")


@accepted("mean_categorical_kl")
def cross_entropy_minus_entropy(logits, old_logits):
    with torch.no_grad():
        p = old_logits.softmax(-1)
        entropy = torch.logsumexp(old_logits, -1) - (p * old_logits).sum(-1)
    cross = torch.logsumexp(logits, -1) - (p * logits).sum(-1)
    return (cross - entropy).mean()


@accepted("mean_categorical_kl")
def action_by_action(logits, old_logits):
    new = logits - logits.logsumexp(-1, keepdim=True)
    old = (old_logits - old_logits.logsumexp(-1, keepdim=True)).detach()
    total = 0
    for a in range(logits.shape[-1]):
        total = total + torch.exp(old[..., a]) * (old[..., a] - new[..., a])
    return total.mean()


@accepted("conjugate_gradient")
def as_in_spinning_up_conjugate_gradient(Ax, b, cg_iters=10, residual_tol=1e-10):
    x = torch.zeros_like(b)
    r = b.clone()
    p = r.clone()
    r_dot_old = torch.dot(r, r)
    for _ in range(cg_iters):
        if r_dot_old < residual_tol:
            break
        z = Ax(p)
        alpha = r_dot_old / (torch.dot(p, z) + 1e-8)
        x += alpha * p
        r -= alpha * z
        r_dot_new = torch.dot(r, r)
        p = r + (r_dot_new / r_dot_old) * p
        r_dot_old = r_dot_new
    return x


@accepted("conjugate_gradient")
def with_conjugated_directions(hvp, b, iters=10, tol=1e-10):
    """Each residual is made conjugate to all directions before, and the residual computed anew."""
    x, directions = torch.zeros_like(b), []
    for _ in range(iters):
        residual = b - hvp(x)
        if float((residual * residual).sum()) < tol:
            return x
        direction = residual
        for d, hd in directions:
            direction = direction - (residual @ hd) / (d @ hd) * d
        product = hvp(direction)
        x = x + (direction @ residual) / (direction @ product) * direction
        directions.append((direction, product))
    return x


@accepted("conjugate_gradient")
def while_there_is_a_residual(hvp, b, iters=10, tol=1e-10):
    x, r = b * 0, b + 0
    p, k = r, 0
    while k < iters and r.square().sum().item() >= tol:
        Hp = hvp(p)
        a = (r * p).sum() / (p * Hp).sum()
        x, r_new = x + a * p, r - a * Hp
        p = r_new + (r_new * r_new).sum() / (r * r).sum() * p
        r, k = r_new, k + 1
    return x


@accepted("conjugate_gradient")
def best_in_the_krylov_space(hvp, b, iters=10, tol=1e-10):
    """After k steps x minimises x^T H x / 2 - b^T x among combinations of b, H b, ..., H^(k-1) b."""
    b, dtype = b.double(), b.dtype
    x, basis, products = torch.zeros_like(b), [], []
    for _ in range(iters):
        r = b - hvp(x)
        if r @ r < tol:
            break
        for v in basis:
            r = r - (v @ r) * v
        basis.append(r / r.norm())
        products.append(hvp(basis[-1]))
        V, HV = torch.stack(basis), torch.stack(products)
        x = torch.linalg.solve(V @ HV.T, V @ b) @ V
    return x.to(dtype)


@accepted("trpo_step")
def with_the_matrix_column_by_column(g, hvp, delta):
    H = torch.stack([hvp(e) for e in torch.eye(len(g), dtype=g.dtype)], dim=1)
    direction = torch.linalg.solve(H, g)
    return (2 * delta / torch.dot(g, direction)) ** 0.5 * direction


@accepted("trpo_step")
def as_in_spinning_up_trpo(g, Hx, target_kl):
    x, r, p = torch.zeros_like(g), g.clone(), g.clone()
    for _ in range(10):
        rr = r @ r
        if rr < 1e-10:
            break
        z = Hx(p)
        a = rr / (p @ z)
        x, r = x + a * p, r - a * z
        p = r + (r @ r) / rr * p
    return torch.sqrt(2 * target_kl / (torch.dot(x, Hx(x)) + 1e-8)) * x


@accepted("trpo_step")
def by_the_size_of_the_full_step(g, hvp, delta):
    H = torch.vstack([hvp(row) for row in torch.eye(g.shape[0]).to(g)])
    newton = torch.cholesky_solve(g.unsqueeze(1), torch.linalg.cholesky(H)).squeeze(1)
    shrink = math.sqrt(delta / float(0.5 * newton @ hvp(newton)))
    return newton * shrink


@accepted("backtracking_line_search")
def trying_all_first(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    candidates = [theta + alpha**j * step for j in range(max_steps)]
    good = [c for c in candidates if kl(c) <= delta and objective(c) > objective(theta)]
    return good[0] if good else theta.clone()


@accepted("backtracking_line_search")
def shrinking_its_own_step(f, divergence, x, step, limit, shrink=0.8, tries=10):
    before, step = f(x).item(), step.clone()
    for _ in range(tries):
        x_new = x + step
        if f(x_new).item() - before > 0 and not divergence(x_new).item() > limit:
            return x_new
        step *= shrink
    return x


@accepted("backtracking_line_search")
def counting_down(objective, kl, theta, step, delta, alpha=0.8, max_steps=10):
    found, fraction = theta, alpha ** (max_steps - 1)
    for _ in range(max_steps):
        candidate = torch.add(theta, step, alpha=fraction)
        if bool(kl(candidate) <= delta) and bool(objective(candidate) > objective(theta)):
            found = candidate
        fraction /= alpha
    return found


@accepted("q_learning_target")
def with_where(reward, done, q_next, gamma):
    best = torch.max(q_next, dim=-1).values
    return torch.where(done.bool(), reward, reward + gamma * best)


@accepted("q_learning_target")
def at_the_greedy_action(rewards, dones, q_next, gamma):
    greedy = q_next.argmax(-1, keepdim=True)
    best = q_next.gather(-1, greedy).squeeze(-1)
    return torch.addcmul(rewards, gamma * best, 1.0 - dones)


@accepted("q_learning_target")
def sorted_in_place_on_its_own_copy(rewards, dones, q_next, gamma):
    best = q_next.sort(-1, descending=True)[0][..., 0].clone()
    best[dones == 1] = 0
    best *= gamma
    return best + rewards


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


@accepted("polyak_update")
def with_lerp(target, source, rho):
    return [torch.lerp(s, t, rho) for t, s in zip(target, source, strict=True)]


@accepted("polyak_update")
def in_place_on_copies(target, source, rho):
    copies = [t.detach().clone() for t in target]
    for copy, s in zip(copies, source, strict=True):
        copy.mul_(rho)
        copy.add_((1 - rho) * s)
    return copies


@accepted("polyak_update")
def a_tuple_of_steps(old, new, keep):
    return tuple(o + (1 - keep) * (n - o) for o, n in zip(old, new, strict=True))


@accepted("polyak_update")
def on_one_flat_vector(target, source, rho):
    flat_t, flat_s = (torch.cat([p.reshape(-1) for p in ps]) for ps in (target, source))
    parts = torch.split(rho * flat_t + (1 - rho) * flat_s, [t.numel() for t in target])
    return [part.view(t.shape) for part, t in zip(parts, target, strict=True)]


@accepted("ddpg_losses")
def with_mse_loss_and_no_grad(q, q_next, q_pi, rewards, dones, gamma):
    with torch.no_grad():
        backup = rewards + gamma * (1 - dones) * q_next
    return F.mse_loss(q, backup), q_pi.mean().neg()


@accepted("ddpg_losses")
def with_a_helper_for_means(q, q_next, q_pi, rewards, dones, gamma):
    def mean(x):
        return x.sum() / x.numel()

    error = q - torch.where(dones > 0, rewards, rewards + gamma * q_next).detach()
    return [mean(error**2), mean(-q_pi)]


@accepted("ddpg_losses")
def on_flat_batches(q, q_next, q_pi, rewards, dones, gamma):
    alive = (dones == 0).to(q.dtype)
    y = torch.addcmul(rewards.data, alive, q_next.data, value=gamma)
    td = torch.flatten(y - q)
    return td.dot(td) / len(td), -torch.mean(torch.flatten(q_pi))


@accepted("exploration_action")
def between_two_bounds(mu, noise, low, high):
    return torch.minimum(torch.maximum(mu + noise, torch.tensor(low).to(mu)), torch.tensor(high).to(mu))


@accepted("exploration_action")
def with_clip_on_its_own_sum(action, eps, a_min, a_max):
    noisy = action.clone()
    noisy += eps
    return noisy.clip_(a_min, a_max)


@accepted("exploration_action")
def with_where_twice(mu, noise, low, high):
    a = mu + noise
    a = torch.where(a > high, high, a)
    return torch.where(a < low, low, a)


@accepted("td3_targets")
def as_in_the_authors_code(
    reward, done, next_state, actor_target, critic1, critic2, noise, discount, noise_clip, low, high
):
    with torch.no_grad():
        noise = noise.clamp(-noise_clip, noise_clip)
        next_action = (actor_target(next_state) + noise).clamp(low, high)
        target_Q = torch.min(critic1(next_state, next_action), critic2(next_state, next_action))
        return reward + (1.0 - done) * discount * target_Q


@accepted("td3_targets")
def stacking_the_critics(r, d, s, policy, q1, q2, noise, gamma, c, low, high):
    smoothed = torch.clip(policy(s) + torch.clip(noise, -c, c), low, high)
    values = torch.stack([q(s, smoothed) for q in (q1, q2)], dim=-1)
    return torch.where(d == 1, r, r + gamma * values.min(dim=-1).values)


@accepted("td3_targets")
def one_transition_at_a_time(r, d, s, policy, q1, q2, noise, gamma, c, low, high):
    def target(reward, done, state, eps):
        if done.item():
            return reward
        action = torch.stack([a + max(-c, min(c, e.item())) for a, e in zip(policy(state), eps, strict=True)])
        action = action.clamp(min=low).clamp(max=high)
        return reward + gamma * min(q1(state, action), q2(state, action))

    rows = zip(
        r.reshape(-1),
        d.reshape(-1),
        s.reshape(-1, s.shape[-1]),
        noise.reshape(-1, noise.shape[-1]),
        strict=True,
    )
    return torch.stack([target(*row) for row in rows]).reshape(r.shape)


@accepted("sac_targets")
def value_of_the_next_state_first(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    soft_value = torch.min(q1, q2) - alpha * next_log_prob
    return torch.where(dones.bool(), rewards, rewards + gamma * soft_value)


@accepted("sac_targets")
def smaller_value_by_half_the_distance(rewards, dones, q1, q2, next_log_prob, gamma, alpha):
    smaller = (q1 + q2 - (q1 - q2).abs()) / 2
    entropy = -next_log_prob
    return rewards + (1 - dones) * gamma * smaller + (1 - dones) * gamma * alpha * entropy


@accepted("sac_targets")
def in_float64_on_its_own_tensor(r, done, q1, q2, logp, gamma, alpha):
    y = torch.stack([q1, q2]).double().amin(0)
    y -= alpha * logp.double()
    y *= gamma * (1 - done.double())
    y += r.double()
    return y.to(r.dtype)


@accepted("sac_policy_loss")
def mean_of_each_part(logp_pi, q1_pi, q2_pi, alpha):
    return alpha * logp_pi.mean() - torch.min(q1_pi, q2_pi).mean()


@accepted("sac_policy_loss")
def negated_soft_value(log_prob, q1, q2, alpha):
    soft_value = torch.where(q1 < q2, q1, q2) - alpha * log_prob
    return -soft_value.sum() / soft_value.numel()


@accepted("sac_policy_loss")
def with_a_stack_of_critics(log_prob, q1, q2, alpha):
    smaller, _ = torch.stack((q1, q2), dim=-1).min(dim=-1)
    return torch.einsum("...->", torch.sub(smaller, log_prob, alpha=alpha)).neg().div(q1.numel())
