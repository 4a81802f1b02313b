"""A finished run: its result, its summary and its file."""

from __future__ import annotations

import contextvars
import dataclasses
import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanomg.errors import unknown
from nanomg.results import file, run_html

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from nanomg.equations.model import Model

    Groups = Mapping[str, xr.Dataset]


_ASKED = ("doses", "parameters")  # groups of what was asked for, in results of several jobs


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Attributes:
        summary: what `--json` prints, as an object whose fields are also keys (`run.summary["verdict"]`).
        path: the result file, or None where none was written.

    Example:
        >>> import nanomg
        >>> run = nanomg.simulate("textbook-1cpt")
        >>> round(run.summary.signals["pk.C"].max, 2)
        2.4
        >>> round(float(run.to_dataframe()["pk.C"].max()), 2)
        2.4
    """

    summary: Any
    path: Path | None
    make_tree: Callable[[], xr.DataTree]

    @functools.cached_property
    def tree(self) -> xr.DataTree:
        """Everything that was computed, made when it is asked for: the command line needs the summary alone."""
        return self.make_tree()

    def plot(self, signals: Sequence[str] = (), **asked: Any) -> Figure:
        """The figure of the run. Further arguments are those of `nanomg.plot`.

        Args:
            signals: what to draw; the outputs of the scenario if left out.

        Returns:
            A figure of matplotlib.

        Raises:
            InputError: a signal that the run does not have, or an option that its figure does not take.

        Example:
            >>> import nanomg
            >>> figure = nanomg.simulate("textbook-1cpt").plot(["pk.C"])
            >>> figure.axes[1].get_ylabel()
            '[mg/L]'
        """
        import nanomg

        return nanomg.plot(self.tree, signals, **asked)

    def to_dataframe(self, group: str | None = None) -> DataFrame:
        """A group of the result as a table with a row for each point of its dimensions.

        Args:
            group: its name; that of the job if left out, such as "simulation". `run.tree` has them all.

        Returns:
            A data frame of pandas. Variables that lie along other dimensions than most are left out.

        Raises:
            InputError: the result has no such group.

        Example:
            >>> import nanomg
            >>> nanomg.simulate("textbook-1cpt").to_dataframe("doses")["amt"].tolist()
            [100.0, 100.0, 100.0, 100.0, 100.0]
        """
        groups = list(self.tree.children)
        name = group if group is not None else next((name for name in groups if name not in _ASKED), "")
        if name not in groups:
            raise unknown("group in this result", name, groups)
        return _table(self.tree[name].to_dataset())

    @property
    def _heading(self) -> str:
        return f"{type(self.summary).__name__.removesuffix('Summary')}: {self.summary.get('title', '')}"

    def __repr__(self) -> str:
        where = f"written to {self.path}" if self.path is not None else "in memory"
        return "\n".join(filter(None, [f"<nanomg.Run, {where}>", self._heading, run_html.answer(self.summary)]))

    def _repr_html_(self) -> str:
        return run_html.page(self._heading, self.summary)


def _table(data: xr.Dataset) -> DataFrame:
    """The variables that lie within the dimensions of one of them, that one within whose dimensions most lie."""
    within = [
        [str(name) for name, v in data.data_vars.items() if set(v.dims) <= set(w.dims)] for w in data.data_vars.values()
    ]
    most = max(within, key=len)
    return data[most].to_dataframe().reset_index()


def finish(
    groups: Groups | Callable[[], Groups],
    summary: Mapping[str, Any],
    path: Path | None,
    *,
    job: str,
    title: str,
    config: Mapping[str, Any],
    seed: int = 0,
    model: Model | Sequence[Model] = (),
    command: str = "",
) -> Run:
    """The finished run of a job, written to a file if there is a path.

    Args:
        groups: datasets by the name of their group, or a function that makes them when they are needed.
        summary: what `--json` prints.
        path: the result file, which is replaced.
        job: the name of the job.
        title: of the result.
        config: what was asked for, resolved.
        seed: of random numbers.
        model: what was solved, or each of several, if anything was.
        command: the command line, for the history of the file.

    Returns:
        The run. Its tree is made when it is asked for.

    Raises:
        InputError: the file cannot be written.
    """
    about: dict[str, Any] = {
        "job": job,
        "title": title,
        "config": config,
        "seed": seed,
        "model": model,
        "command": command,
    }
    ended = datetime.datetime.now(datetime.UTC)

    context = contextvars.copy_context()  # with the engine of the run, whoever asks for its tree later

    def build() -> tuple[Groups, dict[str, Any]]:
        made = groups() if callable(groups) else groups
        return made, file.root_attributes(summary=summary, ended=ended, **about)

    @functools.cache
    def content() -> tuple[Groups, dict[str, Any]]:
        return context.copy().run(build)

    def make_tree() -> xr.DataTree:
        import xarray as xr

        data, attributes = content()
        tree = xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in data.items()})
        tree.attrs.update(attributes)
        return tree

    if path is not None:
        file.write(path, *content(), force=True)
    return Run(summary, path, make_tree)
