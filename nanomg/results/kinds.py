"""Names in result files that several jobs share."""

from __future__ import annotations

JOB = "nanomg_job"  # attribute of the root: the name of the job that made the file
BASELINE, OPTIMUM = "baseline", "optimum"  # regimens
# comparisons of regimens: what Mg does at otherwise equal doses, given as it is or free, and what the rest of a change does
MG_EFFECT, FREE_EFFECT, REST, CHANGE = (
    "effect of Mg",
    "effect of Mg given free",
    "rest of the change",
    "change from baseline",
)
