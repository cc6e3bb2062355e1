"""Week 15: scipy, numpy and torch's layers and tools as students' answers."""

import math
from collections import deque

import numpy as np
import scipy
import torch
from torch.optim.swa_utils import get_ema_avg_fn
from torch.utils.data import RandomSampler, default_collate

from autograder.author import oracle

# What numpy and scipy compute has no gradients.
VALUES = ["gradients"]


def of(tensor):
    """A tensor as a float64 array."""
    return tensor.detach().double().numpy()


def like(array, tensor):
    """An array as a tensor of the dtype of another."""
    return torch.from_numpy(np.array(array)).to(tensor.dtype)


def filtered(rewards, dones, gamma, last):
    """The sums of what is to come, by a recursive filter of each episode of each environment, backwards."""
    rows, ends, last = (
        of(x).reshape(n, -1) for x, n in ((rewards, len(rewards)), (dones, len(dones)), (last, 1))
    )
    sums = np.empty_like(rows)
    for column in range(rows.shape[1]):
        begin, carried = len(rows), last[0, column]
        for end in [*np.flatnonzero(ends[:, column])[::-1] + 1, 0]:
            # The last steps first; what follows an end counts no more.
            part = rows[end:begin, column][::-1]
            if len(part):
                sums[end:begin, column] = scipy.signal.lfilter([1], [1, -gamma], part, zi=[gamma * carried])[
                    0
                ][::-1]
            begin, carried = end, 0.0
    return sums.reshape(rewards.shape)


@oracle("trajectory_log_prob")
def scipys_xlogy(p0, P, pi, states, actions):
    before, after = states[:-1], states[1:]
    factors = [of(x) for x in (p0[states[:1]], pi[before, actions], P[before, actions, after])]
    return like(scipy.special.xlogy(1, np.concatenate(factors)).sum(0), p0)


@oracle("policy_evaluation")
def scipys_sparse_solution(P, R, pi, gamma):
    """Of the values of states and actions together, which one large system of equations ties."""
    n, m = R.shape
    step = (of(P)[:, :, :, None] * of(pi)).reshape(n * m, n * m)
    q = scipy.sparse.linalg.spsolve(scipy.sparse.csc_array(np.eye(n * m) - gamma * step), of(R).ravel())
    return like(np.vecdot(of(pi), q.reshape(n, m)), R)


@oracle("discounted_return")
def numpys_polynomial(rewards, gamma):
    return like(np.polynomial.polynomial.polyval(gamma, of(rewards)), rewards)


@oracle("rewards_to_go")
def scipys_filter(rewards, dones, gamma, last_value):
    return like(filtered(rewards, dones, gamma, last_value), rewards)


@oracle("gae")
def scipys_filter_of_differences(rewards, values, dones, last_value, gamma, lam):
    after = np.concatenate([of(values)[1:], of(last_value)[None]])
    differences = of(rewards) + np.where(of(dones) > 0, 0, gamma * after) - of(values)
    advantages = filtered(torch.from_numpy(differences), dones, gamma * lam, 0 * last_value)
    return like(advantages, rewards), like(advantages + of(values), rewards)


@oracle("categorical_log_prob", without=VALUES)
def scipys_log_softmax(logits, actions):
    scores = scipy.special.log_softmax(of(logits), axis=-1)
    return like(np.take_along_axis(scores, actions.numpy()[..., None], -1)[..., 0], logits)


@oracle("diagonal_gaussian_log_prob", without=VALUES)
def scipys_normal(a, mean, log_std):
    return like(scipy.stats.norm.logpdf(of(a), of(mean), np.exp(of(log_std))).sum(-1), a)


@oracle("tanh_gaussian_sample", without=VALUES)
def scipys_logistic(mean, log_std, noise):
    """tanh(u) is 2 s - 1 for a logistic variable at 2u; the slope is that distribution's density, times 4."""
    u = of(mean) + np.exp(of(log_std)) * of(noise)
    density = scipy.stats.norm.logpdf(u, of(mean), np.exp(of(log_std)))
    slope = math.log(4) + scipy.stats.logistic.logpdf(2 * u)
    return like(np.tanh(u), mean), like((density - slope).sum(-1), mean)


@oracle("exact_policy_gradient")
def numpys_covariance(logits, rewards, baseline):
    """Its entries are the covariances of an arm's indicator with the reward."""
    weights = scipy.special.softmax(of(logits))
    table = np.vstack([np.eye(len(weights)), of(rewards) - baseline])
    return like(np.cov(table, aweights=weights, ddof=0)[-1, :-1], logits)


@oracle("value_loss")
def torchs_gaussian_likelihood(values, returns):
    """Twice minus the log-density of a unit variance, without its constant."""
    return 2 * torch.nn.GaussianNLLLoss()(values, returns.detach(), torch.ones_like(returns))


@oracle("normalize_advantages", without=["precision"])  # it adds nothing to the deviation
def scipys_zscore(advantages):
    if not advantages.any():
        return torch.zeros_like(advantages)
    return like(scipy.stats.zscore(of(advantages), axis=None, ddof=1), advantages)


@oracle("entropy_bonus", without=VALUES)
def scipys_entropy(logits):
    return like(scipy.stats.entropy(scipy.special.softmax(of(logits), axis=-1), axis=-1).mean(), logits)


@oracle("mean_categorical_kl", without=VALUES)
def scipys_relative_entropy(logits, old_logits):
    old, new = (scipy.special.softmax(of(x), axis=-1) for x in (old_logits, logits))
    return like(scipy.special.rel_entr(old, new).sum(-1).mean(), logits)


def as_operator(hvp, b):
    """The products as a linear operator of scipy's."""
    return scipy.sparse.linalg.LinearOperator(
        (len(b), len(b)), matvec=lambda v: of(hvp(torch.from_numpy(v.ravel()))), dtype=np.float64
    )


@oracle("conjugate_gradient")
def scipys_cg(hvp, b, iters=10, tol=1e-10):
    x, _ = scipy.sparse.linalg.cg(as_operator(hvp, b), of(b), rtol=0, atol=math.sqrt(tol), maxiter=iters)
    return like(x, b)


@oracle("trpo_step")
def scipys_cholesky(g, hvp, delta):
    """In coordinates in which the trust region is a ball, the step is along the gradient."""
    H = as_operator(hvp, g) @ np.eye(len(g))
    factor = scipy.linalg.cholesky(H, lower=True)
    uphill = scipy.linalg.solve_triangular(factor, of(g), lower=True)
    step = scipy.linalg.solve_triangular(factor.T, uphill / np.linalg.norm(uphill))
    return like(math.sqrt(2 * delta) * step, g)


@oracle("polyak_update")
def torchs_moving_average(target, source, rho):
    average = get_ema_avg_fn(rho)
    return [average(t, s, None) for t, s in zip(target, source, strict=True)]


@oracle("exploration_action")
def torchs_hardtanh(mu, noise, low, high):
    return torch.nn.Hardtanh(low, high)(torch.add(mu, noise))


@oracle("ddpg_losses")
def torchs_loss(q, q_next, q_pi, rewards, dones, gamma):
    target = torch.addcmul(rewards, 1 - dones, q_next, value=gamma).detach()
    return torch.nn.MSELoss()(q, target), -q_pi.mean()


@oracle("ReplayBuffer")
class TorchsRandomSampler:
    def __init__(self, capacity):
        self.held = deque(maxlen=capacity)

    def __len__(self):
        return len(self.held)

    def add(self, *transition):
        self.held.append(transition)

    def sample(self, batch_size, generator):
        rows = RandomSampler(self.held, num_samples=batch_size, generator=generator)
        return tuple(default_collate([self.held[i] for i in rows]))
