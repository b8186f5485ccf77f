"""The pictures that the bench draws (bench/svg.py), and the one that is kept (doc/throughput.svg)."""

import importlib.util
import re
import xml.etree.ElementTree as xml

import pytest

from harness.binary import ROOT

NAMESPACE = "{http://www.w3.org/2000/svg}"
MARKS = ["circle", "polygon", "rect"]


def draw(*args):
    spec = importlib.util.spec_from_file_location("svg", ROOT / "bench/svg.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw(*args)


class Picture:
    def __init__(self, text):
        self.root = xml.fromstring(text)
        self.texts = [node.text for node in self.all("text")]

    def all(self, tag):
        return list(self.root.iter(NAMESPACE + tag))

    def lines(self, i):
        """The points of each panel's line i; the last is the legend's."""
        found = [node.get("points") for node in self.all("polyline") if node.get("class") == f"s{i}"]
        return [[tuple(map(float, point.split(","))) for point in points.split()] for points in found]

    def n_marks(self, i):
        return sum(node.get("class") == f"s{i}" for tag in MARKS for node in self.all(tag))


@pytest.fixture
def small():
    return Picture(draw("A <title> & more", "time, ms", "rate, Mbit/s", {
        "left": {"reference": [(1, 100), (10, 10), (100, 1)], "a & b": [(1, 100), (10, 100), (100, 100)]},
        "right": {"reference": [(1, 1), (10, 2), (100, 3)], "a & b": [(1, 50), (10, None), (100, 5)]}}))


def test_a_plot_is_xml_with_its_title_its_axes_and_a_legend(small):
    assert {"A <title> & more", "time, ms", "rate, Mbit/s", "left", "right", "reference", "a & b"} <= set(small.texts)
    assert small.texts.count("10") == 3    # the x axis of each panel, and the one y axis


def test_both_axes_are_logarithmic(small):
    (x1, y1), (x2, y2), (x3, y3) = small.lines(0)[0]
    assert x1 < x2 < x3 and abs((x2 - x1) - (x3 - x2)) < 0.2
    assert y1 < y2 < y3 and abs((y2 - y1) - (y3 - y2)) < 0.2
    assert len({y for _, y in small.lines(1)[0]}) == 1


def test_what_was_not_measured_has_no_point(small):
    assert [len(points) for points in small.lines(1)] == [3, 2, 2]
    assert small.n_marks(1) == 3 + 2 + 1


def test_all_is_within_the_picture(small):
    _, _, width, height = map(float, small.root.get("viewBox").split())
    points = [point for i in (0, 1) for points in small.lines(i) for point in points]
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_a_plot_can_be_read_in_light_and_in_dark(small):
    style = small.all("style")[0].text
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for part in (".paper", "text", ".grid", ".s0", ".s4"):
        colours = [re.findall(rf"{re.escape(part)} {{[^}}]*(#\w+)", rules)[-1] for rules in (light, dark)]
        assert colours[0] != colours[1], part


def test_the_plot_that_is_kept_shows_throughput_over_round_trips():
    picture = Picture((ROOT / "doc/throughput.svg").read_text())
    names = ["no tunnel", "sockeye, one link", "sockeye, four links", "shadowsocks-libev", "ssh -D"]
    assert {*names, "round trip, ms", "throughput, Mbit/s", "no loss", "1% of the packets lost", "2% of the packets lost"} <= \
        set(picture.texts)
    for i in range(len(names)):
        assert [len(points) for points in picture.lines(i)] == [5, 5, 5, 2]
