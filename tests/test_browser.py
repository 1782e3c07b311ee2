"""What a reader sees in TensorBoard, in a real browser: every split on one chart, and samples that can be read."""

from __future__ import annotations

import math
import os
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

import factorexe

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "examples" / "screenshot.py"
SPLITS = {"seen", "val", "ood"}
CURVES = {f"solved/{split}" for split in SPLITS} | {f"loss/{split}" for split in SPLITS | {"train"}}
FILTER = "tagFilter=" + quote("^(loss|solved)/")
STEPS, EVERY = 20, 5
TINY = {
    "task": "addition",
    "model": "transformer",
    "objective": "chain",
    "data.batch_size": 8,
    "data.eval_size": 12,
    "trainer.max_steps": STEPS,
    "trainer.val_check_interval": EVERY,
    "trainer.enable_progress_bar": False,
    "instruments": {"one-step-probe": {"every": EVERY}, "weight-and-logit": {"every": EVERY}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return factorexe.fit(TINY, preset="tiny", runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def tools():
    """What the example can do with TensorBoard and Chromium."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"{' and '.join(missing)} not found on PATH; as root: apt-get install chromium chromium-driver")
    return SimpleNamespace(**runpy.run_path(str(EXAMPLE)))


@pytest.fixture(scope="module")
def address(tools, run):
    with tools.tensorboard(run.path) as address:
        yield address


@pytest.fixture(scope="module")
def driver(tools):
    with tools.browser() as driver:
        yield driver


@pytest.fixture
def shown(tools, driver, address):
    """A function that opens a tab, on a page high enough to show all of it, and returns what a script finds there."""

    def shown_(tab, script):
        tools.resize(driver, 1400, 3000)
        driver.get("about:blank")  # the next address may differ in its fragment alone, which loads nothing
        driver.get(address + tab)
        return tools.wait(driver, script)

    return shown_


def test_the_time_series_hold_every_curve_up_to_the_last_step(shown):
    cards = shown(
        f"?{FILTER}#timeseries",
        f"""
        const cards = deep(document, 'scalar-card').map(card => ({{
            tag: card.querySelector('tb-truncated-path')?.title,
            cells: [...card.querySelectorAll('tb-data-table-content-cell')].map(cell => cell.innerText.trim()),
            canvas: card.querySelectorAll('line-chart canvas').length,
        }}));
        return cards.length == {len(CURVES)} && cards.every(card => card.cells.length) && cards;
        """,
    )
    assert {card["tag"] for card in cards} == CURVES
    assert all(str(STEPS) in card["cells"] and card["canvas"] for card in cards)


def test_scalars_draw_every_curve(shown):
    lines = shown(
        f"#scalars&{FILTER}",
        f"""
        const cards = deep(document, 'tf-scalar-card').filter(card => /^(loss|solved)[/]/.test(card.tag));
        const length = card => Math.max(0, ...deep(card.shadowRoot, 'path.line').map(line => line.getTotalLength()));
        const lines = cards.map(card => [card.tag, length(card)]);
        return lines.length == {len(CURVES)} && lines.every(([tag, length]) => length) && lines;
        """,
    )
    assert {tag for tag, _ in lines} == CURVES


def test_custom_scalars_draw_all_splits_on_one_chart(shown):
    charts = shown(
        "#custom_scalars&_smoothingWeight=0",
        """
        const charts = deep(document, 'tf-custom-scalar-multi-line-chart-card').map(card => ({
            title: card.title,
            legend: deep(card.shadowRoot, '.match-list-entry').map(entry => entry.textContent.trim().split(/\\s+/)[1]),
            symbols: deep(card.shadowRoot, '.match-entry-symbol').map(symbol => symbol.textContent.trim()),
            plots: deep(card.shadowRoot, 'vz-line-chart2').length,
            lines: deep(card.shadowRoot, 'path.line').filter(line => line.getTotalLength() > 0).length,
        }));
        const drawn = charts.filter(chart => chart.lines && chart.lines == chart.legend.length);
        const asked = ['solved', 'loss', 'decrease of the loss', 'norm of the weights'];
        return asked.every(one => drawn.some(chart => chart.title == one)) && charts;
        """,
    )
    (solved,) = [chart for chart in charts if chart["title"] == "solved"]
    assert set(solved["legend"]) == {f"solved/{split}" for split in SPLITS}
    assert (solved["plots"], solved["lines"], len(set(solved["symbols"]))) == (1, 3, 3)
    (loss,) = [chart for chart in charts if chart["title"] == "loss"]
    assert set(loss["legend"]) == {f"loss/{split}" for split in SPLITS | {"train"}}
    assert (loss["plots"], loss["lines"]) == (1, 4)
    assert not [chart for chart in charts if chart["title"] in ("answered", "m-coherence")]  # nothing to be seen there


def test_hparams_show_one_run_with_its_options_and_results(shown, run):
    cells = shown(
        "#hparams",
        """
        const cells = deep(document, 'vaadin-grid .table-cell').filter(cell => cell.offsetParent);
        const texts = cells.map(cell => cell.innerText.trim());
        return texts.includes('transformer') && texts.at(-1) && texts;
        """,
    )
    head, row = cells[: len(cells) // 2], cells[len(cells) // 2 :]
    found = dict(zip(head, row, strict=True))
    assert head[:2] == ["Trial ID", "Show Metrics"]
    assert float(found["batch_size"]) == 8
    assert float(found["max_steps"]) == STEPS
    assert found["model"] == "transformer"
    assert math.isclose(float(found["loss/val"]), run.result["loss"]["val"], rel_tol=1e-3)
    for split in SPLITS:
        assert math.isclose(float(found[f"solved/{split}"]), run.result["solved"][split]["final"], rel_tol=1e-3)


def test_the_samples_are_a_table_that_can_be_read(shown):
    tables = shown(
        "#text",
        f"""
        const tables = deep(document, 'tf-markdown-view').flatMap(view => deep(view.shadowRoot, 'table'))
            .filter(table => !table.querySelector('table') && table.getBoundingClientRect().height > 0);
        return tables.length == {STEPS // EVERY} && tables.map(table =>
            [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim())));
        """,
    )
    for head, *rows in tables:
        assert head == ["split", "problem", "chain", "answer", "right answer", "", "compute"]
        assert {row[0] for row in rows} == SPLITS
        assert all("+" in row[1] for row in rows)
        assert {row[5] for row in rows} <= {"right", "WRONG"}
        assert not any("|" in cell or "`" in cell for row in rows for cell in row)


def test_the_readmes_picture_can_be_taken(tools, driver, address, tmp_path):
    tools.photograph(driver, address, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
