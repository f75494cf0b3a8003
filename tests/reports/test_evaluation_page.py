"""The page of an evaluation: nothing leaves it, names cannot break it, and it works in a real browser.

Covers: reports.evaluation, reports.rendering, types
"""

import json
import re
from pathlib import Path

from tests.reports.browser import EVIL, PIXEL, ask_page, with_browser
from vossegcli.metrics.vos import score_object, summarise
from vossegcli.reports.evaluation import compare, vos_report
from vossegcli.reports.evaluation_page import EMBEDDED_SCORES, Picture, evaluation_page
from vossegcli.scores import FrameScores, Problem, VosScores

SCRIPT = """
const errors = [];
addEventListener("error", e => errors.push(String(e.message)));
addEventListener("securitypolicyviolation", e => errors.push(e.blockedURI));
addEventListener("load", () => {
  const names = () => [...document.querySelectorAll("#rows tbody tr")].filter(r => !r.hidden).map(r => r.dataset.name);
  const found = {start: names()};
  const head = [...document.querySelectorAll("#rows th button")].find(b => b.textContent === "J-Mean");
  head.click(); found.up = names();
  head.click(); found.down = names();
  const filter = document.getElementById("filter");
  filter.value = "DOG"; filter.dispatchEvent(new Event("input"));
  found.filtered = names();
  found.curves = [...document.querySelectorAll("#curves figure")].filter(f => !f.hidden).length;
  filter.value = ""; filter.dispatchEvent(new Event("input"));
  const svg = document.querySelector("#curves figure svg"), box = svg.getBoundingClientRect();
  svg.dispatchEvent(new MouseEvent("click", {clientX: box.right - 1, clientY: box.top + 5, bubbles: true}));
  const pane = document.getElementById("shown");
  found.text = pane.textContent.trim();
  found.picture = pane.querySelector("img").getAttribute("src");
  found.requests = performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:"));
  found.errors = errors;
  document.title = "RESULT" + JSON.stringify(found) + "END";
});
"""


def scores(frames: int = 5, sequences: tuple[str, ...] = ("bear", "dog", EVIL)) -> VosScores:
    objects = []
    for k, name in enumerate(sequences):
        values = [((i + 1) / (frames + 1)) ** (k + 1) for i in range(frames)]
        rows = [(f"{i:05d}", FrameScores({1: (v, 0.5 * v)}, (1,), (1,))) for i, v in enumerate(values)]
        objects.append(score_object(name, 1, rows))
    problems = (Problem("missing", EVIL, "00001", "no mask"),)
    return VosScores("davis", summarise(objects), tuple(objects), problems, frames * len(sequences))


def page(frames: int = 5) -> str:
    report = vos_report(scores(frames))
    report["comparison"] = {"with": EVIL, **compare(report, report)}
    pictures = [Picture("bear", f"{frames - 1:05d}", "errors", PIXEL), Picture(EVIL, "00000", "errors", PIXEL)]
    return evaluation_page(report, pictures, pictures)


def test_names_cannot_break_out() -> None:
    html = page()
    assert "<img src=x" not in html
    assert html.count("</script>") == 2
    embedded = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert embedded is not None
    assert f"{EVIL}_1" in json.loads(embedded[1])["objects"]


def test_nothing_is_fetched() -> None:
    html = page()
    assert "default-src 'none'" in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "url(" not in html


def test_the_page_of_a_very_long_video_stays_small() -> None:
    html = page(frames=100_000)
    assert len(html) < 4_000_000
    embedded = re.search(r'id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert embedded is not None
    assert sum(len(row["J"]) for row in json.loads(embedded[1])["objects"].values()) * 2 <= EMBEDDED_SCORES


@with_browser
def test_it_works_in_a_browser(tmp_path: Path) -> None:
    html = page()
    found = ask_page(html, SCRIPT, tmp_path)
    assert found["start"] == ["bear_1", "dog_1", f"{EVIL}_1"]
    assert found["up"] == [f"{EVIL}_1", "dog_1", "bear_1"]
    assert found["down"] == found["start"]
    assert found["filtered"] == ["dog_1"]
    assert found["curves"] == 1
    assert found["text"].startswith("bear_1, frame 00004: J 0.833, F 0.417")
    assert found["picture"] == PIXEL
    assert found["requests"] == []
    assert found["errors"] == []
