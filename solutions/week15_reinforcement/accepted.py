"""Week 15: other right ways to write the answers."""

import random
from collections import deque, namedtuple
from functools import reduce
from itertools import accumulate

import torch

from autograder.author import accepted


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
