"""How figures of a result are wanted."""

from __future__ import annotations

from typing import NamedTuple

ARM, HYPOTHESIS = "arm", "hypothesis"


class Asked(NamedTuple):
    """How figures are wanted. What a job heeds of it, its figure module names in `TAKES`.

    `signals` narrow figures down to those; `log` draws quantities on a logarithmic axis, or on a linear one if False, and by
    default each as it spans; `by` "hypothesis" puts hypotheses side by side; without `everything` only the figures that
    matter first are wanted.
    """

    signals: tuple[str, ...] = ()
    log: bool | None = None
    by: str = ARM
    everything: bool = True
