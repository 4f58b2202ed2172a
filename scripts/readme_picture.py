"""Makes docs/demo.png, the picture in README.md, from the report of a run (needs the extra ``browser``).

scener1 demo --out runs/picture && python scripts/readme_picture.py runs/picture docs/demo.png
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, GAP, COLORS = 1060, 12, 160


def main(run: Path, out: Path) -> None:
    """Cut the head of the report (the sentence, when, where) and its 3D view, and put them together."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto((run.resolve() / "report" / "index.html").as_uri())
        page.wait_for_selector("[data-ready=yes]", timeout=60_000)
        page.add_style_tag(content="dl.facts { display: none } .view3d { height: 24rem !important }")
        page.get_by_role("button", name="to the box").click()
        page.wait_for_timeout(1_000)
        view = page.locator("#view3d").screenshot()
        bottom = page.evaluate(
            "document.querySelector('.pictures').getBoundingClientRect().bottom + window.scrollY"
        )
        height = int(bottom) + GAP
        head = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
        browser.close()
    top, below = (Image.open(io.BytesIO(data)).convert("RGB") for data in (head, view))
    sheet = Image.new("RGB", (WIDTH, top.height + below.height + GAP), "white")
    sheet.paste(top, (0, 0))
    sheet.paste(below, ((WIDTH - below.width) // 2, top.height))
    sheet.quantize(COLORS, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
