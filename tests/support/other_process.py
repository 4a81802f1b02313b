"""A folder with modules, in which code runs in a process of its own, and what that process compiles and loads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

NOTED = "import logging, sys; logging.basicConfig(stream=sys.stderr, format='%(message)s'); "
NOTED += "logging.getLogger('nanomg.compute.programs').setLevel('DEBUG')\n"


class Told(NamedTuple):
    numbers: list[str]
    compiled: set[str]
    loaded: set[str]


class Cell(NamedTuple):
    """A folder with modules, in which code runs in a process of its own."""

    folder: Path

    def module(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    def run(self, text: str, **environment: str) -> Told:
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        # compiled as for users, whatever flags the tests run under
        given = {**os.environ, "XLA_FLAGS": "", "NANOMG_CACHE": str(self.kept), "PYTHONPATH": path, **environment}
        command = [sys.executable, "-P", "-c", NOTED + textwrap.dedent(text)]
        done = subprocess.run(command, env=given, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        words = [line.split() for line in done.stderr.splitlines()]
        compiled, loaded = ({w[1] for w in words if w[0] == verb} for verb in ("compiled", "loaded"))
        return Told(done.stdout.split(), compiled, loaded)
