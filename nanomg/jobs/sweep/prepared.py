"""A request for a sweep, checked and cut into parts, and the recipe from which another process builds the same trajectories."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from nanomg import units
from nanomg.compute import cluster
from nanomg.errors import InputError
from nanomg.jobs.sweep import axes, batch
from nanomg.jobs.sweep import keep as sweep_keep
from nanomg.jobs.sweep.batch import Trajectories
from nanomg.jobs.sweep.request import SweepRequest
from nanomg.library.event_doses import rebuild_with_events
from nanomg.library.library import Library
from nanomg.library.model_hash import model_hash
from nanomg.library.scenario import Scenario
from nanomg.models import library as find_library
from nanomg.population.population import Population
from nanomg.population.population_file import load_population
from nanomg.results import file
from nanomg.simulation import lanes
from nanomg.solver import engine

_COPIES = 4  # of the numbers of a part, on their way from the solver to the disk
# trajectories of a part at most, by engine: about a second of a core, and few enough for memory to stay flat
_PART = {engine.NATIVE: 4096, engine.JAX: 1024}
_ROUNDS = 8  # parts for each core at least, so that none waits long for the last


class Recipe(NamedTuple):
    """Trajectories as plain values: the scenario's resolved configuration, the request, and further folders of the library.

    `equations` and `population` are hashes of those that are meant, empty where any will do; `memory` [bytes] is what a core may
    use, `most` the size of parts where that is known.
    """

    config: Mapping[str, Any]
    request: SweepRequest
    folders: tuple[str, ...]
    equations: str = ""
    population: str = ""
    memory: float = batch.MEMORY
    most: int | None = None

    def batch(self, library: Library | None = None) -> Trajectories:
        """The trajectories that it describes, from another library if one is given.

        Raises `InputError` where equations or population are others here than those that are meant.
        """
        library = library or find_library(*self.folders)
        found = _trajectories(rebuild_with_events(self.config, library), library, self.request, self.memory, self.most)
        for what, meant, here in (
            ("equations", self.equations, model_hash(found.scenario.model)),
            ("population or ranges of cards", self.population, _hash(found.population)),
        ):
            if meant and meant != here:
                raise InputError(f"a worker has other {what} than this process; give it the same library folders")
        return found


@dataclasses.dataclass(frozen=True)
class PreparedSweep:
    """A request for a sweep, checked, and how it is cut into parts. `recipe` is what another process builds the same batch from."""

    request: SweepRequest
    scenario: Scenario
    batch: Trajectories
    recipe: Recipe
    part: int

    def range(self, number: int) -> tuple[int, int]:
        """First trajectory of a part and the one after its last."""
        return number * self.part, min((number + 1) * self.part, self.batch.total)


def prepare(request: SweepRequest, library: Library | None = None) -> PreparedSweep:
    """Check a request, and cut the sweep into parts; `library` is one that was built already.

    Raises `InputError` of one sentence for whatever is wrong.
    """
    if request.workers is not None or request.scheduler is not None:
        cluster.check_installed()
    shelves = request.shelves(library)
    chosen = request.resolved(library)
    budget = units.parse_quantity(request.memory, "byte", "--memory")
    if not budget > 0:
        raise InputError(f"the memory must be above 0, not {request.memory}", "--memory")
    found = _trajectories(chosen, shelves, request, budget)
    shipped = find_library().folders
    further = tuple(str(f.resolve()) for f in shelves.folders if f not in shipped)
    meant = model_hash(chosen.model), _hash(found.population)
    here = dataclasses.replace(request, scenario=chosen.name, engine=found.plan.engine)
    recipe = Recipe(chosen.config, here, further, *meant, budget)
    return PreparedSweep(request, chosen, found, recipe, _part_of(found, request.workers or found.choice.side))


def _hash(population: Population) -> str:
    return hashlib.sha256(file.to_json(dataclasses.asdict(population)).encode()).hexdigest()


def _trajectories(
    scenario: Scenario, library: Library, request: SweepRequest, memory: float, most: int | None = None
) -> Trajectories:
    lanes.tightest(request.precision)
    if not 0 < request.rtol < 1:
        raise InputError(f"the relative tolerance must be between 0 and 1, not {request.rtol}", "--rtol")
    if request.seed < 0:
        raise InputError(f"a seed is a whole number, 0 or more, not {request.seed}", "--seed")
    if request.population is not None and not request.subjects:
        raise InputError("a population needs subjects; give their number with --subjects", "--population")
    if request.values is not None and (request.vary or request.paired):
        raise InputError("points cannot be combined with axes or arms; give one or the other", "values")
    if request.values is None:
        points = axes.lay_out(request.vary, scenario, request.sample, request.points, request.seed, request.paired)
    else:
        points = axes.of_values(request.values, scenario)
    who = load_population(request.population, library, scenario, request.vary) if request.population else None
    with engine.using(request.engine):
        return Trajectories(
            scenario,
            points,
            sweep_keep.kept_of(request.keep, scenario, who),
            subjects=request.subjects,
            population=who,
            seed=request.seed,
            rtol=request.rtol,
            precision=request.precision,
            device=request.device,
            memory=memory,
            most=most,
        )


def _part_of(found: Trajectories, side: int) -> int:
    """Trajectories of a part where so many are solved side by side: whole blocks, and no more than the memory holds several times
    over."""
    bytes_of_one = _COPIES * (found.bytes_each + 8 * 3 * (len(found.plan.varied) + len(found.scenario.parameters)))
    most = min(max(_PART[found.plan.engine], found.block), int(found.memory / bytes_of_one))
    if most < found.block:
        raise InputError(
            f"a block of {found.block} trajectories needs {bytes_of_one * found.block / 1e6:.2g} MB; "
            "give more memory or keep less",
            "--memory",
        )
    even = math.ceil(found.total / (_ROUNDS * side))
    return min(most, max(even, found.block)) // found.block * found.block
