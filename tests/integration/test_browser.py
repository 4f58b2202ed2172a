"""Reports and the live view in a real browser; skipped where there is no Chromium or playwright."""

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from PIL import Image

from scene_r1_cli.run_dir import RunDir
from tests.integration import FEW
from tests.pages import HOSTILE, write_evaluation, write_training

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
READY = "[data-ready=yes]"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a ground, a qa, an evaluate and a training run, and of an evaluation of 1,000 queries."""
    root = tmp_path_factory.mktemp("runs")
    common = ["--store", str(root / "store"), "--quiet"]
    for name, arguments in {
        "ground": ["demo"],
        "qa": ["qa", "demo", "how many <b>chairs</b>?"],
        "evaluate": ["evaluate", "--rooms", "2", "--task", "ground", "--limit", "6", *FEW],
    }.items():
        command = [*SCENER1, *arguments, *common, "--out", str(root / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode in (0, 5), done.stderr
    write_training(RunDir(root / "train"))
    write_evaluation(RunDir(root / "thousand"), 1_000)
    return root


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def opened(browser, path, width=1440):
    """A page from ``file://`` that has said no error and asked for nothing but its own files."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"file://{path}")
    yield page, requests
    own = (f"file://{path.parent}/", "data:", "blob:")
    page.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(own)] == []


def page_of(runs, name):
    return runs / name / "report" / "index.html"


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("name", ["ground", "qa", "evaluate", "train", "thousand"])
def test_a_report_works_alone(runs, browser, name, width):
    with opened(browser, page_of(runs, name), width) as (page, _requests):
        if name in ("ground", "train"):
            page.wait_for_selector(READY, timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("[...document.images].every((i) => i.loading === 'lazy' || i.naturalWidth)")


def test_the_time_line_shows_span_and_truth(runs, browser):
    row = RunDir(runs / "ground", resume=True).read_predictions()[0]
    with opened(browser, page_of(runs, "ground")) as (page, _requests):
        bars = page.locator(".bar")
        assert bars.count() == 2
        part, whole = bars.first.locator("i").first.bounding_box(), bars.first.bounding_box()
        seconds = float(page.locator(".ends span").last.inner_text().split()[0])
        shown = (part["width"] / whole["width"]) * seconds
        assert shown == pytest.approx(row["span_s"][1] - row["span_s"][0], abs=0.2)


def test_the_3d_view_is_drawn_and_answers_to_its_controls(runs, browser):
    with opened(browser, page_of(runs, "ground"), 1000) as (page, _requests):
        page.wait_for_selector(READY, timeout=60_000)
        view = page.locator("#view3d")

        def picture():
            page.wait_for_timeout(700)
            return view.screenshot()

        pictures = [picture()]
        colors = Image.open(io.BytesIO(pictures[0])).convert("RGB").getcolors(maxcolors=2**24)
        assert colors is not None
        assert len(colors) > 500  # a blank canvas has one, boxes alone a few
        page.get_by_label("scene", exact=True).uncheck()
        pictures.append(picture())
        page.get_by_role("button", name="top").focus()
        page.keyboard.press("Enter")
        pictures.append(picture())
        view.focus()
        page.keyboard.press("ArrowLeft")
        pictures.append(picture())
        page.keyboard.press("+")
        pictures.append(picture())
        box = view.bounding_box()
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 260, steps=3)
        page.mouse.up()
        pictures.append(picture())
        assert all(before != after for before, after in itertools.pairwise(pictures))


def test_a_thousand_queries_are_filtered_ordered_and_loaded_as_needed(runs, browser):
    with opened(browser, page_of(runs, "thousand")) as (page, requests):
        rows = page.locator("#queries details")
        assert rows.count() == 50
        assert not any("/data-" in url for url in requests)
        page.locator("#more").click()
        assert rows.count() == 100
        page.locator("#filter").fill("number 777")
        assert rows.count() == 1
        rows.locator("summary").click()
        page.locator("#queries details[open] .bar").first.wait_for(timeout=10_000)
        assert [url.rpartition("/")[2] for url in requests if "/data-" in url] == ["data-007.js"]
        assert "number 777 because" in rows.locator("blockquote").inner_text()
        page.locator("#filter").fill("")
        page.locator("#stage").select_option("span")
        assert set(page.locator("#queries .tag").all_inner_texts()) == {"span"}
        page.locator("#stage").select_option("")
        page.locator("#order").select_option("best")
        scores = [float(text.split()[0]) for text in rows.locator("summary").all_inner_texts()]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_show_as_texts(runs, browser, text):
    with opened(browser, page_of(runs, "thousand"), 390) as (page, _requests):
        page.locator("#order").select_option("scene")
        row = page.locator("#queries details").nth(HOSTILE.index(text))
        assert text.strip()[:200] in row.locator("summary").text_content()
        row.locator("summary").click()
        assert text[:200] in row.locator("blockquote").text_content()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with opened(browser, page_of(runs, "train"), 390) as (page, _requests):
        assert text in page.locator("table").first.text_content()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_tags_in_a_question_are_text(runs, browser):
    with opened(browser, page_of(runs, "qa")) as (page, _requests):
        assert page.locator("h1").inner_text() == "how many <b>chairs</b>?"


@pytest.mark.parametrize("name", ["ground", "train", "thousand"])
def test_a_report_in_one_file_needs_nothing_else(runs, browser, name, tmp_path):
    file = tmp_path / "one.html"
    command = [*SCENER1, "runs", "export", str(runs / name), str(file)]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
    with opened(browser, file) as (page, requests):
        if name == "thousand":
            page.locator("#queries summary").first.click()
            page.locator("#queries details[open] .bar").first.wait_for(timeout=10_000)
        else:
            page.wait_for_selector(READY, timeout=60_000)
        assert [url for url in requests if url.startswith("file:")] == [f"file://{file}"]


def test_a_query_typed_in_the_live_view_gives_the_box_of_the_command_line(runs, browser):
    pytest.importorskip("viser")
    expected = RunDir(runs / "ground", resume=True).read_predictions()[0]
    store = str(runs / "store")
    command = [*SCENER1, "view", "demo", "--store", store, "--port", "18380", "--json"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    live = subprocess.Popen(command, cwd=runs, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        url = json.loads(live.stdout.readline())["url"]
        page = browser.new_page(viewport={"width": 900, "height": 600})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.get_by_role("button", name="Find").wait_for(timeout=120_000)
        page.get_by_text("Query", exact=True).locator("xpath=following::input[1]").fill(expected["query"])
        page.wait_for_timeout(1_000)  # the page sends what is typed a moment later
        page.get_by_role("button", name="Find").click()
        page.get_by_text("kept in runs/").wait_for(timeout=240_000)
        page.close()
    finally:
        live.terminate()
        live.wait(timeout=30)
    assert errors == []
    (path,) = (runs / "runs").glob("*_ground_*")
    found = RunDir(path, resume=True).read_predictions()[0]
    assert found["box3d"] == expected["box3d"]
    assert found["span_s"] == expected["span_s"]
    assert (path / "report" / "index.html").is_file()
