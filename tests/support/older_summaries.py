"""A small summary of each job, as nanomg wrote it before summaries had versions."""

from __future__ import annotations

from typing import Any

_ABOUT = {"scenario": "s", "title": "A title", "output": "s.h5"}
_STATUS = {"code": 0, "reason": "solved to the end", "failed": 0, "trajectories": 9}
_SIGNAL = {"unit": "mM", "initial": 1.0, "final": 2.0, "min": 1.0, "max": 3.0, "auc": 4.0, "auc_unit": "mM h"}
_HOURS = {"hours_per_day_above_0.02": {"H1": 0.0}, "hours_per_day_above_0.3": {"H1": 0.0}}
_RISE = {"mean_rise": {"value": 0.1, "unit": "mmol/L"}, "peak_rise": {"value": 0.2, "unit": "mmol/L"}}
_SHARES = {"share_serum": 0.9, "share_local": 0.1}
_EFFECT = {**_HOURS, "mean_competence_gain": {"H1": 0.01}, **_RISE, **_SHARES}
_MG = {**_EFFECT, "free": _EFFECT}
_DOSE = {"time_h": 0.0, "cmt": "p", "amt": 1.0, "unit": "mg", "duration_h": 0.0}
_PERCENTILES = {"5": 0.1, "50": 0.2, "95": 0.3}
_ROW = {
    "domain": "d",
    "use": "validate",
    "quantity": "q",
    "source": "a2020",
    "place": "Table 1",
    "run": "r",
    "predicted": 1.0,
    "observed": 2.0,
    "low": 1.5,
    "high": 2.5,
    "unit": "h",
    "bound": "",
    "fold": 2.0,
    "reason": "outside",
}

OLDER: dict[str, dict[str, Any]] = {
    "simulate": {**_ABOUT, "status": _STATUS, "signals": {"a.C": _SIGNAL}, "verdict": "Said.", "mg": _MG},
    "optimize": {
        **_ABOUT,
        "status": _STATUS,
        "feasible": True,
        "objective": 1.0,
        "baseline_objective": 2.0,
        "terms": {"t": {"baseline": 2.0, "optimum": 1.0}},
        "constraints": [
            {"name": "c", "limit": 1.0, "value": 0.5, "slack": 0.5, "unit": "h"},
            {
                "name": "l",
                "limit": 1.0,
                "value": 0.5,
                "slack": 0.5,
                "unit": "h",
                "value_by_hypothesis": {"H1": 0.5},
            },
        ],
        "regimen": [_DOSE],
        "baseline_regimen": [_DOSE, _DOSE],
        "starts": [{"objective": 1.0, "violation": -0.1, "feasible": True}],
        "evaluations": 3,
        "seconds": 1.5,
        "kkt_residual": 1e-3,
        "converged": True,
        "signals": {"a.C": _SIGNAL},
        "verdict": "Said.",
        "mg": None,
    },
    "sweep": {
        **_ABOUT,
        "subjects": 3,
        "trajectories": 6,
        "dims": {"a": 2, "subject": 3},
        "failed": 1,
        "reasons": {"too many steps": 1},
        "device": "CPU (cpu)",
        "device_reason": "asked for",
        "population": {
            "name": "p",
            "title": "P",
            "varied": 4,
            "counted": 3,
            "candidates": 4,
            "share_rejected": 0.25,
            "rejected": {"r": 1},
        },
        "sweep": {"a.C:max": {"unit": "mM", "min": 1.0, "q05": 1.0, "median": 2.0, "q95": 3.0, "max": 3.0}},
        "verdict": "Said.",
        "seconds": 1.0,
        "subjects_per_second": 6.0,
        "computed": 6,
        "share_computing": None,
    },
    "sensitivity": {
        **_ABOUT,
        "figure": None,
        "over": "card",
        "outputs": [{"output": "a.C:max", "value": 1.0, "unit": "mM", "text": "concentration"}],
        "elasticities": [
            {
                "output": "a.C:max",
                "parameter": "a.k",
                "elasticity": None,
                "slope": 1.0,
                "value": 0.0,
                "unit": "1/h",
                "low": None,
                "high": None,
                "at_low": None,
                "at_high": None,
                "range_effect": None,
                "basis": "assumed",
                "text": "rate",
            }
        ],
        "sobol": {
            "seed": 0,
            "samples": 64,
            "complete": 64,
            "trajectories": 256,
            "failed": 0,
            "unphysical": {},
            "confidence": 0.95,
            "parameters": [{"parameter": "a.k", "low": 1.0, "high": 2.0, "unit": "1/h", "distribution": "uniform"}],
            "indices": [
                {
                    "output": "a.C:max",
                    "parameter": "a.k",
                    "S1": None,
                    "S1_conf": None,
                    "ST": 1.0,
                    "ST_conf": 0.1,
                }
            ],
        },
        "seconds": 1.0,
    },
    "feasibility": {
        **_ABOUT,
        "status": _STATUS,
        "signals": {},
        "verdict": "Said.",
        "mg": None,
        "feasibility": {
            "draws": 9,
            "seed": 0,
            "failed": 0,
            "sampled": 4,
            "tried": 10,
            "share_rejected": 0.1,
            "rejected": {"r": 1},
            "horizon_h": 24.0,
            "targets": {"0.3": {"value": 0.3, "unit": "mmol/L"}},
            "quantities": {
                "total, day": {
                    "text": "t",
                    "unit": "mmol/L",
                    "rise": _PERCENTILES,
                    "targets": {"0.3": {"shortfall": {**_PERCENTILES, "95": None}, "share": 0.0}},
                }
            },
        },
    },
    "validate": {
        "output": None,
        "domains": [
            {
                "name": "d",
                "use": "validate",
                "n": 2,
                "gmfe": 1.5,
                "noise_floor": None,
                "within_1_25": 0.5,
                "within_2": 1.0,
                "within_2sd": 0.5,
                "title": "D",
                "failed": 0,
                "allowed": 1.25,
                "stands": False,
            }
        ],
        "signs": {"n": 1, "right": 1},
        "misses": [_ROW],
        "rows": {"d": {"calibrate": 0, "validate": 2, "look": 1}},
        "looks": [{**_ROW, "use": "look", "run": None, "predicted": None, "fold": None}],
        "figures": [],
    },
    "calibrate": {
        "output": "fit.h5",
        "title": "A study",
        "study": "s",
        "source": "a2020",
        "card": "c",
        "parameters": {
            "a.k": {
                "unit": "1/h",
                "start": 1.0,
                "estimate": 2.0,
                "se": 0.1,
                "cv": 0.05,
                "low": 1.8,
                "high": 2.2,
                "bounds": [0.1, 10.0],
                "start_outside": False,
                "bound": None,
                "prior": {"value": 1.0, "cv": 0.5},
            }
        },
        "correlation": [[1.0]],
        "rank": 1,
        "singular_values": [1.0],
        "identifiability": "All.",
        "residual_sd": 1.1,
        "degrees_of_freedom": 3.0,
        "errors": [
            {
                "part": "fit",
                "series": None,
                "n": 4,
                "failed": 0,
                "gmfe_at_start": 2.0,
                "gmfe": 1.1,
                "rmse": None,
                "unit": None,
            }
        ],
        "rows": [
            {
                "quantity": "q",
                "part": "fit",
                "unit": "mM",
                "observed": 1.0,
                "predicted": 1.1,
                "fold": 1.1,
                "residual": 1.0,
                "n": 3,
                "failed": None,
            }
        ],
        "starts": {
            "n": 2,
            "same_optimum": 2,
            "converged": 2,
            "cost": [1.0, 1.0],
            "cost_at_start": [2.0, None],
            "values": {"a.k": [2.0, 2.0]},
            "failed_evaluations": 0,
            "steps": 5,
        },
        "seed": 0,
        "written": None,
    },
}
