"""Names in result files that several jobs share."""

from __future__ import annotations

JOB = "nanomg_job"  # attribute of the root: the name of the job that made the file
BASELINE, OPTIMUM = "baseline", "optimum"  # regimens
BASELINE_WITHOUT = "baseline without Mg"  # control arm of a baseline that brings Mg
# comparisons of regimens: what Mg does at otherwise equal doses, what all other changes do, and both with the change of the Mg
MG_EFFECT, FREE_EFFECT, BASELINE_EFFECT = "effect of Mg", "effect of Mg given free", "effect of Mg in the baseline"
REST, CHANGE = "other changes", "change from baseline"
MINUS = " minus "  # between the two regimens of a comparison
