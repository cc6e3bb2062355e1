"""Week 15's references against other ways to get the same numbers."""

import pytest
import torch
from scipy.signal import lfilter
from scipy.stats import chisquare, zscore

from reference_impl.reinforcement import (
    ReplayBuffer,
    gae,
    normalize_advantages,
    ppo_clip_loss,
    rewards_to_go,
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
    ],
)
def test_references_name_the_argument_outside_its_domain(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()
