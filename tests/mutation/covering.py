"""Run the tests that see the changed module of this copy of the tree; those of all modules where none is changed."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def covering(module: str) -> list[str]:
    """The test files and folders of a module, or of the pattern `*`, the first ones first."""
    lines = tomllib.loads((HERE / "covering.toml").read_text(encoding="utf-8"))
    tests = [
        test for pattern, tests in lines.items() if module == "*" or fnmatch.fnmatch(module, pattern) for test in tests
    ]
    return list(dict.fromkeys(tests))


if __name__ == "__main__":
    git = subprocess.run(["git", "diff", "--name-only"], capture_output=True, text=True, check=True)
    tests = [test for module in git.stdout.split() or ["*"] for test in covering(module)]
    os.environ["PYTHONPATH"] = str(Path.cwd())  # the copy, not the tree that is installed
    options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--tb=no"]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "pytest", *options, *tests])
