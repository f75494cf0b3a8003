"""The page of a run in a real browser, in both colour schemes: sorting, filtering, large pictures."""

import re
from pathlib import Path

import pytest

from tests.reports.browser import EVIL, PIXEL, ask_page, with_browser
from vossegcli.reports.run_page import Distribution, ObjectCurves, PageItem, RunPage, Shot, Span, run_page

SCRIPT = """
const errors = [];
addEventListener("error", e => errors.push(String(e.message)));
addEventListener("securitypolicyviolation", e => errors.push(e.blockedURI));
addEventListener("load", () => {
  const names = () => [...document.querySelectorAll("#rows tbody tr")].filter(r => !r.hidden).map(r => r.dataset.name);
  const shown = tag => [...document.querySelectorAll(tag + "[data-name]")].filter(e => !e.hidden).length;
  const found = {start: names(), dark: matchMedia("(prefers-color-scheme: dark)").matches};
  const head = text => [...document.querySelectorAll("#rows th button")].find(b => b.textContent === text);
  head("score").click(); found.up = names();
  head("score").click(); found.down = names();
  head("name").click(); found.named = names();
  const filter = document.getElementById("filter"), doubtful = document.getElementById("doubtful");
  filter.value = "CLIP2"; filter.dispatchEvent(new Event("input"));
  found.filtered = names(); found.sections = shown("section");
  found.count = document.getElementById("count").textContent;
  filter.value = ""; doubtful.checked = true; doubtful.dispatchEvent(new Event("change"));
  found.doubtful = names(); found.pictures = shown(".gallery div");
  doubtful.checked = false; doubtful.dispatchEvent(new Event("change"));
  document.querySelector(".strip .shot.review button").click();
  const large = document.getElementById("large");
  found.large = [large.open, large.querySelector("img").getAttribute("src"), large.querySelector("p").textContent];
  large.click(); found.closed = !large.open;
  found.wide = document.documentElement.scrollWidth > innerWidth;
  found.ink = getComputedStyle(document.body).color.match(/\\d+/g).map(Number);
  found.requests = performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:"));
  found.errors = errors;
  document.title = "RESULT" + JSON.stringify(found) + "END";
});
"""


def video(name: str, score: float, review: int) -> PageItem:
    shots = tuple(Shot(f"{k:05d}", PIXEL, "first" if k == 0 else "", review=review > 0 and k == 3) for k in range(6))
    curves = (ObjectCurves("1", "#c00", (4.0, 5.0, 0.0), (0.9, score, 0.8)),)
    return PageItem(
        name, "done", 6, 1.5, None, (EVIL,), {"score": score}, review, shots, curves, (Span("1", "#0c0", 0, 1),)
    )


def page() -> str:
    videos = [video("clip10", 0.9, 0), video("clip2", 0.4, 2), video(EVIL, 0.7, 0)]
    image = PageItem("photo", "done", 1, 0.2, numbers={"score": 0.95}, review=1, shots=(Shot("", PIXEL, ""),))
    failed = PageItem("broken", "failed", 0, 0.0, f"cannot be read {EVIL}")
    bars = Distribution("Area", tuple((float(k), k * k) for k in range(20)), 20.0)
    facts = {"command": EVIL, "checkpoint": "net"}
    return run_page(RunPage(EVIL, facts, {"done": 4, "failed": 1}, (*videos, image, failed), (bars,), "vosseg report"))


def test_a_histogram_names_both_ends() -> None:
    labels = re.findall(r'<text class="axis"[^>]*>([^<]*)</text>', page())
    assert labels == ["0", "5", "10", "15", "20"]


def test_names_that_are_not_utf_8_are_shown() -> None:
    page_of_bytes = run_page(RunPage("clip", {"input": "f\udcff"}, {}, ()))
    assert "f?" in page_of_bytes
    page_of_bytes.encode("utf-8")


def test_names_cannot_break_out() -> None:
    html = page()
    assert "<img src=x" not in html
    assert html.count("</script>") == 1
    assert "default-src 'none'" in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)


@with_browser
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_works_in_a_browser(tmp_path: Path, scheme: str) -> None:
    html = page()
    look = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    found = ask_page(html, SCRIPT, tmp_path, look, seconds=300.0)
    assert found["start"] == ["clip10", "clip2", EVIL, "photo", "broken"]
    assert found["up"] == ["broken", "clip2", EVIL, "clip10", "photo"]
    assert found["down"] == found["up"][::-1]
    assert found["named"].index("clip2") < found["named"].index("clip10"), "numbers in names count as numbers"
    assert (found["filtered"], found["sections"], found["count"]) == (["clip2"], 1, "1 of 5")
    assert set(found["doubtful"]) == {"clip2", "photo"}
    assert found["pictures"] == 1
    assert found["large"] == [True, PIXEL, "clip2 / 00003"]
    assert found["closed"]
    assert not found["wide"], "nothing reaches beyond the window"
    assert found["dark"] == (scheme == "dark")
    assert (min(found["ink"][:3]) > 200) == (scheme == "dark"), "light letters on dark, dark ones on light"
    assert found["requests"] == []
    assert found["errors"] == []
