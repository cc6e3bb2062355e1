"""Week 15's references against other ways to get the same numbers."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from scipy.signal import lfilter
from scipy.sparse.linalg import LinearOperator, cg
from scipy.stats import chisquare, zscore
from torch.distributions import Categorical, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import TanhTransform

from autograder.probes import Critic, MatrixProduct, Policy, Quadratic
from autograder.statistics import FALSE_ALARM, accepted_counts, smallest_deviation
from reference_impl.reinforcement import (
    ReplayBuffer,
    adapt_kl_coefficient,
    backtracking_line_search,
    categorical_log_prob,
    clipped_value_loss,
    conjugate_gradient,
    ddpg_losses,
    diagonal_gaussian_log_prob,
    discounted_return,
    entropy_bonus,
    exact_policy_gradient,
    exploration_action,
    gae,
    mean_categorical_kl,
    normalize_advantages,
    policy_evaluation,
    policy_gradient_loss,
    polyak_update,
    ppo_clip_loss,
    ppo_kl_penalty_loss,
    q_learning_target,
    rewards_to_go,
    sac_policy_loss,
    sac_targets,
    surrogate_advantage,
    tanh_gaussian_sample,
    td3_targets,
    trajectory_log_prob,
    trpo_step,
    value_iteration,
    value_loss,
)

SHAPES = [(6,), (1,), (5, 3), (4, 2, 3), (3, 1, 2, 2)]


def rollout(shape, seed=0, p_done=0.4):
    g = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, *shape, generator=g, dtype=torch.float64)
    dones = (torch.rand(shape, generator=g, dtype=torch.float64) < p_done).double()
    return rewards, values, dones, torch.randn(shape[1:], generator=g, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_returns_without_ends_are_a_recursive_filter(shape):
    rewards, _, dones, last_value = rollout(shape)
    returns = rewards_to_go(rewards, 0 * dones, 0.9, last_value)
    stream = torch.cat([rewards, last_value[None]]).flip(0).numpy()
    expected = torch.from_numpy(lfilter([1.0], [1.0, -0.9], stream, axis=0)).flip(0)[:-1]
    torch.testing.assert_close(returns, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_returns_are_sums_up_to_the_end_of_the_episode(shape):
    rewards, _, dones, last_value = rollout(shape)
    returns = rewards_to_go(rewards, dones, 0.7, last_value)
    steps, streams = shape[0], (rewards.reshape(shape[0], -1), dones.reshape(shape[0], -1))
    for b in range(streams[0].shape[1]):
        for t in range(steps):
            total, s = 0.0, t
            while True:
                total += 0.7 ** (s - t) * streams[0][s, b].item()
                if streams[1][s, b]:
                    break
                s += 1
                if s == steps:
                    total += 0.7 ** (s - t) * last_value.reshape(-1)[b].item()
                    break
            assert returns.reshape(steps, -1)[t, b].item() == pytest.approx(total)


def test_gae_gives_the_published_numbers():
    advantages, returns = gae(
        torch.tensor([1, 0, 2, -1, 0.5, 3]),
        values := torch.tensor([0.5, 0.2, 0.1, 0.7, 0.3, 0.4]),
        torch.tensor([0.0, 0, 1, 0, 0, 0]),
        torch.tensor(0.6),
        0.9,
        0.8,
    )
    expected = torch.tensor([1.58576, 1.258, 1.9, 0.600976, 2.8208, 3.14])
    torch.testing.assert_close(advantages, expected)
    torch.testing.assert_close(returns, expected + values)


@pytest.mark.parametrize("shape", SHAPES)
def test_gae_is_the_weighted_mean_of_all_k_step_advantages(shape):
    rewards, values, _, last_value = rollout(shape)
    steps, gamma, lam = shape[0], 0.9, 0.6
    advantages, _ = gae(rewards, values, torch.zeros_like(rewards), last_value, gamma, lam)
    v = torch.cat([values, last_value[None]])
    for t in range(steps):
        longest = steps - t
        k_step = [
            sum(gamma**l * rewards[t + l] for l in range(k)) + gamma**k * v[t + k] - v[t]
            for k in range(1, longest + 1)
        ]
        weights = [(1 - lam) * lam ** (k - 1) for k in range(1, longest)] + [lam ** (longest - 1)]
        torch.testing.assert_close(advantages[t], sum(w * a for w, a in zip(weights, k_step, strict=True)))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_limits_of_gae(shape):
    rewards, values, dones, last_value = rollout(shape)
    following = torch.cat([values[1:], last_value[None]])
    one_step, _ = gae(rewards, values, dones, last_value, 0.9, 0.0)
    torch.testing.assert_close(one_step, rewards + 0.9 * (1 - dones) * following - values)
    _, returns = gae(rewards, values, dones, last_value, 0.9, 1.0)
    torch.testing.assert_close(returns, rewards_to_go(rewards, dones, 0.9, last_value))


@pytest.mark.parametrize("shape", [(6,), (2,), (4, 3), (2, 3, 2)])
def test_normalized_advantages_are_zscores(shape):
    advantages, *_ = rollout(shape)
    expected = torch.from_numpy(zscore(advantages.numpy(), axis=None, ddof=1))
    torch.testing.assert_close(normalize_advantages(advantages), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("value", [0.0, 2.0, -0.375])
def test_equal_advantages_become_zero(value):
    assert normalize_advantages(torch.full((3, 2), value)).tolist() == [[0.0, 0.0]] * 3


def test_ppo_takes_the_pessimistic_side():
    for ratio, advantage, counts, slope in [
        (1.5, 1, 1.2, 0),
        (1.65, -1, -1.65, -1.65),
        (0.5, 1, 0.5, 0.5),
        (0.5, -1, -0.8, 0),
        (1.1, -2, -2.2, -2.2),
    ]:
        log_prob = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
        loss = ppo_clip_loss(log_prob, torch.zeros(1).double(), torch.tensor([float(advantage)]).double())
        loss.backward()
        assert loss.item() == pytest.approx(-counts)
        assert log_prob.grad.item() == pytest.approx(-slope)


def test_ppo_is_the_mean_over_all_elements_and_detaches_what_is_given():
    g = torch.Generator().manual_seed(3)
    new, old, advantages = (torch.randn(4, 3, generator=g, requires_grad=True) for _ in range(3))
    loss = ppo_clip_loss(new, old, advantages, 0.1)
    each = [
        ppo_clip_loss(n[None], o[None], a[None], 0.1)
        for n, o, a in zip(new.flatten(), old.flatten(), advantages.flatten(), strict=True)
    ]
    torch.testing.assert_close(loss, torch.stack(each).mean())
    loss.backward()
    assert new.grad is not None and old.grad is None and advantages.grad is None


def test_ppo_is_right_where_probabilities_underflow():
    loss = ppo_clip_loss(torch.tensor([-200.0]), torch.tensor([-200.5]), torch.tensor([-1.0]))
    assert loss.item() == pytest.approx(1.6487213, rel=1e-5)


def filled(capacity, steps):
    buffer = ReplayBuffer(capacity)
    for i in range(steps):
        buffer.add(
            torch.full((2, 3), i),
            torch.tensor(i),
            torch.tensor(i / 2),
            torch.tensor([i + 1]),
            torch.tensor(0),
        )
    return buffer


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_the_buffer_holds_the_newest(capacity):
    for steps in range(1, 13):
        buffer = filled(capacity, steps)
        assert len(buffer) == min(capacity, steps)
        newest = set(range(max(0, steps - capacity), steps))
        drawn = [buffer.sample(len(buffer), torch.Generator().manual_seed(k))[1] for k in range(60)]
        assert set(torch.cat(drawn).tolist()) == newest


def test_rows_of_a_batch_belong_together():
    states, actions, rewards, next_states, dones = filled(4, 7).sample(3, torch.Generator().manual_seed(1))
    assert states.shape == (3, 2, 3) and next_states.shape == (3, 1) and dones.shape == (3,)
    assert torch.equal(states[:, 0, 0], actions) and torch.equal(rewards, actions / 2)
    assert torch.equal(next_states[:, 0], actions + 1)


def test_sampling_is_uniform_and_from_the_generator():
    buffer, generator = filled(5, 8), torch.Generator().manual_seed(2)
    draws = torch.cat([buffer.sample(5, generator)[1] for _ in range(1000)])
    assert chisquare(draws.bincount(minlength=8)[3:].numpy()).pvalue > 1e-6
    torch.manual_seed(0)
    once = buffer.sample(4, torch.Generator().manual_seed(9))[1]
    torch.manual_seed(1)
    assert torch.equal(once, buffer.sample(4, torch.Generator().manual_seed(9))[1])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def decision_process(states=3, actions=2, seed=0):
    """p0, P, R and a policy, all different from state to state."""
    p0, P, pi = (
        normal(*shape, seed=seed + k).softmax(-1)
        for k, shape in enumerate([(states,), (states, actions, states), (states, actions)])
    )
    return p0, P, normal(states, actions, seed=seed + 3), pi


def test_the_probabilities_of_all_trajectories_add_up_to_one():
    p0, P, _, pi = decision_process()
    every = [
        (s, a) for s in itertools.product(range(3), repeat=3) for a in itertools.product(range(2), repeat=2)
    ]
    states, actions = (torch.tensor(list(v)).T for v in zip(*every, strict=True))
    log_p = trajectory_log_prob(p0, P, pi, states, actions)
    torch.testing.assert_close(log_p.exp().sum(), torch.tensor(1.0, dtype=torch.float64))
    (s, a), i = every[40], 40
    by_hand = p0[s[0]] * pi[s[0], a[0]] * P[s[0], a[0], s[1]] * pi[s[1], a[1]] * P[s[1], a[1], s[2]]
    torch.testing.assert_close(log_p[i].exp(), by_hand)


def test_the_policys_values_are_what_simulation_gives_on_average():
    _, P, R, pi = decision_process()
    P_pi, r_pi = np.einsum("sa,sat->st", pi, P), (pi * R).sum(-1).numpy()
    expected = sum(0.9**t * np.linalg.matrix_power(P_pi, t) @ r_pi for t in range(400))
    np.testing.assert_allclose(policy_evaluation(P, R, pi, 0.9), expected, rtol=1e-9)


def test_value_iteration_finds_the_best_of_all_plans():
    _, P, R, _ = decision_process(states=2, actions=2)
    rules = list(itertools.product(range(2), repeat=2))  # a rule says what to do in each state
    best = np.full(2, -np.inf)
    for plan in itertools.product(rules, repeat=3):
        value = np.zeros(2)
        for rule in plan:
            value = np.array([R[s, rule[s]] + 0.7 * P[s, rule[s]].numpy() @ value for s in range(2)])
        best = np.maximum(best, value)
    np.testing.assert_allclose(value_iteration(P, R, 0.7, 3), best, rtol=1e-12)
    assert value_iteration(P, R, 0.7, 0).tolist() == [0, 0]


def test_the_return_is_a_polynomial_in_gamma():
    rewards = normal(5, 2, 3)
    expected = np.polynomial.polynomial.polyval(0.8, rewards.numpy())
    np.testing.assert_allclose(discounted_return(rewards, 0.8), expected)
    assert discounted_return(rewards, 0.0).equal(rewards[0])


def test_log_probabilities_are_torchs_and_scipys():
    logits, actions = normal(4, 3, 5), torch.arange(12).reshape(4, 3) % 5
    torch.testing.assert_close(
        categorical_log_prob(logits, actions), Categorical(logits=logits).log_prob(actions)
    )
    a, mean, log_std = (normal(2, 3, seed=k) for k in range(3))
    expected = stats.norm.logpdf(a.numpy(), mean.numpy(), log_std.exp().numpy()).sum(-1)
    np.testing.assert_allclose(diagonal_gaussian_log_prob(a, mean, log_std), expected)


def test_a_sure_categorical_is_finite():
    logits = torch.tensor([[1e4, 0.0], [-1e4, 1e4]])
    assert categorical_log_prob(logits, torch.tensor([1, 0])).tolist() == [-1e4, -2e4]


def test_the_squashed_gaussian_is_torchs():
    mean, log_std, noise = (normal(6, 2, seed=k).clamp(-1.5, 1.5) for k in range(3))
    action, log_prob = tanh_gaussian_sample(mean, log_std, noise)
    base = Normal(mean, log_std.exp())
    squashed = TransformedDistribution(base, TanhTransform(cache_size=1))
    torch.testing.assert_close(action, torch.tanh(mean + log_std.exp() * noise))
    torch.testing.assert_close(log_prob, squashed.log_prob(action).sum(-1), rtol=1e-6, atol=1e-6)


def test_the_squashed_density_integrates_to_one():
    mean, log_std = torch.tensor([0.3], dtype=torch.float64), torch.tensor([-0.5], dtype=torch.float64)

    def density(action):
        noise = (math.atanh(action) - mean) / log_std.exp()
        return tanh_gaussian_sample(mean, log_std, noise)[1].exp().item()

    assert integrate.quad(density, -1, 1)[0] == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saturated_action_has_a_finite_density(dtype):
    mean, zero = torch.tensor([[40.0, -40.0]], dtype=dtype), torch.zeros(1, 2, dtype=dtype)
    action, log_prob = tanh_gaussian_sample(mean, zero, zero)
    assert action.tolist() == [[1.0, -1.0]]
    assert log_prob.item() == pytest.approx(-math.log(2 * math.pi) + 2 * (80 - 2 * math.log(2)), rel=1e-6)


@pytest.mark.parametrize("baseline", [0.0, 1.5, -40.0])
def test_the_bandits_gradient_is_autograds(baseline):
    logits, rewards = normal(5).requires_grad_(), normal(5, seed=1)
    (expected,) = torch.autograd.grad(logits.softmax(-1) @ rewards, logits)
    torch.testing.assert_close(exact_policy_gradient(logits.detach(), rewards, baseline), expected)


def test_the_policy_gradient_loss_has_the_policy_gradient():
    log_probs, weights = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    loss = policy_gradient_loss(log_probs, weights)
    loss.backward()
    torch.testing.assert_close(log_probs.grad, -weights.detach() / 12)
    assert weights.grad is None and loss.item() == pytest.approx(-(log_probs * weights).mean().item())


def test_value_losses_are_mean_squared_errors():
    values, old, returns = (normal(4, 3, seed=k).requires_grad_() for k in range(3))
    expected = np.mean((values - returns).detach().numpy() ** 2)
    assert value_loss(values, returns).item() == pytest.approx(expected)
    assert clipped_value_loss(values, old, returns, 100.0).item() == pytest.approx(expected)
    (value_loss(values, returns) + clipped_value_loss(values, old, returns, 0.2)).backward()
    assert values.grad is not None and old.grad is None and returns.grad is None


def test_the_clipped_value_loss_is_the_pessimistic_one():
    v, old, returns = (x.numpy() for x in (normal(50), normal(50, seed=1), normal(50, seed=2)))
    clipped = np.clip(v, old - 0.3, old + 0.3)
    expected = np.maximum((v - returns) ** 2, (clipped - returns) ** 2).mean()
    given = clipped_value_loss(*(torch.from_numpy(x) for x in (v, old, returns)), 0.3)
    assert given.item() == pytest.approx(expected)


def test_surrogates_and_their_penalty():
    new, old, advantages, kl = (normal(3, 2, seed=k).requires_grad_() for k in range(4))
    expected = np.mean(np.exp((new - old).detach().numpy()) * advantages.detach().numpy())
    assert surrogate_advantage(new, old, advantages).item() == pytest.approx(expected)
    loss = ppo_kl_penalty_loss(new, old, advantages, kl, 0.5)
    assert loss.item() == pytest.approx(0.5 * kl.mean().item() - expected)
    (loss - surrogate_advantage(new, old, advantages)).backward()
    torch.testing.assert_close(kl.grad, torch.full_like(kl, 0.5 / 6))
    assert new.grad is not None and old.grad is None and advantages.grad is None


@pytest.mark.parametrize(
    "kl, coef", [(3.1, 1.0), (3.0, 0.5), (2.0, 0.5), (1.4, 0.5), (1.3, 0.25), (0.0, 0.25)]
)
def test_the_coefficient_follows_the_divergence(kl, coef):
    assert adapt_kl_coefficient(0.5, kl, 2.0) == coef


def test_entropies_and_divergences_are_torchs():
    logits, old = normal(4, 3, 5), normal(4, 3, 5, seed=1).requires_grad_()
    new = logits.clone().requires_grad_()
    torch.testing.assert_close(entropy_bonus(logits), Categorical(logits=logits).entropy().mean())
    kl = mean_categorical_kl(new, old)
    expected = kl_divergence(Categorical(logits=old), Categorical(logits=logits)).mean()
    torch.testing.assert_close(kl, expected)
    kl.backward()
    torch.testing.assert_close(new.grad, (logits.softmax(-1) - old.detach().softmax(-1)) / 12)
    assert old.grad is None
    expected = special.rel_entr(*(x.detach().softmax(-1).numpy() for x in (old, logits))).sum(-1).mean()
    assert kl.item() == pytest.approx(expected)


def test_sure_policies_have_no_entropy():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    assert entropy_bonus(logits) == 0
    assert mean_categorical_kl(logits, logits.flip(0)) == 2e4


def positive_definite(n, seed=0):
    root = normal(n, n, seed=seed)
    return root @ root.T + torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("iters", [1, 2, 3, 5])
def test_conjugate_gradients_are_scipys(iters):
    H, b = positive_definite(5), normal(5, seed=1)
    operator = LinearOperator((5, 5), matvec=lambda v: H.numpy() @ v, dtype=np.float64)
    expected, _ = cg(operator, b.numpy(), rtol=0, atol=1e-5, maxiter=iters)
    np.testing.assert_allclose(conjugate_gradient(MatrixProduct(H), b, iters), expected, rtol=1e-7)


def test_conjugate_gradients_stop_in_time():
    H, b = positive_definite(4), normal(4, seed=1)
    torch.testing.assert_close(conjugate_gradient(MatrixProduct(H), b, 30), torch.linalg.solve(H, b))
    assert conjugate_gradient(MatrixProduct(H), 0 * b).tolist() == [0, 0, 0, 0]
    assert conjugate_gradient(lambda v: 2 * v, b).equal(b / 2)
    calls = []
    conjugate_gradient(lambda v: calls.append(v) or H @ v, b, 10, 0.01 * float(b @ b))
    assert 0 < len(calls) < 4


def test_the_natural_step_ends_on_the_edge_of_the_trust_region():
    H, g = positive_definite(4), normal(4, seed=1)
    step = trpo_step(g, MatrixProduct(H), 0.02)
    assert (step @ H @ step / 2).item() == pytest.approx(0.02)
    others = normal(1000, 4, seed=2)
    others *= torch.sqrt(0.04 / torch.einsum("ki,ij,kj->k", others, H, others))[:, None]
    assert (others @ g).max() < step @ g


def test_the_line_search_takes_the_first_that_fits():
    theta, step = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.0])
    peak = Quadratic(torch.tensor([0.9, 1.0]), torch.tensor([-1.0, -1.0]))
    kl = Quadratic(theta, torch.tensor([0.5, 0.5]))
    search = backtracking_line_search
    assert search(peak, kl, theta, step, 100.0, 0.5).tolist() == [1.0, 1.0]  # 2 is too far for the objective
    assert search(peak, kl, theta, step, 0.2, 0.5).tolist() == [0.5, 1.0]  # 1 too far for the divergence
    assert search(peak, kl, theta, step, 0.2, 0.5, 2).tolist() == [0.0, 1.0]
    assert search(peak, kl, theta, -step, 100.0).equal(theta)


def test_targets_written_out():
    r, q_next, log_p = normal(6).numpy(), normal(6, 3, seed=1).numpy(), normal(6, seed=2).numpy()
    dones = np.array([0.0, 1, 0, 0, 1, 0])
    t = torch.from_numpy
    expected = [x if d else x + 0.9 * max(q) for x, d, q in zip(r, dones, q_next.tolist(), strict=True)]
    np.testing.assert_allclose(q_learning_target(t(r), t(dones), t(q_next), 0.9), expected)
    soft = [
        x if d else x + 0.9 * (min(q[:2]) - 0.2 * l)
        for x, d, q, l in zip(r, dones, q_next.tolist(), log_p, strict=True)
    ]
    given = sac_targets(t(r), t(dones), t(q_next[:, 0]), t(q_next[:, 1]), t(log_p), 0.9, 0.2)
    np.testing.assert_allclose(given, soft)
    loss = sac_policy_loss(t(log_p), t(q_next[:, 0]), t(q_next[:, 1]), 0.2)
    assert loss.item() == pytest.approx(np.mean(0.2 * log_p - q_next[:, :2].min(1)))


def test_ddpg_moves_each_network_by_its_own_loss():
    q, q_next, q_pi, rewards = (normal(5, seed=k).requires_grad_() for k in range(4))
    dones = torch.tensor([0.0, 0, 1, 0, 1], dtype=torch.float64)
    critic, actor = ddpg_losses(q, q_next, q_pi, rewards, dones, 0.9)
    target = np.where(dones == 1, rewards.detach(), rewards.detach() + 0.9 * q_next.detach())
    assert critic.item() == pytest.approx(np.mean((q.detach().numpy() - target) ** 2))
    assert actor.item() == pytest.approx(-q_pi.mean().item())
    (critic + actor).backward()
    assert q.grad is not None and q_next.grad is None and rewards.grad is None
    torch.testing.assert_close(q_pi.grad, torch.full_like(q_pi, -0.2))


def test_td3_smooths_and_takes_the_smaller_value():
    states, noise, rewards = normal(8, 3), normal(8, 2, seed=1), normal(8, seed=2)
    dones = (normal(8, seed=3) > 0.5).double()
    policy = Policy(normal(2, 3, seed=4))
    q1, q2 = (Critic(normal(3, seed=k), normal(2, seed=k + 1)) for k in (5, 7))
    y = td3_targets(rewards, dones, states, policy, q1, q2, noise, 0.9, 0.4, -1.5, 1.0)
    for i in range(8):
        action = np.clip(policy(states[i]).numpy() + np.clip(noise[i].numpy(), -0.4, 0.4), -1.5, 1.0)
        smaller = min(q(states[i], torch.from_numpy(action)).item() for q in (q1, q2))
        assert y[i].item() == pytest.approx(rewards[i].item() + 0.9 * (1 - dones[i].item()) * smaller)


def test_exploration_stays_in_bounds():
    mu, noise = torch.tensor([0.0, 0.5, -1.9]), torch.tensor([0.25, 3.0, -0.5])
    assert exploration_action(mu, noise, -2.0, 0.5).tolist() == [0.25, 0.5, -2.0]


def test_polyak_averages_are_exponential():
    target, source = [normal(2, 3), normal(4, seed=1)], [normal(2, 3, seed=2), normal(4, seed=3)]
    moved = target
    for _ in range(10):
        moved = polyak_update(moved, source, 0.9)
    for m, t, s in zip(moved, target, source, strict=True):
        torch.testing.assert_close(m, s + 0.9**10 * (t - s))
    ends = polyak_update(target, source, 1.0), polyak_update(target, source, 0.0)
    assert all(
        a.equal(b)
        for mine, right in zip(ends, (target, source), strict=True)
        for a, b in zip(mine, right, strict=True)
    )


P2, HALF, IDENTITY = torch.full((2, 1, 2), 0.5), torch.tensor([0.5, 0.5]), MatrixProduct(torch.eye(3))


@pytest.mark.parametrize(
    "outcomes, draws, deviation", [(4, 1600, 0.1), (5, 1600, 0.1), (6, 570, 0.14), (10, 600, 0.14)]
)
def test_the_buffers_uniformity_check_is_as_sharp_as_stated(outcomes, draws, deviation):
    """Transitions, and pairs of them, of which a sampler with replacement gives a little fewer."""
    assert 4 * FALSE_ALARM <= 1 / 2.5e6
    assert smallest_deviation(outcomes, draws) <= deviation
    low, high = accepted_counts(outcomes, draws)
    caught = [
        stats.binom.cdf(low - 1, draws, p) + stats.binom.sf(high, draws, p)
        for p in (1 / outcomes + deviation, 1 / outcomes - deviation)
        if p >= 0
    ]
    assert min(caught) >= 0.99
    fair = stats.binom(draws, 1 / outcomes)
    assert outcomes * (fair.cdf(low - 1) + fair.sf(high)) < FALSE_ALARM


R, LAST = torch.ones(3), torch.tensor(0.0)


@pytest.mark.parametrize(
    "call, argument",
    [
        (lambda: rewards_to_go(R[:0], R[:0], 0.9, LAST), "rewards"),
        (lambda: rewards_to_go(R, R / 2, 0.9, LAST), "dones"),
        (lambda: rewards_to_go(R, R, 1.1, LAST), "gamma"),
        (lambda: gae(R[:0], R[:0], R[:0], LAST, 0.9, 0.8), "rewards"),
        (lambda: gae(R, R, 2 * R, LAST, 0.9, 0.8), "dones"),
        (lambda: gae(R, R, R, LAST, -0.1, 0.8), "gamma"),
        (lambda: gae(R, R, R, LAST, 0.9, 1.5), "lam"),
        (lambda: normalize_advantages(R[:1]), "advantages"),
        (lambda: ppo_clip_loss(R, R, R, -0.2), "clip"),
        (lambda: ReplayBuffer(0), "capacity"),
        (lambda: filled(2, 1).sample(2, torch.Generator()), "batch_size"),
        (lambda: filled(2, 1).sample(0, torch.Generator()), "batch_size"),
        (lambda: trajectory_log_prob(HALF, P2, P2[..., 0], *[torch.tensor([0])] * 2), "states"),
        (
            lambda: trajectory_log_prob(
                2 * HALF, P2, 2 * P2[..., 0], torch.tensor([0, 1]), torch.tensor([0])
            ),
            "p0",
        ),
        (lambda: policy_evaluation(2 * P2, P2[..., 0], 2 * P2[..., 0], 0.5), "P"),
        (lambda: policy_evaluation(P2, P2[..., 0], -2 * P2[..., 0], 0.5), "pi"),
        (lambda: policy_evaluation(P2, P2[..., 0], 2 * P2[..., 0], 1.0), "gamma"),
        (lambda: value_iteration(P2, P2[..., 0], 1.5, 3), "gamma"),
        (lambda: value_iteration(P2, P2[..., 0], 0.5, -1), "n_iter"),
        (lambda: value_iteration(P2 / 2, P2[..., 0], 0.5, 1), "P"),
        (lambda: discounted_return(R[:0], 0.5), "rewards"),
        (lambda: discounted_return(R, 1.5), "gamma"),
        (lambda: categorical_log_prob(R[None], torch.tensor([3])), "actions"),
        (lambda: ppo_kl_penalty_loss(R, R, R, R, -1.0), "coef"),
        (lambda: adapt_kl_coefficient(0.0, 1.0, 1.0), "coef"),
        (lambda: adapt_kl_coefficient(1.0, -1.0, 1.0), "kl"),
        (lambda: adapt_kl_coefficient(1.0, 1.0, 0.0), "target"),
        (lambda: clipped_value_loss(R, R, R, -0.2), "clip"),
        (lambda: conjugate_gradient(IDENTITY, R, -1), "iters"),
        (lambda: conjugate_gradient(IDENTITY, R, 1, 0.0), "tol"),
        (lambda: trpo_step(0 * R, IDENTITY, 0.1), "g"),
        (lambda: trpo_step(R, IDENTITY, 0.0), "delta"),
        (lambda: backtracking_line_search(torch.sum, torch.sum, R, R, 0.0), "delta"),
        (lambda: backtracking_line_search(torch.sum, torch.sum, R, R, 1.0, 1.0), "alpha"),
        (lambda: backtracking_line_search(torch.sum, torch.sum, R, R, 1.0, 0.5, 0), "max_steps"),
        (lambda: q_learning_target(R, R / 2, R[:, None], 0.9), "dones"),
        (lambda: q_learning_target(R, R, R[:, None], 1.9), "gamma"),
        (lambda: ddpg_losses(R, R, R, R, 2 * R, 0.9), "dones"),
        (lambda: ddpg_losses(R, R, R, R, R, -0.9), "gamma"),
        (lambda: exploration_action(R, R, 1.0, -1.0), "low"),
        (lambda: td3_targets(R, R / 2, R, None, None, None, R, 0.9, 0.5, -1.0, 1.0), "dones"),
        (lambda: td3_targets(R, R, R, None, None, None, R, 1.9, 0.5, -1.0, 1.0), "gamma"),
        (lambda: td3_targets(R, R, R, None, None, None, R, 0.9, -0.5, -1.0, 1.0), "noise_clip"),
        (lambda: td3_targets(R, R, R, None, None, None, R, 0.9, 0.5, 1.0, 1.0), "low"),
        (lambda: polyak_update([R], [R], 1.5), "rho"),
        (lambda: polyak_update([R], [R, R], 0.5), "source"),
        (lambda: sac_targets(R, R / 2, R, R, R, 0.9, 0.1), "dones"),
        (lambda: sac_targets(R, R, R, R, R, 1.9, 0.1), "gamma"),
        (lambda: sac_targets(R, R, R, R, R, 0.9, -0.1), "alpha"),
        (lambda: sac_policy_loss(R, R, R, -0.1), "alpha"),
    ],
)
def test_references_name_the_argument_outside_its_domain(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()
