"""From doses, input windows and output times to intervals between events.

Event times are traced values: the state is integrated on each interval rescaled to unit length, so that gradients with respect
to dose times are exact. Only the order of the edges is decided outside the compiled code, by `order_of`.

At one time the order is: end of an infusion, start of an infusion, bolus, change of an input, output. An output at the time of
a dose therefore shows the state just after it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_PAD = 32  # intervals are padded to a multiple, so that similar regimens share one compiled solve


class Events(NamedTuple):
    """Times [h] and amounts by lane. `D` doses, `W` input windows, `T` outputs, `C` channels (dosed states), `I` inputs, `B` lanes.

    `bolus` (D,) is static; all other entries may be traced.
    """

    bolus: np.ndarray
    time: jax.Array  # (D, B)
    duration: jax.Array  # (D, B), not used where bolus
    amount: jax.Array  # (D, C, B) amount that reaches each channel
    start: jax.Array  # (W, B)
    stop: jax.Array  # (W, B)
    change: jax.Array  # (W, I, B) what a window adds to each input
    base: jax.Array  # (I, B) inputs outside all windows
    output: jax.Array  # (T, B)


class Intervals(NamedTuple):
    """The inputs on each interval; `used` is their number, the rest is padding."""

    used: jax.Array
    length: jax.Array  # (K, B) [h]
    keep: jax.Array  # (K, B) what is left at the start: 1 all, 0 nothing, 2 + i all but the rows `Problem.wiped[i]`
    inflow: jax.Array  # (K, C, B) amount per hour
    jump: jax.Array  # (K, C, B) amount added at the start, after `keep`
    forcing: jax.Array  # (K, I, B)


def edges(events: Events) -> jax.Array:
    """The times of all edges (edge, lane), unsorted."""
    bolus, infused = events.bolus, ~events.bolus
    end = events.time + events.duration
    return jnp.concatenate(
        [end[infused], events.time[infused], events.time[bolus], events.stop, events.start, events.output]
    )


def order_of(edges: np.ndarray) -> np.ndarray:
    """The sorted order of the edges of each lane, (edge, lane), from concrete times; ties keep the order of this module."""
    return np.argsort(edges, axis=0, kind="stable").astype(np.int32)


def output_rows(order: jax.Array, outputs: int) -> jax.Array:
    """(output, lane): the interval that ends at each output, from the inverse of the order."""
    edge = jnp.arange(order.shape[0], dtype=jnp.int32)[:, None]
    rank = jnp.zeros(order.shape, jnp.int32).at[order, jnp.arange(order.shape[1])].set(edge)
    return rank[order.shape[0] - outputs :]


def intervals(events: Events, order: jax.Array) -> Intervals:
    """The intervals between the sorted edges; differentiable in every time and amount."""
    bolus, infused = events.bolus, ~events.bolus
    rate = events.amount[infused] / events.duration[infused][:, None]
    outputs, windows, lanes = events.output.shape[0], events.start.shape[0], events.time.shape[1]
    channels, inputs = events.amount.shape[1], events.base.shape[0]
    no_dose = jnp.zeros((2 * windows + outputs, channels, lanes), events.amount.dtype)
    inflow = jnp.concatenate([-rate, rate, jnp.zeros_like(events.amount[bolus]), no_dose])
    jump = jnp.concatenate([jnp.zeros_like(rate), jnp.zeros_like(rate), events.amount[bolus], no_dose])
    before = jnp.zeros((len(bolus) + int(infused.sum()), inputs, lanes), events.base.dtype)
    after = jnp.zeros((outputs, inputs, lanes), events.base.dtype)
    forcing = jnp.concatenate([before, -events.change, events.change, after])

    def ordered(a: jax.Array) -> jax.Array:
        index = order.reshape(order.shape[0], *(1,) * (a.ndim - 2), order.shape[1])
        return jnp.take_along_axis(a, index, 0)

    def acts_next(a: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])

    times = ordered(edges(events))
    length = jnp.diff(times, axis=0, prepend=jnp.zeros_like(times[:1]))
    count = length.shape[0]
    padding = -count % _PAD

    def pad(a: jax.Array) -> jax.Array:
        return jnp.pad(a, [(0, padding)] + [(0, 0)] * (a.ndim - 1))

    return Intervals(
        jnp.asarray(count, jnp.int32),
        pad(length),
        pad(jnp.ones_like(length)),
        pad(acts_next(jnp.cumsum(ordered(inflow), 0))),
        pad(acts_next(ordered(jump))),
        pad(events.base + acts_next(jnp.cumsum(ordered(forcing), 0))),
    )
