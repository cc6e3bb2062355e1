"""Week 15: the checks that students have too."""

import torch

from autograder.author import check, close, holds
from autograder.probes import Generator


@check("rewards_to_go", examples=1)
def gives_the_worked_returns(rewards_to_go, rewards):
    """Rewards 1, 2, 3, 4, an end after the second, gamma = 1/2 and 8 to come: the returns are 2, 2, 7, 8."""
    earned, dones = rewards.new_tensor([1, 2, 3, 4]), rewards.new_tensor([0, 1, 0, 0])
    close(rewards_to_go(earned, dones, 0.5, rewards.new_tensor(8)), rewards.new_tensor([2, 2, 7, 8]))


@check("rewards_to_go")
def nothing_flows_back_across_an_end(rewards_to_go, rewards, dones, gamma, last_value):
    """The returns up to the end of an episode don't know what comes after; the reward at the end counts."""
    end = len(rewards) // 2
    ended = dones.clone()
    ended[end] = 1
    other = rewards.clone()
    other[end + 1 :] += 1
    returns = rewards_to_go(rewards, ended, gamma, last_value)
    close(returns[: end + 1], rewards_to_go(other, ended, gamma, last_value + 1)[: end + 1])
    close(returns[end], rewards[end])


@check("gae", examples=1)
def gives_the_worked_advantages(gae, rewards):
    """Six steps, an episode that ends at t = 2, gamma = 0.9, lambda = 0.8: the last advantage is 3.14."""
    earned = rewards.new_tensor([1, 0, 2, -1, 0.5, 3])
    values = rewards.new_tensor([0.5, 0.2, 0.1, 0.7, 0.3, 0.4])
    dones = rewards.new_tensor([0, 0, 1, 0, 0, 0])
    expected = rewards.new_tensor([1.58576, 1.258, 1.9, 0.600976, 2.8208, 3.14])
    close(gae(earned, values, dones, rewards.new_tensor(0.6), 0.9, 0.8), (expected, expected + values))


@check("gae")
def with_lambda_0_sees_one_step(gae, rewards, values, dones, last_value, gamma):
    """At lambda = 0 the advantage is the temporal difference r_t + gamma V(s_{t+1}) - V(s_t), cut at ends."""
    following = torch.cat([values[1:], last_value[None]])
    advantages, _ = gae(rewards, values, dones, last_value, gamma, 0.0)
    close(advantages, rewards + gamma * (1 - dones) * following - values)


@check("normalize_advantages")
def has_mean_0_and_standard_deviation_1(normalize_advantages, advantages):
    """The mean becomes 0 and the unbiased standard deviation 1 (less 1e-8), over all elements together."""
    normalized, std = normalize_advantages(advantages), advantages.std()
    close(1 + normalized.mean(), 1 + 0 * std)
    close(normalized.std(), std / (std + 1e-8))


@check("ppo_clip_loss", examples=1)
def clips_on_one_side_only(ppo_clip_loss, advantages):
    """With clip 0.2, ratio and advantage (1.5, 1) count 1.2; (1.5, -1) -1.5; (0.5, 1) 0.5; (0.5, -1) -0.8."""
    old = advantages.new_tensor([-1])
    for ratio, advantage, counts in ((1.5, 1, 1.2), (1.5, -1, -1.5), (0.5, 1, 0.5), (0.5, -1, -0.8)):
        new = old + advantages.new_tensor([ratio]).log()
        close(
            ppo_clip_loss(new, old, advantages.new_tensor([advantage]), 0.2), advantages.new_tensor(-counts)
        )


@check("ppo_clip_loss")
def clips_at_one_fifth_by_default(ppo_clip_loss, log_probs, old_log_probs, advantages):
    """Where no clip is given, it is 0.2."""
    default = ppo_clip_loss(log_probs, old_log_probs, advantages)
    close(default, ppo_clip_loss(log_probs, old_log_probs, advantages, 0.2))


@check("ppo_clip_loss")
def starts_at_minus_the_mean_advantage(ppo_clip_loss, log_probs, advantages, clip):
    """While both policies agree every ratio is 1, so the loss is minus the mean advantage."""
    close(ppo_clip_loss(log_probs, log_probs, advantages, clip), -advantages.mean())


X = torch.arange(10.0)
# The transitions of the checks: number k is row k of each field, and its action is k.
FIELDS = (torch.stack([X, -X], 1), X.long(), 10 * X, torch.stack([X + 0.5, 0.25 - X], 1), X % 2)


def transition(number):
    return [field[number] for field in FIELDS]


def filled(ReplayBuffer, capacity, steps):
    """A buffer to which transitions 1 ... steps were added."""
    buffer = ReplayBuffer(capacity)
    for number in range(1, steps + 1):
        buffer.add(*transition(number))
    return buffer


def numbers_in(batch, size):
    """The numbers of the transitions in a batch of five stacked tensors."""
    fields = isinstance(batch, (tuple, list)) and len(batch) == 5 and isinstance(batch[1], torch.Tensor)
    holds(fields, "sample gives five tensors: (states, actions, rewards, next_states, dones)")
    holds(
        batch[1].shape == (size,), "sample(batch_size, generator) stacks batch_size actions into one tensor"
    )
    return batch[1].tolist()


@check("ReplayBuffer")
def forgets_the_oldest_first(ReplayBuffer):
    """With room for three, a buffer that was given 1, 2, 3, 4, 5 holds 3, 4 and 5, and its length is 3."""
    buffer = ReplayBuffer(3)
    for number in range(1, 6):
        buffer.add(*transition(number))
        length = min(number, 3)
        holds(len(buffer) == length, f"len(buffer) is {length} after {number} transitions")
    # All three are drawn in 72 draws but for one right answer in 10^12.
    drawn = {n for seed in range(24) for n in numbers_in(buffer.sample(3, Generator(seed)), 3)}
    holds(drawn == {3, 4, 5}, "3, 4 and 5 are drawn, and no others")


@check("ReplayBuffer")
def draws_from_the_generator_alone(ReplayBuffer):
    """The same seed gives the same batch again, and other seeds give other batches."""
    buffer = filled(ReplayBuffer, 8, 8)
    batches = [buffer.sample(4, Generator(seed)) for seed in range(12)]
    for seed, batch in enumerate(batches):
        close(buffer.sample(4, Generator(seed)), batch)
    drawn = {tuple(numbers_in(batch, 4)) for batch in batches}
    holds(len(drawn) > 1, "batches drawn by generators with different seeds differ")
