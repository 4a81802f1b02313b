from . import models
from .analysis import attainment, quantiles, time_above
from .calibration import calibrate
from .comparison import compare
from .dosing import Dose
from .errors import InputError, NanomgError
from .library import Library
from .mechanism import AbstractMechanism, Flux, Port, Var, param
from .model import Model
from .noncompartmental import nca
from .plots import plot
from .reports import report
from .results import open
from .scenario import Scenario
from .sensitivities import sensitivity
from .service import optimize, simulate
from .sweeps import sweep
from .validation import validate

__version__: str

__all__ = [
    "AbstractMechanism",
    "Dose",
    "Flux",
    "InputError",
    "Library",
    "Model",
    "NanomgError",
    "Port",
    "Scenario",
    "Var",
    "__version__",
    "attainment",
    "calibrate",
    "compare",
    "models",
    "nca",
    "open",
    "optimize",
    "param",
    "plot",
    "quantiles",
    "report",
    "sensitivity",
    "simulate",
    "sweep",
    "time_above",
    "validate",
]
