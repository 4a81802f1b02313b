from . import models
from .analysis.across_subjects import attainment, quantiles, time_above
from .analysis.noncompartmental import nca
from .dosing.dose import Dose
from .equations.mechanism import AbstractMechanism, Flux, Port, Var, param
from .equations.model import Model
from .errors import InputError, NanomgError
from .jobs.calibrate.run import calibrate
from .jobs.optimize.run import optimize
from .jobs.sensitivity.run import sensitivity
from .jobs.simulate.run import simulate
from .jobs.sweep.run import sweep
from .jobs.validate.run import validate
from .library.library import Library
from .library.scenario import Scenario
from .results.file import open
from .views.compare import compare
from .views.plots import plot
from .views.report import report

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
