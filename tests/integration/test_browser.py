"""Reports in a real browser, from ``file://``; skipped where there is no Chromium or playwright."""

import io
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.training.report import write_training_report

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a ground, a qa, an evaluate and a training run."""
    root = tmp_path_factory.mktemp("runs")
    common = ["--store", str(root / "store"), "--quiet"]
    for name, arguments in {
        "ground": ["demo"],
        "qa": ["qa", "demo", "how many <b>chairs</b>?"],
        "evaluate": ["evaluate", "--rooms", "2", "--task", "ground", "--limit", "6"],
    }.items():
        command = [*SCENER1, *arguments, *common, "--out", str(root / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode in (0, 5), done.stderr
    run = RunDir(root / "train")
    run.start("train-temporal", {}, [])
    for step in range(1, 60):
        run.append_training({"step": step, "reward": step / 60, "entropy": 0.5})
    write_training_report(run, "train-temporal", "pocket", "done")
    return root


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("name", ["ground", "qa", "evaluate", "train"])
def test_a_report_works_alone(runs, browser, name, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    folder = runs / name / "report"
    page.goto(f"file://{folder}/index.html")
    if name in ("ground", "train"):
        page.wait_for_selector("[data-ready=yes]", timeout=60_000)
    assert errors == []
    own = (f"file://{folder}/", "data:", "blob:")
    assert [url for url in requests if not url.startswith(own)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_the_3d_view_is_drawn_and_answers_to_its_controls(runs, browser):
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(f"file://{runs / 'ground' / 'report'}/index.html")
    page.wait_for_selector("[data-ready=yes]", timeout=60_000)
    view = page.locator("#view3d")

    def picture():
        page.wait_for_timeout(700)
        return view.screenshot()

    first = picture()
    colors = Image.open(io.BytesIO(first)).convert("RGB").getcolors(maxcolors=2**24)
    assert colors is not None
    assert len(colors) > 500  # a blank canvas has one, axes alone a few
    page.get_by_label("scene", exact=True).uncheck()
    without = picture()
    assert without != first
    page.get_by_role("button", name="top").focus()
    page.keyboard.press("Enter")
    assert picture() != without
    page.close()


def test_the_list_of_queries_can_be_filtered(runs, browser):
    page = browser.new_page()
    page.goto(f"file://{runs / 'evaluate' / 'report'}/index.html")
    assert page.locator("#queries details").count() == 6
    page.locator("#filter").fill("no such words")
    assert page.locator("#queries details").count() == 0
    page.locator("#filter").fill("")
    page.locator("#queries summary").first.click()
    page.locator("#queries details[open] .bar").first.wait_for(timeout=10_000)
    page.close()


def test_tags_in_a_question_are_text(runs, browser):
    page = browser.new_page()
    page.goto(f"file://{runs / 'qa' / 'report'}/index.html")
    assert page.locator("h1").inner_text() == "how many <b>chairs</b>?"
    page.close()


@pytest.mark.parametrize("name", ["ground", "train"])
def test_a_report_in_one_file_needs_nothing_else(runs, browser, name, tmp_path):
    file = tmp_path / "one.html"
    command = [*SCENER1, "runs", "export", str(runs / name), str(file)]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
    page = browser.new_page()
    errors, requests = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"file://{file}")
    page.wait_for_selector("[data-ready=yes]", timeout=60_000)
    assert errors == []
    assert [url for url in requests if not url.startswith((f"file://{file}", "data:", "blob:"))] == []
    page.close()
