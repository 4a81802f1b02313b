"""The drawing of the imports in docs/architecture.md, made from the imports: `python docs/imports.py` writes docs/imports.svg.

Packages lie on the floors that import-linter checks (`pyproject.toml`). An arrow is drawn where one package imports another and no
longer way down says so already. The drawing carries the list of all imports between packages, so that a test sees when it is old.
"""

from __future__ import annotations

import ast
import html
import itertools
import random
import re
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).resolve().parents[1]
DRAWING = ROOT / "docs" / "imports.svg"
JOBS, SCIENCE = "jobs", "models"

Imports = Mapping[
    str, set[str]
]  # package: the packages that it imports; a job counts as one of its own, as in jobs.sweep


# ---------------------------------------------------------------- what there is
def package_of(module: str) -> str:
    """The package of a module of nanomg, `jobs.sweep` for one of a job."""
    first, *rest = module.split(".")[1:]
    return f"{first}.{rest[0]}" if first == JOBS and rest else first


def imports_of_packages() -> dict[str, set[str]]:
    """The packages that each package of nanomg imports, late imports included."""
    graph = grimp.build_graph("nanomg", cache_dir=None)
    modules = sorted(graph.modules - {"nanomg"})
    imports: dict[str, set[str]] = {package_of(module): set() for module in modules}
    for module in modules:
        targets = graph.find_modules_directly_imported_by(module) - {"nanomg"}
        imports[package_of(module)] |= {package_of(target) for target in targets}
    return {package: targets - {package} for package, targets in sorted(imports.items())}


def floors(container: str = "nanomg") -> list[list[str]]:
    """The floors of a container from the top down, each with its packages, as import-linter checks them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = [c for c in settings["contracts"] if c.get("containers") == [container]]
    return [[name.strip() for name in re.split(r"[|:]", layer)] for layer in contract["layers"]]


def listed(imports: Imports) -> str:
    """Every import between packages, a line for each importer."""
    return "\n".join(f"{package}: {' '.join(sorted(targets))}".rstrip() for package, targets in sorted(imports.items()))


def recorded(svg: str) -> str:
    """The imports that a drawing was made from, as `listed`."""
    (lines,) = re.findall(r"<metadata>\n(.*?)\n</metadata>", svg, re.DOTALL)
    return html.unescape(lines)


def cycles(imports: Imports) -> list[list[str]]:
    """Packages that import each other, in however many steps."""
    below = {package: reached(imports, package) for package in imports}
    mutual = {frozenset({p, *(q for q in below[p] if p in below.get(q, ()))}) for p in imports if p in below[p]}
    return sorted(sorted(group) for group in mutual)


def reached(imports: Imports, package: str) -> set[str]:
    """All packages below a package: those that it imports, and those that these import."""
    seen: set[str] = set()
    ahead = list(imports.get(package, ()))
    while ahead:
        target = ahead.pop()
        if target not in seen:
            seen.add(target)
            ahead += imports.get(target, ())
    return seen


def joined(imports: Imports) -> dict[str, set[str]]:
    """The imports with all jobs as one package."""
    whole: dict[str, set[str]] = {}
    for package, targets in imports.items():
        first = package.split(".")[0]
        whole.setdefault(first, set()).update(target.split(".")[0] for target in targets)
    return {package: targets - {package} for package, targets in whole.items()}


def arrows(imports: Imports) -> list[tuple[str, str]]:
    """The imports that do not follow from others: a longer way down says the rest."""
    return [
        (package, target)
        for package, targets in sorted(imports.items())
        for target in sorted(targets)
        if not any(target in reached(imports, other) for other in targets - {target})
    ]


def idea_of(package: str) -> str:
    """The first sentence of a package or module."""
    path = ROOT / "nanomg" / package.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\w)\. |\.?\n|\.$", text)[0].rstrip(".")


# ---------------------------------------------------------------- where it lies
WIDTH, MARGIN = 900.0, 24.0
GAP = 16.0  # between boxes of a floor
PASSAGE = 16.0  # width of an arrow that passes a floor
BETWEEN = 26.0  # height between floors
LINE = 14.0  # height of a line of text
NAME = 20.0  # and of a name
PADDING = 7.0


class Box(NamedTuple):
    """A rectangle: its left upper corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The middle between left and right."""
        return self.x + self.width / 2


def lines_of(idea: str, width: float) -> list[str]:
    """An idea in lines of a box."""
    return textwrap.wrap(idea, int(width / 5.7))


def height_of(ideas: Iterable[str], width: float) -> float:
    """Height of boxes that are as high as the highest of them."""
    return NAME + 2 * PADDING + LINE * max(len(lines_of(idea, width - 2 * PADDING)) for idea in ideas)


def inside_jobs(width: float) -> tuple[dict[str, Box], float]:
    """The boxes in that of the jobs, which starts at (0, 0), and its height."""
    y, boxes = NAME + PADDING + 4, {}
    rows = floors(f"nanomg.{JOBS}")
    most = max(map(len, rows))
    one = (width - GAP * (most + 1)) / most
    for row in rows:
        names = [f"{JOBS}.{name}" for name in row]
        height = height_of(map(idea_of, names), one)
        left = (width - len(row) * one - (len(row) - 1) * GAP) / 2
        boxes |= {name: Box(left + i * (one + GAP), y, one, height) for i, name in enumerate(names)}
        y += height + 22
    return boxes, y - 22 + 12


def widths_of(names: Sequence[str]) -> dict[str, float]:
    """The widths of boxes and passages of a floor, as wide as is pleasant and as there is room for."""
    passing = [name for name in names if ">" in name]
    boxes = [name for name in names if ">" not in name]
    room = WIDTH - 2 * (MARGIN + GAP) - len(passing) * PASSAGE - (len(names) - 1) * GAP
    most = 812.0 if boxes == [JOBS] else {1: 430.0, 2: 310.0}.get(len(boxes), 236.0)
    return dict.fromkeys(passing, PASSAGE) | dict.fromkeys(boxes, min(most, room / len(boxes)))


class Route(NamedTuple):
    """An arrow and the places on each floor between, by name, that it passes."""

    arrow: tuple[str, str]
    passages: tuple[str, ...]

    @property
    def stops(self) -> tuple[str, ...]:
        """All places from the first to the last."""
        return (self.arrow[0], *self.passages, self.arrow[1])


def routes(levels: Sequence[Sequence[str]], edges: Iterable[tuple[str, str]]) -> list[Route]:
    """Each arrow with its places on the floors that it passes; arrows within a floor have none."""
    level = {name: i for i, names in enumerate(levels) for name in names}
    return [Route((a, b), tuple(f"{a}>{b}@{i}" for i in range(level[a] + 1, level[b]))) for a, b in edges if a in level]


def crossings(orders: Sequence[Sequence[str]], steps: Sequence[Sequence[tuple[str, str]]]) -> int:
    """How often arrows cross between neighbouring floors."""
    count = 0
    for upper, lower, between in zip(orders, orders[1:], steps, strict=False):
        above, below = ({name: i for i, name in enumerate(names)} for names in (upper, lower))
        ends = [(above[a], below[b]) for a, b in between]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(ends, 2))
    return count


def ordered(levels: Sequence[Sequence[str]], ways: Sequence[Route]) -> list[list[str]]:
    """The floors with their passages, in an order in which few arrows cross."""
    level = {name: i for i, names in enumerate(levels) for name in names}
    orders = [list(names) for names in levels]
    steps: list[list[tuple[str, str]]] = [[] for _ in levels]
    for way in ways:
        start = level[way.arrow[0]]
        for i, name in enumerate(way.passages):
            orders[start + 1 + i].append(name)
        if level[way.arrow[1]] > start:
            for i, step in enumerate(itertools.pairwise(way.stops)):
                steps[start + i].append(step)
    rng = random.Random(1)
    best = crossings(orders, steps)
    for _ in range(6000):
        i = rng.randrange(len(orders))
        if len(orders[i]) < 2:
            continue
        old, new = orders[i], list(orders[i])
        new.insert(rng.randrange(len(new)), new.pop(rng.randrange(len(new))))
        orders[i] = new
        count = crossings(orders, steps)
        best, orders[i] = (count, new) if count <= best else (best, old)
    return orders


def rising(values: Sequence[float]) -> list[float]:
    """The nearest values that never fall, by least squares."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            before, size = blocks.pop()
            mean, count = (before * size + mean * count) / (size + count), size + count
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]


def placed(orders: Sequence[Sequence[str]], ways: Sequence[Route], widths: Mapping[str, float]) -> dict[str, float]:
    """The middle of every box and passage, near those that it is joined with, without overlap."""
    joins: dict[str, list[tuple[str, float]]] = {name: [] for names in orders for name in names}
    for way in ways:
        for a, b in itertools.pairwise(way.stops):
            weight = 8.0 if ">" in a and ">" in b else 1.0  # an arrow that passes several floors should be straight
            joins[a].append((b, weight))
            joins[b].append((a, weight))
    middles = dict.fromkeys(joins, WIDTH / 2)
    spans = []  # of each floor: where each middle lies if all are as far left as they can be
    for names in orders:
        sizes = [widths[name] for name in names]
        starts = list(itertools.accumulate([0.0, *(size + GAP for size in sizes[:-1])]))
        spans.append(([start + size / 2 for start, size in zip(starts, sizes, strict=True)], starts[-1] + sizes[-1]))
    for turn in range(120):
        for names, (offsets, length) in list(zip(orders, spans, strict=True))[:: 1 if turn % 2 else -1]:
            pull = [
                sum(weight * middles[other] for other, weight in joins[name]) / sum(weight for _, weight in joins[name])
                for name in names
            ]
            if all(">" not in name for name in names):
                pull = [
                    p - sum(pull) / len(pull) + WIDTH / 2 for p in pull
                ]  # a floor of boxes alone lies in the middle
            shifts = rising([p - offset for p, offset in zip(pull, offsets, strict=True)])
            low, high = MARGIN + GAP, WIDTH - MARGIN - GAP - length
            for name, shift, offset in zip(names, shifts, offsets, strict=True):
                middles[name] = min(max(shift, low), high) + offset
    return middles


# ---------------------------------------------------------------- how it looks
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
INK, GREY, ARROW = "#1f2933", "#52606d", "#6b7a90"


def tint(name: str, share: float, lightness: float) -> str:
    """A colour between blue on the top floor and green on the ground floor; the science has its own."""
    hue = 38 if name == SCIENCE else 225 - 75 * share
    return f"hsl({hue:.0f}, {70 if name == SCIENCE else 45}%, {lightness:.0f}%)"


def box_svg(box: Box, name: str, fill: str, edge: str, size: float = 14.0) -> list[str]:
    """A box with its name and its idea."""
    lines = lines_of(idea_of(name), box.width - 2 * PADDING)
    x, y = box.middle, box.y + PADDING + size
    shown = name.removeprefix(f"{JOBS}.")
    svg = [
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7" '
        f'fill="{fill}" stroke="{edge}"/>',
        f'<text x="{x:.1f}" y="{y:.1f}" class="name" font-size="{size:g}">{html.escape(shown)}</text>',
    ]
    for i, line in enumerate(lines):
        svg.append(f'<text x="{x:.1f}" y="{y + 3 + LINE * (i + 1):.1f}" class="idea">{html.escape(line)}</text>')
    return svg


def curve(points: Sequence[tuple[float, float]]) -> str:
    """A smooth line down through points, with an arrow at its end."""
    (x, y), *rest = points
    path = [f"M{x:.1f},{y:.1f}"]
    for to_x, to_y in rest:
        bend = (to_y - y) / 2
        path.append(f"C{x:.1f},{y + bend:.1f} {to_x:.1f},{to_y - bend:.1f} {to_x:.1f},{to_y:.1f}")
        x, y = to_x, to_y
    return f'<path d="{" ".join(path)}" class="arrow" marker-end="url(#head)"/>'


def spread(box: Box, others: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Where arrows meet an edge of a box: side by side, in the order of where they go to, no further apart than need be."""
    names = [name for _, name in sorted(others)]
    step = min(26.0, box.width / (len(names) + 1))
    return {name: box.middle + (i - (len(names) - 1) / 2) * step for i, name in enumerate(names)}


def connected(boxes: Mapping[str, Box], ways: Sequence[Route], passages: Mapping[str, Box]) -> list[str]:
    """The arrows, which pass floors at their passages."""
    places = {**boxes, **passages}
    key = "{0}>{1}".format
    leave, arrive = {}, {}
    for name, box in boxes.items():
        downs = [(places[way.stops[1]].middle, key(*way.arrow)) for way in ways if way.arrow[0] == name]
        ups = [(places[way.stops[-2]].middle, key(*way.arrow)) for way in ways if way.arrow[1] == name]
        leave |= spread(box, downs)
        arrive |= spread(box, ups)
    svg = []
    for way in ways:
        start, end = boxes[way.arrow[0]], boxes[way.arrow[1]]
        points = [(leave[key(*way.arrow)], start.y + start.height)]
        for passage in (passages[name] for name in way.passages):
            points += [(passage.middle, passage.y), (passage.middle, passage.y + passage.height)]
        points.append((arrive[key(*way.arrow)], end.y - 5))
        svg.append(curve(points))
    return svg


def beside_rows(boxes: Mapping[str, Box], rows: Sequence[Sequence[str]], ways: Sequence[Route]) -> dict[str, Box]:
    """Passages past rows of boxes, on the side that is nearer to where the arrow begins."""
    places = {}
    for way in ways:
        for passage in way.passages:
            row = [boxes[name] for name in rows[int(passage.rpartition("@")[2])]]
            left, right = row[0].x - PASSAGE, row[-1].x + row[-1].width
            begins = boxes[way.arrow[0]].middle
            x = left if begins - left < right - begins else right
            places[passage] = Box(x, row[0].y, PASSAGE, row[0].height)
    return places


def drawing(imports: Imports) -> str:
    """The picture of the imports, as SVG."""
    levels, whole = floors(), joined(imports)
    level = {name: i for i, names in enumerate(levels) for name in names}
    ways = routes(levels, [(a, b) for a, b in arrows(whole) if level[a] < level[b]])
    orders = ordered(levels, ways)
    widths = dict(itertools.chain(*(widths_of(names).items() for names in orders)))
    middles = placed(orders, ways, widths)

    boxes, passages, back, front = {}, {}, [], []
    jobs, jobs_height = inside_jobs(widths[JOBS])
    y = MARGIN
    for i, names in enumerate(levels):
        share = i / (len(levels) - 1)
        high = jobs_height if JOBS in names else height_of(map(idea_of, names), widths[names[0]])
        back.append(
            f'<rect x="{MARGIN:g}" y="{y - 8:.1f}" width="{WIDTH - 2 * MARGIN:g}" height="{high + 16:.1f}" rx="10" '
            f'fill="{tint(names[0], share, 95)}"/>'
        )
        for name in orders[i]:
            box = Box(middles[name] - widths[name] / 2, y, widths[name], high)
            if ">" in name:
                passages[name] = box
                continue
            boxes[name] = box
            if name == JOBS:
                front += box_svg(box._replace(height=NAME), name, "none", "none")[1:2]
                back.append(
                    f'<rect x="{box.x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{high:.1f}" rx="9" '
                    f'fill="{tint(name, share, 92)}" stroke="{tint(name, share, 55)}"/>'
                )
                inner = {n: Box(b.x + box.x, b.y + y, b.width, b.height) for n, b in jobs.items()}
                for each in inner:
                    front += box_svg(inner[each], each, "white", tint(name, share, 60), 13.0)
                among = {n: {t for t in imports[n] if t in inner} for n in inner}
                rows = [[f"{JOBS}.{name}" for name in row] for row in floors(f"nanomg.{JOBS}")]
                inward = routes(rows, arrows(among))
                front += connected(inner, inward, beside_rows(inner, rows, inward))
            else:
                front += box_svg(box, name, "white", tint(name, share, 55))
        y += high + BETWEEN + 12
    height = y - BETWEEN + MARGIN + 26
    shown, count = len(ways), sum(map(len, whole.values()))
    note = (
        f"{shown} of {count} imports between packages are drawn; each of the others runs down along drawn arrows. "
        "No import runs up."
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:.0f}" width="{WIDTH:g}" '
            f'height="{height:.0f}" font-family="{FONT}">',
            "<title>The packages of nanomg on their floors, and what imports what</title>",
            f"<metadata>\n{html.escape(listed(imports))}\n</metadata>",
            "<style>text{text-anchor:middle}"
            f".name{{font-weight:600;fill:{INK}}}.idea{{font-size:11px;fill:{GREY}}}"
            f".arrow{{fill:none;stroke:{ARROW};stroke-width:1.2}}</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0,0.8 L8,4 L0,7.2 z" fill="{ARROW}"/></marker></defs>',
            f'<rect width="{WIDTH:g}" height="{height:.0f}" fill="white"/>',
            *back,
            *connected(boxes, ways, passages),
            *front,
            f'<text x="{WIDTH / 2:g}" y="{height - 16:.0f}" class="idea">{html.escape(note)}</text>',
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    DRAWING.write_text(drawing(imports_of_packages()), encoding="utf-8")
