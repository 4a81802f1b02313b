"""Names in result files that several jobs share."""

from __future__ import annotations

JOB = "nanomg_job"  # attribute of the root: the name of the job that made the file
BASELINE, OPTIMUM = "baseline", "optimum"  # regimens
