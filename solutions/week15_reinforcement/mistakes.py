"""Week 15: wrong ways to write the answers, each with the misunderstanding behind it."""

import torch

from autograder.author import mistake
from reference_impl import reinforcement


def backwards(rewards, keep, gamma, last_value):
    """The recursion that most answers share: G = r + gamma keep G."""
    returns, future = torch.zeros_like(rewards), last_value
    for t in reversed(range(len(rewards))):
        future = rewards[t] + gamma * keep[t] * future
        returns[t] = future
    return returns


@mistake("rewards_to_go", "You ignore `dones`: rewards of the next episode flow back into the one before.")
def ignores_dones(rewards, dones, gamma, last_value):
    return backwards(rewards, torch.ones_like(dones), gamma, last_value)


@mistake(
    "rewards_to_go", "You look at the next step's flag: dones[t] itself says that nothing follows step t."
)
def done_of_the_next_step(rewards, dones, gamma, last_value):
    following = torch.cat([dones[1:], torch.zeros_like(dones[:1])])
    return backwards(rewards, 1 - following, gamma, last_value)


@mistake(
    "rewards_to_go", "You look at the previous step's flag: dones[t] itself says that nothing follows step t."
)
def done_of_the_previous_step(rewards, dones, gamma, last_value):
    previous = torch.cat([torch.zeros_like(dones[:1]), dones[:-1]])
    return backwards(rewards, 1 - previous, gamma, last_value)


@mistake(
    "rewards_to_go",
    "You leave `last_value` out: where the rollout is cut off, it stands for all that follows.",
)
def without_the_last_value(rewards, dones, gamma, last_value):
    return backwards(rewards, 1 - dones, gamma, torch.zeros_like(last_value))


@mistake(
    "rewards_to_go", "You add `last_value` also where the last step ended the episode: nothing follows there."
)
def last_value_after_an_end(rewards, dones, gamma, last_value):
    keep = torch.cat([1 - dones[:-1], torch.ones_like(dones[:1])])
    return backwards(rewards, keep, gamma, last_value)


@mistake("rewards_to_go", "You add `last_value` undiscounted: it comes one step after the last reward.")
def last_value_undiscounted(rewards, dones, gamma, last_value):
    final = rewards[-1:] + (1 - dones[-1:]) * last_value
    return backwards(torch.cat([rewards[:-1], final]), 1 - dones, gamma, torch.zeros_like(last_value))


@mistake("rewards_to_go", "You drop the reward of the step that ends an episode; it belongs to that episode.")
def without_the_final_reward(rewards, dones, gamma, last_value):
    return backwards(rewards * (1 - dones), 1 - dones, gamma, last_value)


@mistake(
    "rewards_to_go",
    "You discount from the start of the rollout: seen from step t, its reward counts in full.",
)
def discounted_from_the_start(rewards, dones, gamma, last_value):
    returns = reinforcement.rewards_to_go(rewards, dones, gamma, last_value)
    powers = torch.tensor([gamma**t for t in range(len(rewards))], dtype=rewards.dtype)
    return returns * powers.reshape(-1, *[1] * (rewards.ndim - 1))


@mistake(
    "rewards_to_go", "You give the whole episode's return to every step; past rewards are none of its doing."
)
def the_whole_return_for_every_step(rewards, dones, gamma, last_value):
    returns = reinforcement.rewards_to_go(rewards, dones, gamma, last_value)
    for t in range(1, len(returns)):
        returns[t] = torch.where(dones[t - 1] > 0, returns[t], returns[t - 1])
    return returns


@mistake(
    "rewards_to_go",
    "You discount the reward of the step itself too: it counts in full, what follows by gamma.",
)
def discounts_the_present(rewards, dones, gamma, last_value):
    return backwards(gamma * rewards, 1 - dones, gamma, last_value)


@mistake("rewards_to_go", "You sum forwards: the past rewards of a step, not those to come.")
def rewards_so_far(rewards, dones, gamma, last_value):
    sums, running = torch.zeros_like(rewards), torch.zeros_like(last_value)
    for t in range(len(rewards)):
        running = rewards[t] + gamma * running
        sums[t] = running
        running = running * (1 - dones[t])
    return sums


@mistake(
    "rewards_to_go", "You stop the whole rollout when one environment is done; each has episodes of its own."
)
def one_done_for_all(rewards, dones, gamma, last_value):
    anywhere = dones.reshape(len(dones), -1).amax(1).reshape(-1, *[1] * (dones.ndim - 1))
    return backwards(rewards, 1 - anywhere.expand_as(dones), gamma, last_value)


def estimate(rewards, values, last_value, gamma, lam, bootstrap, carry):
    """GAE with separate factors for the bootstrapped value and for the carried advantage."""
    following = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * bootstrap * following - values
    return backwards(deltas, carry, gamma * lam, torch.zeros_like(last_value))


@mistake(
    "gae",
    "You bootstrap across the end of an episode: the value of the next episode's first state is no part.",
)
def bootstraps_across_dones(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, last_value, gamma, lam, torch.ones_like(dones), 1 - dones)
    return a, a + values


@mistake(
    "gae", "You carry the advantage across the end of an episode: the sum over later steps stops there too."
)
def carries_across_dones(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, last_value, gamma, lam, 1 - dones, torch.ones_like(dones))
    return a, a + values


@mistake(
    "gae", "You ignore `dones`: neither the next value nor later advantages count across an episode's end."
)
def ignores_dones_in_gae(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, last_value, gamma, lam, torch.ones_like(dones), torch.ones_like(dones))
    return a, a + values


@mistake("gae", "Your flags are off by one: dones[t], not dones[t + 1], says that step t ended its episode.")
def dones_off_by_one(rewards, values, dones, last_value, gamma, lam):
    keep = 1 - torch.cat([dones[1:], dones[-1:]])
    a = estimate(rewards, values, last_value, gamma, lam, keep, keep)
    return a, a + values


@mistake("gae", "You leave `last_value` out: it is the value of the state after the last step.")
def without_last_value(rewards, values, dones, last_value, gamma, lam):
    a = estimate(rewards, values, torch.zeros_like(last_value), gamma, lam, 1 - dones, 1 - dones)
    return a, a + values


@mistake(
    "gae",
    "You use `last_value` also where the last step ended the episode: there is nothing to bootstrap there.",
)
def last_value_when_done(rewards, values, dones, last_value, gamma, lam):
    keep = torch.cat([1 - dones[:-1], torch.ones_like(dones[-1:])])
    a = estimate(rewards, values, last_value, gamma, lam, keep, 1 - dones)
    return a, a + values


@mistake(
    "gae",
    "gamma and lambda are swapped: the next value is discounted by gamma, lambda weighs only later steps.",
)
def gamma_and_lambda_swapped(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, lam, gamma)


@mistake(
    "gae", "You carry the advantage by lambda alone; from step to step it is discounted by gamma lambda."
)
def carried_by_lambda_alone(rewards, values, dones, last_value, gamma, lam):
    following = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * (1 - dones) * following - values
    a = backwards(deltas, 1 - dones, lam, torch.zeros_like(last_value))
    return a, a + values


@mistake("gae", "You ignore lambda: this is its limit 1, the return minus the value.")
def ignores_lambda(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, gamma, 1.0)


@mistake("gae", "You take one-step differences only: the deltas of later steps are missing from the sum.")
def one_step_only(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, gamma, 0.0)


@mistake(
    "gae",
    "You normalise the advantages here: the values are fitted to them as they are; normalise in the loss.",
)
def normalises_inside(rewards, values, dones, last_value, gamma, lam):
    a, returns = reinforcement.gae(rewards, values, dones, last_value, gamma, lam)
    return (a - a.mean()) / (a.std() + 1e-8 if a.numel() > 1 else 1), returns


@mistake("gae", "Your second result is the discounted return; the values are fitted to advantages + values.")
def returns_are_rewards_to_go(rewards, values, dones, last_value, gamma, lam):
    a, _ = reinforcement.gae(rewards, values, dones, last_value, gamma, lam)
    return a, reinforcement.rewards_to_go(rewards, dones, gamma, last_value)


@mistake("gae", "You return the advantages alone; the returns, advantages + values, come second.")
def advantages_alone(rewards, values, dones, last_value, gamma, lam):
    return reinforcement.gae(rewards, values, dones, last_value, gamma, lam)[0]


@mistake(
    "gae",
    "You start from `last_value` as if it were an advantage: after the last step there is none, A_T = 0.",
)
def starts_from_the_last_value(rewards, values, dones, last_value, gamma, lam):
    following = torch.cat([values[1:], last_value[None]])
    deltas = rewards + gamma * (1 - dones) * following - values
    a = backwards(deltas, 1 - dones, gamma * lam, last_value)
    return a, a + values


@mistake(
    "normalize_advantages", "Your standard deviation is the biased one: divide the squares' sum by n - 1."
)
def biased_std(advantages):
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)


@mistake(
    "normalize_advantages",
    "You normalise each environment by itself: mean and deviation go over all elements.",
)
def over_time_only(advantages):
    return (advantages - advantages.mean(0)) / (advantages.std(0) + 1e-8)


@mistake(
    "normalize_advantages", "You normalise along the last dimension: mean and deviation go over all elements."
)
def over_the_last_dimension(advantages):
    mean, std = advantages.mean(-1, keepdim=True), advantages.std(-1, keepdim=True)
    return (advantages - mean) / (std + 1e-8)


@mistake("normalize_advantages", "You only divide by the standard deviation; the mean must become 0 first.")
def without_centring(advantages):
    return advantages / (advantages.std() + 1e-8)


@mistake("normalize_advantages", "You only subtract the mean; the standard deviation must become 1 too.")
def without_scaling(advantages):
    return advantages - advantages.mean()


@mistake(
    "normalize_advantages",
    "You divide by the variance: its square root, the standard deviation, is the scale.",
)
def by_the_variance(advantages):
    return (advantages - advantages.mean()) / (advantages.var() + 1e-8)


@mistake("normalize_advantages", "Equal advantages give 0 / 0 = NaN: the 1e-8 in the denominator is missing.")
def without_epsilon(advantages):
    return (advantages - advantages.mean()) / advantages.std()


@mistake(
    "normalize_advantages",
    "Your constant is too large: 1e-8 goes on the standard deviation, not 1e-5 in the root.",
)
def epsilon_of_layer_norm(advantages):
    return (advantages - advantages.mean()) / (advantages.var() + 1e-5).sqrt()


@mistake(
    "normalize_advantages",
    "You rescale to the interval from 0 to 1; wanted are mean 0 and standard deviation 1.",
)
def to_the_unit_interval(advantages):
    return (advantages - advantages.min()) / (advantages.max() - advantages.min() + 1e-8)


def surrogates(log_probs, old_log_probs, advantages, clip):
    """The two terms of PPO's minimum."""
    ratio, a = torch.exp(log_probs - old_log_probs.detach()), advantages.detach()
    return ratio * a, ratio.clamp(1 - clip, 1 + clip) * a


@mistake(
    "ppo_clip_loss",
    "You take the larger of the two terms: the objective is the minimum, a pessimistic bound.",
)
def maximum_for_minimum(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.maximum(*surrogates(log_probs, old_log_probs, advantages, clip)).mean()


@mistake("ppo_clip_loss", "The sign is turned: PPO maximises the surrogate, so the loss is minus its mean.")
def wrong_sign(log_probs, old_log_probs, advantages, clip=0.2):
    return -reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages, clip)


@mistake(
    "ppo_clip_loss", "You clip without the minimum: outside the clip a bad action must still be pushed back."
)
def clipped_without_the_minimum(log_probs, old_log_probs, advantages, clip=0.2):
    return -surrogates(log_probs, old_log_probs, advantages, clip)[1].mean()


@mistake("ppo_clip_loss", "Nothing is clipped: this is the plain surrogate, which takes steps of any size.")
def without_the_clip(log_probs, old_log_probs, advantages, clip=0.2):
    return -surrogates(log_probs, old_log_probs, advantages, clip)[0].mean()


@mistake("ppo_clip_loss", "The ratio is upside down: it is the new probability divided by the old one.")
def ratio_upside_down(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = torch.exp(old_log_probs.detach() - log_probs), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake(
    "ppo_clip_loss", "Your ratio is a difference of logarithms; exp makes a ratio of probabilities of it."
)
def without_exp(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = log_probs - old_log_probs.detach(), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake("ppo_clip_loss", "You clip the log-ratio to +-clip; the ratio itself is clipped, to 1 +- clip.")
def clips_the_log_ratio(log_probs, old_log_probs, advantages, clip=0.2):
    log_ratio, a = log_probs - old_log_probs.detach(), advantages.detach()
    return -torch.minimum(log_ratio.exp() * a, log_ratio.clamp(-clip, clip).exp() * a).mean()


@mistake("ppo_clip_loss", "You clip at 0.2 whatever the argument `clip` says.")
def clip_fixed(log_probs, old_log_probs, advantages, clip=0.2):
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages, 0.2)


@mistake("ppo_clip_loss", "You clip from above alone: the ratio is held above 1 - clip too.")
def clips_from_above_alone(log_probs, old_log_probs, advantages, clip=0.2):
    ratio, a = torch.exp(log_probs - old_log_probs.detach()), advantages.detach()
    return -torch.minimum(ratio * a, ratio.clamp(max=1 + clip) * a).mean()


@mistake(
    "ppo_clip_loss",
    "You sum over the steps; the loss is their mean, so that its size doesn't grow with them.",
)
def sum_for_mean(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.minimum(*surrogates(log_probs, old_log_probs, advantages, clip)).sum()


@mistake("ppo_clip_loss", "You give one loss per environment: it is a scalar, the mean over all elements.")
def mean_over_time_alone(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.minimum(*surrogates(log_probs, old_log_probs, advantages, clip)).mean(0)


@mistake("ppo_clip_loss", "You take the mean before the minimum; each action is clipped by itself.")
def minimum_of_means(log_probs, old_log_probs, advantages, clip=0.2):
    return -torch.minimum(*(s.mean() for s in surrogates(log_probs, old_log_probs, advantages, clip)))


@mistake("ppo_clip_loss", "You normalise the advantages inside the loss; it takes them as they are.")
def normalises_in_the_loss(log_probs, old_log_probs, advantages, clip=0.2):
    a = advantages - advantages.mean()
    a = a / (a.std() + 1e-8) if a.numel() > 1 else a
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, a, clip)


@mistake(
    "ppo_clip_loss",
    "You divide probabilities: exp(-200) is 0 in float32, and 0 / 0 is NaN. Subtract logarithms.",
)
def quotient_of_probabilities(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = log_probs.exp() / old_log_probs.detach().exp(), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake("ppo_clip_loss", "old_log_probs is not detached: the policy that collected the data is a constant.")
def old_policy_attached(log_probs, old_log_probs, advantages, clip=0.2):
    r, a = torch.exp(log_probs - old_log_probs), advantages.detach()
    return -torch.minimum(r * a, r.clamp(1 - clip, 1 + clip) * a).mean()


@mistake(
    "ppo_clip_loss", "The advantages are not detached: the policy's loss would train the value function."
)
def advantages_attached(log_probs, old_log_probs, advantages, clip=0.2):
    r = torch.exp(log_probs - old_log_probs.detach())
    return -torch.minimum(r * advantages, r.clamp(1 - clip, 1 + clip) * advantages).mean()


@mistake(
    "ppo_clip_loss",
    "The ratio carries no gradient, so the policy learns nothing: log_probs is not to be detached.",
)
def detached_throughout(log_probs, old_log_probs, advantages, clip=0.2):
    return reinforcement.ppo_clip_loss(log_probs.detach(), old_log_probs, advantages, clip)


@mistake("normalize_advantages", "You clip the normalised advantages; they are only shifted and scaled.")
def clips_outliers(advantages):
    return reinforcement.normalize_advantages(advantages).clamp(-5, 5)


@mistake("ppo_clip_loss", "Where no clip is given it should be 0.2, not 0.1.")
def another_default(log_probs, old_log_probs, advantages, clip=0.1):
    return reinforcement.ppo_clip_loss(log_probs, old_log_probs, advantages, clip)


@mistake(
    "ppo_clip_loss",
    "You bound the ratio before the minimum: where it makes the loss larger it counts in full.",
)
def bounded_ratio(log_probs, old_log_probs, advantages, clip=0.2):
    return reinforcement.ppo_clip_loss(
        torch.minimum(log_probs, old_log_probs.detach() + 2), old_log_probs, advantages, clip
    )


class Buffer(reinforcement.ReplayBuffer):
    """A right buffer that tells which rows of `transitions` a batch is drawn from."""

    def rows(self, batch_size, generator):
        return torch.randint(len(self.transitions), (batch_size,), generator=generator).tolist()

    def sample(self, batch_size, generator):
        chosen = [self.transitions[i] for i in self.rows(batch_size, generator)]
        return tuple(torch.stack(field) for field in zip(*chosen, strict=True))


@mistake(
    "ReplayBuffer", "The buffer grows without end: beyond `capacity` a new transition replaces the oldest."
)
class GrowsWithoutEnd(Buffer):
    def add(self, *transition):
        self.transitions.append(transition)


@mistake(
    "ReplayBuffer", "A full buffer takes nothing more: it is to replace the oldest transition, not to stop."
)
class StopsWhenFull(Buffer):
    def add(self, *transition):
        if len(self.transitions) < self.capacity:
            self.transitions.append(transition)


@mistake("ReplayBuffer", "A full buffer replaces the newest transition; the oldest is the one to go.")
class ReplacesTheNewest(Buffer):
    def add(self, *transition):
        del self.transitions[self.capacity - 1 :]
        self.transitions.append(transition)


@mistake(
    "ReplayBuffer", "A full buffer always replaces slot 0; the slot to replace moves on, round the ring."
)
class ReplacesSlotZero(Buffer):
    def add(self, *transition):
        if len(self.transitions) == self.capacity:
            self.transitions[0] = transition
        else:
            self.transitions.append(transition)


@mistake("ReplayBuffer", "A full buffer is emptied and starts again; only the oldest transition is to go.")
class EmptiesWhenFull(Buffer):
    def add(self, *transition):
        if len(self.transitions) == self.capacity:
            self.transitions.clear()
        self.transitions.append(transition)


@mistake(
    "ReplayBuffer",
    "The ring turns one slot too far: after a full turn the first overwritten slot is skipped.",
)
class WritesOneSlotTooFar(Buffer):
    def add(self, *transition):
        if len(self.transitions) < self.capacity:
            self.transitions.append(transition)
        else:
            self.oldest = (self.oldest + 1) % self.capacity
            self.transitions[self.oldest] = transition


@mistake("ReplayBuffer", "One slot stays unused: the buffer is to hold `capacity` transitions, not one less.")
class OneTooFew(Buffer):
    def add(self, *transition):
        self.transitions = [*self.transitions, transition][-max(1, self.capacity - 1) :]


@mistake("ReplayBuffer", "The length is the capacity, however few transitions were added.")
class LengthIsCapacity(Buffer):
    def __len__(self):
        return self.capacity


@mistake(
    "ReplayBuffer", "You draw slots that were not filled yet: draw among the len(self) transitions there are."
)
class DrawsUnfilledSlots(Buffer):
    def sample(self, batch_size, generator):
        rows = torch.randint(self.capacity, (batch_size,), generator=generator).tolist()
        blank = tuple(torch.zeros_like(field) for field in self.transitions[0])
        chosen = [self.transitions[i] if i < len(self.transitions) else blank for i in rows]
        return tuple(torch.stack(field) for field in zip(*chosen, strict=True))


@mistake("ReplayBuffer", "The last slot is never drawn: torch.randint leaves its upper bound out already.")
class NeverDrawsTheLastSlot(Buffer):
    def rows(self, batch_size, generator):
        below = max(1, len(self.transitions) - 1)
        return torch.randint(below, (batch_size,), generator=generator).tolist()


@mistake("ReplayBuffer", "You return the newest transitions: a batch is drawn at random from all of them.")
class ReturnsTheNewest(Buffer):
    def rows(self, batch_size, generator):
        return range(len(self.transitions) - batch_size, len(self.transitions))


@mistake("ReplayBuffer", "You draw a start and take neighbours: a batch's transitions are to be independent.")
class DrawsNeighbours(Buffer):
    def rows(self, batch_size, generator):
        start = int(torch.randint(len(self.transitions), (), generator=generator))
        return [(start + k) % len(self.transitions) for k in range(batch_size)]


@mistake("ReplayBuffer", "You draw one transition and repeat it: draw anew for every row of the batch.")
class RepeatsOneDraw(Buffer):
    def rows(self, batch_size, generator):
        return [int(torch.randint(len(self.transitions), (), generator=generator))] * batch_size


@mistake(
    "ReplayBuffer", "Newer transitions are drawn more often; all in the buffer are to be equally likely."
)
class PrefersTheNewer(Buffer):
    def rows(self, batch_size, generator):
        weights = torch.arange(1.0, len(self.transitions) + 1)
        return torch.multinomial(weights, batch_size, replacement=True, generator=generator).tolist()


@mistake("ReplayBuffer", "You round to the nearest slot, so the first and the last are drawn half as often.")
class RoundsToTheNearestSlot(Buffer):
    def rows(self, batch_size, generator):
        places = torch.rand(batch_size, generator=generator) * (len(self.transitions) - 1)
        return places.round().long().tolist()


@mistake(
    "ReplayBuffer", "You ignore `generator` and draw from another random state: no batch can be drawn again."
)
class DrawsFromAStateOfItsOwn(Buffer):
    def __init__(self, capacity):
        super().__init__(capacity)
        self.state = torch.Generator().manual_seed(42)

    def rows(self, batch_size, generator):
        return super().rows(batch_size, self.state)


@mistake("ReplayBuffer", "You seed the draws yourself: every batch is the same, whatever the generator.")
class SeedsTheDrawsItself(Buffer):
    def rows(self, batch_size, generator):
        return super().rows(batch_size, torch.Generator().manual_seed(0))


@mistake(
    "ReplayBuffer",
    "You draw rows for each field by itself: state, action and reward of one row don't belong together.",
)
class DrawsEachFieldByItself(Buffer):
    def sample(self, batch_size, generator):
        fields = list(zip(*self.transitions, strict=True))
        return tuple(torch.stack([f[i] for i in self.rows(batch_size, generator)]) for f in fields)


@mistake("ReplayBuffer", "Sampled transitions leave the buffer; they stay until newer ones replace them.")
class TakesOutWhatItSamples(Buffer):
    def sample(self, batch_size, generator):
        order = torch.randperm(len(self.transitions), generator=generator).tolist()
        chosen = [self.transitions[i] for i in order[:batch_size]]
        self.transitions = [self.transitions[i] for i in sorted(order[batch_size:])]
        return tuple(torch.stack(field) for field in zip(*chosen, strict=True))


@mistake(
    "ReplayBuffer", "You shuffle the buffer in place to sample: then the ring no longer knows the oldest."
)
class ShufflesInPlace(Buffer):
    def sample(self, batch_size, generator):
        order = torch.randperm(len(self.transitions), generator=generator).tolist()
        self.transitions = [self.transitions[i] for i in order]
        return tuple(torch.stack(field) for field in zip(*self.transitions[:batch_size], strict=True))


@mistake("ReplayBuffer", "You return a list of transitions; stack each field over the batch instead.")
class ReturnsTransitions(Buffer):
    def sample(self, batch_size, generator):
        return [self.transitions[i] for i in self.rows(batch_size, generator)]


@mistake("ReplayBuffer", "The order is wrong: (states, actions, rewards, next_states, dones).")
class NextStatesSecond(Buffer):
    def sample(self, batch_size, generator):
        states, actions, rewards, next_states, dones = super().sample(batch_size, generator)
        return states, next_states, actions, rewards, dones


@mistake(
    "ReplayBuffer", "One tensor stands for all states: each call of `add` overwrites what was stored before."
)
class StoresOneTensorForAll(Buffer):
    def add(self, state, action, reward, next_state, done):
        if not self.transitions:
            self.state = torch.empty_like(state)
        self.state.copy_(state)
        super().add(self.state, action, reward, next_state, done)


@mistake(
    "ReplayBuffer", "You store everything in float32: the fields are to keep the dtypes they were added with."
)
class StoresFloat32(Buffer):
    def add(self, state, action, reward, next_state, done):
        super().add(state.float(), action, reward.float(), next_state.float(), done.float())
