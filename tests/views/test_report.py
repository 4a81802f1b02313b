"""Kind of truth: the page read back gives the numbers and the words of the file, as text, whatever the file holds or lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import nanomg
from nanomg.cli.main import commands
from nanomg.errors import InputError
from nanomg.formatting import format_number
from nanomg.page import browser
from nanomg.results import file as result_file
from nanomg.views import report

NASTY = """</script><script>alert(1)</script><img src=x onerror="alert('2')">&amp;"""
VOID = {"meta", "link", "img", "br"}
Change = Callable[[dict[str, xr.Dataset], dict[str, Any]], object]


class Page(HTMLParser):
    """A page read back: elements with their attributes and the text inside them."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(self.elements[-1][2])

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for text in self._open:
            text.append(data)

    def find(self, tag: str, **attributes: str) -> Iterator[tuple[dict[str, str | None], str]]:
        for name, found, text in self.elements:
            if name == tag and attributes.items() <= found.items():
                yield found, "".join(text)

    @property
    def text(self) -> str:
        return " ".join("".join(next(self.find("body"))[1]).split())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "run.h5"
    nanomg.simulate("textbook-1cpt", output=path, command="nanomg simulate textbook-1cpt -o run.h5")
    return path


@pytest.fixture(scope="module")
def html(file: Path) -> str:
    made = report.report(file)
    return Path(made["page"]).read_text(encoding="utf-8")


def changed(file: Path, target: Path, change: Change) -> Page:
    """The page of a copy of the file with other groups and attributes."""
    tree = result_file.open(file)
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    attributes = {key: result_file._from_hdf5(value) for key, value in tree.attrs.items() if not key.startswith("_")}
    change(groups, attributes)
    result_file.write(target, groups, attributes)
    return Page(Path(report.report(target)["page"]).read_text(encoding="utf-8"))


# ---------------------------------------------------------------- what the page says
def test_numbers_of_page_summary_and_file_agree(file: Path, html: str) -> None:
    page, summary = Page(html), result_file.read_summary(file)
    assert json.loads(next(page.find("script", id="summary"))[1]) == summary
    keyed = [(tag, text) for _, tag, text in page.elements if tag.get("data-key")]
    assert len(keyed) >= 5
    for attributes, text in keyed:
        at: Any = summary
        for step in str(attributes["data-key"]).split("/"):
            at = at[int(step) if isinstance(at, list) else step]
        assert float(str(attributes["data-value"])) == at
        assert "".join(text).startswith(format_number(at))
    highest = next(page.find("td", **{"data-key": "signals/pk.C/max"}))[0]["data-value"]
    tree = result_file.open(file)
    course = tree["simulation/pk.C"]
    assert float(str(highest)) == pytest.approx(float(course.max()), rel=1e-12)
    shown = {float(str(a["data-value"])) for a, _ in page.find("td") if a.get("data-value")}
    assert set(tree["doses/amt"].values.ravel()) <= shown
    assert set(tree["parameters/value"].values) <= shown


def test_the_answer_is_the_verdict_of_the_summary(file: Path, html: str) -> None:
    said = next(Page(html).find("p", **{"class": "lead"}))[1]
    assert said == result_file.read_summary(file)["verdict"]
    assert CliRunner().invoke(commands, ["report", str(file), "--force"]).stdout.startswith(said)


def test_how_to_run_it_again(file: Path, html: str) -> None:
    text, attributes = Page(html).text, result_file.read_attributes(file)
    for key in ("config_hash", "model_hash", "id", "date_created"):
        assert attributes[key] in text
    assert (
        "nanomg simulate textbook-1cpt -o run.h5" in text
        and f"jax {json.loads(attributes['package_versions_json'])['jax']}" in text
    )


def test_nothing_is_left_out_of_a_whole_file(html: str) -> None:
    text = Page(html).text
    assert "left out" not in text.lower() and "another version" not in text and "is not known" not in text


def test_the_page_is_small_and_needs_nothing_else(html: str) -> None:
    assert len(html.encode()) < 3_000_000
    links = [value for _, tag, _ in Page(html).elements for key, value in tag.items() if key in ("src", "href")]
    assert links and all(str(link).startswith(("data:", "#")) for link in links)
    assert "@import" not in html and "url(" not in html


def test_texts_that_look_like_markup_are_text(file: Path, html: str, tmp_path: Path) -> None:
    def spoil(groups: dict[str, xr.Dataset], attributes: dict[str, Any]) -> None:
        config, summary = json.loads(attributes["config_json"]), json.loads(attributes["summary_json"])
        config["file"] |= {"description": NASTY, "limit": [{"name": NASTY, "signal": "pk.C", "max": "1 mg/L"}]}
        summary |= {"verdict": NASTY, "scenario": NASTY, "title": NASTY}
        summary["signals"][NASTY] = summary["signals"]["pk.C"]
        attributes |= {"title": NASTY, "history": f"now {NASTY}", "device": NASTY, "rng_seed": 7}
        attributes |= {"config_json": json.dumps(config), "summary_json": json.dumps(summary)}
        groups["parameters"]["source"].values[0] = NASTY
        groups["doses"]["cmt"].values[:] = NASTY
        groups["doses"]["unit"].values[:] = NASTY
        groups["simulation"]["pk.C"].attrs["long_name"] = NASTY

    page = changed(file, tmp_path / "x.h5", spoil)
    whole = " ".join(NASTY.split())
    assert page.text.count(whole) > 10
    assert next(page.find("p", **{"class": "lead"}))[1] == NASTY and next(page.find("h1"))[1] == NASTY
    plain = Page(html)
    count = lambda p, tag: len(list(p.find(tag)))
    assert count(page, "script") <= count(plain, "script") and all(tag.get("alt") for tag, _ in page.find("img"))
    assert not any(key.startswith("on") for _, tag, _ in page.elements for key in tag)


# ---------------------------------------------------------------- what is not there
@pytest.mark.parametrize("gone", ["simulation", "doses", "parameters"])
def test_a_file_without_a_group_says_so(file: Path, tmp_path: Path, gone: str) -> None:
    page = changed(file, tmp_path / "x.h5", lambda groups, _: groups.pop(gone))
    assert f"The file lacks {gone}" in page.text and len(list(page.find("table"))) > 1


@pytest.mark.parametrize("gone", ["summary_json", "config_json", "package_versions_json", "title", "history"])
def test_a_file_without_an_attribute_still_has_a_page(file: Path, tmp_path: Path, gone: str) -> None:
    page = changed(file, tmp_path / "x.h5", lambda _, attributes: attributes.pop(gone))
    assert "Run it again" in page.text
    assert ("has no summary" in page.text) == (gone == "summary_json")


def test_an_older_schema_says_so(file: Path, tmp_path: Path) -> None:
    page = changed(file, tmp_path / "x.h5", lambda _, attributes: attributes.update(nanomg_schema_version=0))
    assert "schema version 0" in page.text and "There is no figure, because" in page.text
    with pytest.raises(InputError, match="make it again"):
        result_file.open(tmp_path / "x.h5")


def test_where_every_trajectory_failed_the_page_says_so(file: Path, tmp_path: Path) -> None:
    def fail(groups: dict[str, xr.Dataset], attributes: dict[str, Any]) -> None:
        summary = json.loads(attributes["summary_json"])
        summary["status"] = {"code": 2, "reason": "too many steps", "failed": 1, "trajectories": 1}
        summary["verdict"] = "No conclusion: a trajectory of this regimen failed."
        summary["signals"] = {
            n: {k: v if isinstance(v, str) else None for k, v in s.items()} for n, s in summary["signals"].items()
        }
        attributes["summary_json"] = json.dumps(summary)
        for variable in groups["simulation"].data_vars.values():
            if variable.dtype.kind == "f":
                variable.values[:] = np.nan

    page = changed(file, tmp_path / "x.h5", fail)
    assert "Every trajectory failed (too many steps)" in page.text and "No conclusion" in page.text


def test_a_result_in_memory_has_a_page_where_it_is_named(file: Path, tmp_path: Path) -> None:
    tree = result_file.open(file)
    with pytest.raises(InputError, match="name the page"):
        report.report(tree)
    assert report.report(tree, tmp_path / "page.html")["verdict"] == result_file.read_summary(file)["verdict"]


def test_an_optimum_says_what_was_before(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation dressed up as the result of a search, which would take long."""
    monkeypatch.setattr(report, "_pictures", lambda tree: iter(()))

    def dress(groups: dict[str, xr.Dataset], attributes: dict[str, Any]) -> None:
        for name in ("simulation", "doses"):
            both = xr.concat([groups[name].isel(regimen=0)] * 2, "regimen").assign_coords(
                regimen=["baseline", "optimum"]
            )
            groups[name] = both
        groups["optimization"] = xr.Dataset({"limit": ("constraint", [4.0])}, {"constraint": ["level"]})
        attributes["nanomg_job"] = "optimize"
        limit = {"name": "level", "limit": 4.0, "value": 3.999, "slack": 0.001, "unit": "mg/L"}
        attributes["summary_json"] = json.dumps(
            json.loads(attributes["summary_json"])
            | {"job": "optimize", "feasible": True, "converged": False, "objective": 1.5, "baseline_objective": 2.5}
            | {"evaluations": 12, "seconds": 1.0, "kkt_residual": 0.1, "baseline_regimen": []}
            | {
                "terms": {"burden": {"baseline": 2.5, "optimum": 1.5}},
                "constraints": [limit],
                "starts": [{"objective": o, "violation": 0.0, "feasible": True} for o in (1.5, 1.6, 1.7, 1.8)],
                "regimen": [],
            }
        )

    page = changed(file, tmp_path / "x.h5", dress)
    assert "Regimen “optimum”" in page.text and "Regimen “baseline”" in page.text
    assert "baseline: 2.5" in page.text and "before it converged" in page.text and "--steps 6" in page.text
    assert "Another value of the limit “level”: it is active at 4 mg/L." in page.text


# ---------------------------------------------------------------- how large it is
def test_a_page_is_small_whatever_is_in_the_file(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_PICTURES", 1)

    def stuff(groups: dict[str, xr.Dataset], attributes: dict[str, Any]) -> None:
        config, summary = json.loads(attributes["config_json"]), json.loads(attributes["summary_json"])
        config |= {"events": {"name": "doses.csv", "text": "1,0,1,100\n" * 300_000}, "values": list(range(100_000))}
        config["dose"] = [f"pk.depot: {i} mg" for i in range(20_000)]
        rise, hours = (
            {"value": 0.1, "unit": "mmol/L"},
            {f"hours_per_day_above_{level}": {"H1": 0.0} for level in ("0.02", "0.3")},
        )
        effect = {"mean_competence_gain": {"H1": 0.1}, "mean_rise": rise, "peak_rise": rise, **hours}
        effect |= {"share_serum": None, "share_local": None, "free": None}
        summary["mg_of_subjects"] = {str(i): effect for i in range(20_000)}
        summary["status"]["failed_subjects"] = {str(i): {"failed": 1, "reason": "why"} for i in range(10_000)}
        summary["signals"] |= {f"signal {i}": summary["signals"]["pk.C"] for i in range(5_000)}
        attributes |= {"config_json": json.dumps(config), "summary_json": json.dumps(summary)}
        attributes["history"] = "now " + "nanomg simulate " * 100_000

    page = changed(file, tmp_path / "x.h5", stuff)
    assert (tmp_path / "x.html").stat().st_size < 3_000_000
    assert "and 99,980 more" in page.text and "(the first 500 of 20," in page.text and "and 9,950 more." in page.text
    assert "Left out, so that the page stays small; nanomg plot draws them:" in page.text and not [*page.find("img")]
    held = json.loads(next(page.find("script", id="summary"))[1])
    assert held["verdict"] and set(held["left_out_of_this_page"]) == {"mg_of_subjects", "signals"}


# ---------------------------------------------------------------- the command
def test_the_command(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    run = lambda *options: CliRunner().invoke(commands, ["report", str(file), "-o", str(page), *options])
    made = json.loads(run("--json").stdout)
    assert made["kind"] == "simulate" and made["bytes"] == page.stat().st_size and made["pdf"] is None
    assert "the file exists" in str(run().exception)
    before = page.read_bytes()
    monkeypatch.setattr(browser, "find", lambda: None)
    refused = run("--pdf", "--force")
    assert isinstance(refused.exception, InputError) and "no browser is installed" in refused.exception.message
    assert page.read_bytes() == before and not page.with_suffix(".pdf").exists()


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("page.pdf", {"pdf": True}, "its name must end with .html"),
        ("page.pdf", {}, "its name must end with .html"),
        ("page", {}, "its name must end with .html"),
        ("run.h5", {}, "its name must end with .html"),
        ("run.html", {}, "this is the result file;"),
        ("link.html", {}, "this is the result file;"),
        ("RUN.HTM", {}, ""),
    ],
)
def test_a_page_replaces_no_other_kind_of_file(
    file: Path, tmp_path: Path, name: str, options: dict[str, Any], told: str
) -> None:
    result = tmp_path / ("run.html" if name in ("run.html", "link.html") else "run.h5")
    result.write_bytes(file.read_bytes())
    (tmp_path / "link.html").symlink_to(result)
    if not told:
        assert Path(report.report(result, tmp_path / name)["page"]).read_text().startswith("<!DOCTYPE html>")
        return
    with pytest.raises(InputError, match=told):
        report.report(result, tmp_path / name, force=True, **options)
    assert result.read_bytes() == file.read_bytes() and {f.name for f in tmp_path.iterdir()} == {
        "link.html",
        result.name,
    }


# ---------------------------------------------------------------- in a browser
needs_browser = pytest.mark.skipif(
    browser.find() is None, reason=f"no browser is installed ({', '.join(browser.NAMES)})"
)
PROBE = """<script>
addEventListener("load", () => {
  const canvas = document.querySelector(".canvas"), box = canvas.querySelector("img").getBoundingClientRect();
  const [left, top, right, low] = JSON.parse(canvas.querySelector("script").textContent)[0].frame;
  canvas.dispatchEvent(new PointerEvent("pointermove", {
    clientX: box.left + box.width * (left + right) / 2, clientY: box.top + box.height * (top + low) / 2 }));
  parent.postMessage(JSON.stringify({
    width: innerWidth, needs: document.documentElement.scrollWidth, tip: canvas.querySelector(".tip").textContent,
    loaded: performance.getEntriesByType("resource").map(r => r.name).filter(name => !name.startsWith("data:")),
    broken: [...document.images].filter(image => !image.naturalWidth).length }), "*");
});
</script></body>"""
FRAME = """<!DOCTYPE html><iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe><pre></pre>
<script>onmessage = event => {{ document.querySelector("pre").textContent = event.data; }};</script>"""  # windows are wider


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_nothing_is_loaded_complained_of_or_cut(html: str, tmp_path: Path, width: int) -> None:
    (tmp_path / "page.html").write_text(html.replace("</body>", PROBE), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    quiet = ("--window-size=1400,1000", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom")
    done = browser.run([*quiet, (tmp_path / "frame.html").as_uri()])
    assert "CONSOLE" not in done.stderr, done.stderr
    found = json.loads(next(Page(done.stdout).find("pre"))[1])
    assert found["width"] == width and found["needs"] <= width
    assert found["loaded"] == [] and found["broken"] == 0
    assert re.search(r"central compartment.*\[mg/L\]: \d.*\ntime", found["tip"])


@needs_browser
def test_it_is_printed(file: Path, tmp_path: Path) -> None:
    made = report.report(file, tmp_path / "page.html", pdf=True)
    assert Path(made["pdf"]).read_bytes().startswith(b"%PDF")
