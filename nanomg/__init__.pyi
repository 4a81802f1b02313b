from . import models
from .analysis.across_subjects import attainment, quantiles, time_above
from .analysis.noncompartmental import nca
from .dosing.dose import Dose
from .equations.mechanism import AbstractMechanism, Flux, Port, Scalar, Var, param, share
from .equations.model import Model
from .errors import InfeasibleError, InputError, NanomgError, SimulationError
from .jobs.calibrate.run import calibrate
from .jobs.feasibility.run import feasibility
from .jobs.optimize.run import optimize
from .jobs.sensitivity.run import sensitivity
from .jobs.simulate.run import simulate
from .jobs.sweep.run import sweep
from .jobs.validate.run import validate
from .library.card import Card, Parameter
from .library.library import Library
from .library.scenario import Scenario
from .population.population import Population
from .results.file import open
from .results.run import Run
from .views.compare import compare
from .views.doctor import diagnose
from .views.export import export
from .views.plots import plot
from .views.report import report

__version__: str

__all__ = [
    "AbstractMechanism",
    "Card",
    "Dose",
    "Flux",
    "InfeasibleError",
    "InputError",
    "Library",
    "Model",
    "NanomgError",
    "Parameter",
    "Population",
    "Port",
    "Run",
    "Scalar",
    "Scenario",
    "SimulationError",
    "Var",
    "__version__",
    "attainment",
    "calibrate",
    "compare",
    "diagnose",
    "export",
    "feasibility",
    "models",
    "nca",
    "open",
    "optimize",
    "param",
    "plot",
    "quantiles",
    "report",
    "sensitivity",
    "share",
    "simulate",
    "sweep",
    "time_above",
    "validate",
]
