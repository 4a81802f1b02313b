"""libRoadRunner: the model as SBML with rate rules, its doses as SBML events; one subject after the other."""

from __future__ import annotations

import antimony
import export
import numpy as np
import roadrunner
from problem import Problem

from tools.base import Missing, OneByOne, settings


class RoadRunner(OneByOne):
    """CVODE on code that libRoadRunner compiles from the SBML; states divided by their peaks."""

    settings = settings(4, 8, 1e-2, 1e-4)
    version = f"libroadrunner {roadrunner.__version__}"

    def __init__(self, problem: Problem, scale: np.ndarray):
        self.scale, self.outputs, self.subjects = scale, problem.outputs, problem.subjects
        if np.ptp(np.diff(problem.outputs)) > 1e-9:
            raise Missing("libRoadRunner is asked for an even output grid only")
        channels, spans = problem.channels, [problem.segments(i) for i in range(self.subjects)]
        edges = spans[0].edges
        if not all(np.array_equal(edges, at.edges) for at in spans):
            raise Missing("the events of all subjects must fall together")
        text = antimony_source(problem.program, channels, scale, edges)
        if antimony.loadAntimonyString(text) < 0:
            raise Missing(f"Antimony: {antimony.getLastError()}")
        self.engine = roadrunner.RoadRunner(antimony.getSBMLString(antimony.getMainModuleName()))
        self.engine.timeCourseSelections = [f"y{i}" for i in range(len(scale))]
        integrator = self.engine.integrator
        integrator.stiff, integrator.maximum_num_steps, integrator.variable_step_size = True, 100_000, False
        self.names, rows = _values(problem, scale, edges)
        known = list(self.engine.model.getGlobalParameterIds())
        self.index, self.rows = [known.index(n) for n in self.names], rows
        self._check(problem)
        self.lane(0, 1e-4, 1e-6)

    def _check(self, problem: Problem) -> None:
        """The compiled rates are those of the exported code."""
        rhs = export.python_function(export.python_source(problem.program, problem.channels, self.scale))
        at, start = problem.segments(0), np.array(problem.start(0) / self.scale)
        start[list(problem.channels)] += at.jump[0] / self.scale[list(problem.channels)]
        expected = np.empty_like(start)
        rhs(0.0, start, expected, np.concatenate([problem.values(0), at.inflow[0], at.forcing[0]]))
        self.engine.resetAll()
        self.engine.model.setGlobalParameterValues(self.index, self.rows[0])
        found = np.array([self.engine[f"y{i}'"] for i in range(len(start))])
        if not np.allclose(found, expected, rtol=1e-9, atol=1e-12):
            raise Missing("the rates of the SBML model differ from the model's")

    def lane(self, i: int, rtol: float, atol: float) -> np.ndarray:
        """(output, state) of one subject; NaN if the solver gave up."""
        engine = self.engine
        engine.resetAll()
        engine.integrator.relative_tolerance, engine.integrator.absolute_tolerance = rtol, atol
        engine.model.setGlobalParameterValues(self.index, self.rows[i])
        try:
            found = engine.simulate(0, float(self.outputs[-1]), len(self.outputs))
        except RuntimeError:
            return np.full((len(self.outputs), len(self.scale)), np.nan)
        return np.asarray(found) * self.scale


def _values(problem: Problem, scale: np.ndarray, edges: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of the global parameters that differ between subjects or spans, and a row of values for each subject."""
    spans, channels = range(len(edges) - 1), list(problem.channels)
    names = [
        *(f"y{i}" for i in range(len(scale))),
        *(f"p{i}" for i in range(problem.program.varied)),
        *(f"{letter}_{s}_{c}" for letter in ("jump", "flow") for s in spans for c in range(len(channels))),
        *(f"force_{s}_{i}" for s in spans for i in range(problem.program.inputs)),
        *(f"flow{c}" for c in range(len(channels))),
        *(f"u{i}" for i in range(problem.program.inputs)),
    ]
    rows = []
    for subject in range(problem.subjects):
        at, start = problem.segments(subject), problem.start(subject) / scale
        jump, flow = at.jump / scale[channels], at.inflow
        start[channels] += jump[0]
        rest = (jump.ravel(), flow.ravel(), at.forcing.ravel(), flow[0], at.forcing[0])
        rows.append(np.concatenate([start, problem.values(subject), *rest]))
    return names, np.array(rows)


def antimony_source(program: export.Program, channels: tuple[int, ...], scale: np.ndarray, edges: np.ndarray) -> str:
    """The model in Antimony: y0.. are states divided by `scale`; an event at each edge adds and switches what doses bring."""
    inflow = {row: f" + flow{c}" for c, row in enumerate(channels)}
    body = [
        *(f"s{i} := y{i} * {float(scale[i])!r}" for i in range(program.states)),
        *(f"{line.name} := {line.write(export.ANTIMONY)}" for line in program.lines),
        *(f"y{i}' = ({r}{inflow.get(i, '')}) * {1 / float(scale[i])!r}" for i, r in enumerate(program.rates)),
        *(f"y{i} = 0" for i in range(program.states)),
        *(f"p{i} = 0" for i in range(program.varied)),
        *(f"flow{c} = 0" for c in range(len(channels))),
        *(f"u{i} = 0" for i in range(program.inputs)),
    ]
    for s, edge in enumerate(edges[:-1]):
        body += [f"{letter}_{s}_{c} = 0" for letter in ("jump", "flow") for c in range(len(channels))]
        body += [f"force_{s}_{i} = 0" for i in range(program.inputs)]
        changes = [f"y{row} = y{row} + jump_{s}_{c}" for c, row in enumerate(channels)]
        changes += [f"flow{c} = flow_{s}_{c}" for c in range(len(channels))]
        changes += [f"u{i} = force_{s}_{i}" for i in range(program.inputs)]
        if s:
            body.append(f"at (time >= {float(edge)!r}): {', '.join(changes)}")
    return "model benchmark()\n" + "".join(f"  {line};\n" for line in body) + "end\n"
