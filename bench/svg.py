"""Panels beside each other with the same axes, both logarithmic, as an SVG that follows its reader's choice of light or dark."""

import html
import math

WIDTH, HEIGHT = 960, 430
LEFT, RIGHT, TOP, BOTTOM, GAP = 64, 20, 66, 104, 36
MARK = 4
# Colours that the colour-blind tell apart, each for light and for dark; the marks tell them apart too. The first is for reference.
LINES = [("#777777", "#999999", None), ("#0072b2", "#56b4e9", "circle"), ("#b8480a", "#ff8c42", "square"),
         ("#00795a", "#2ecc9b", "triangle"), ("#8a4f9e", "#d3a0e8", "diamond")]
PAPER, INK, GRID = ("#ffffff", "#14171a"), ("#24292f", "#d8dee4"), ("#dde1e6", "#30363d")


def style():
    def rules(dark):
        text = f".paper {{ fill: {PAPER[dark]} }} text {{ fill: {INK[dark]} }} .grid {{ stroke: {GRID[dark]} }}\n"
        for i, colours in enumerate(LINES):
            text += f".s{i} {{ stroke: {colours[dark]}; fill: {colours[dark]} }}\n"
        return text
    return ("<style>\ntext { font: 13px sans-serif } .title { font-size: 15px; font-weight: bold } .tick { font-size: 11px }\n"
            ".grid { fill: none } polyline { fill: none !important; stroke-width: 2; stroke-linejoin: round }\n"
            f".s0 {{ stroke-width: 1; stroke-dasharray: 5 3 }}\n{rules(0)}"
            f"@media (prefers-color-scheme: dark) {{\n{rules(1)}}}\n</style>\n")


class Axis:
    """From the tick at or below the least value to the one at or above the greatest, along so many pixels."""

    def __init__(self, values, begin, end):
        def tick(i):
            return 10.0 ** (i // 2) * (3 if i % 2 else 1)
        first, last = -12, 24    # from a millionth to a million millions
        while tick(first + 1) <= min(values):
            first += 1
        while last > first + 1 and tick(last - 1) >= max(values):
            last -= 1
        self.ticks = [tick(i) for i in range(first, last + 1)]
        self.begin, self.end = begin, end

    def at(self, value):
        low, high = math.log(self.ticks[0]), math.log(self.ticks[-1])
        return self.begin + (math.log(value) - low) / (high - low) * (self.end - self.begin)


def text(x, y, words, anchor="middle", kind="label", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}"{more}>{html.escape(words)}</text>\n'


def mark(kind, x, y, i):
    m = MARK
    shapes = {"circle": [], "square": [(-m, -m), (m, -m), (m, m), (-m, m)], "triangle": [(0, -m - 1), (m + 1, m), (-m - 1, m)],
              "diamond": [(0, -m - 1), (m + 1, 0), (0, m + 1), (-m - 1, 0)]}
    if kind is None:
        return ""
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{m}" class="s{i}"/>\n'
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in shapes[kind])
    return f'<polygon points="{points}" class="s{i}"/>\n'


def grid(x_axis, y_axis, first):
    out = ""
    bottom = y_axis.begin
    for value in x_axis.ticks:
        x = x_axis.at(value)
        out += f'<path d="M{x:.1f} {bottom:.1f}V{y_axis.end:.1f}" class="grid"/>\n' + text(x, bottom + 17, f"{value:g}", kind="tick")
    for value in y_axis.ticks:
        y = y_axis.at(value)
        out += f'<path d="M{x_axis.begin:.1f} {y:.1f}H{x_axis.end:.1f}" class="grid"/>\n'
        if first:
            out += text(x_axis.begin - 7, y + 4, f"{value:g}", "end", "tick")
    return out


def line(i, points, x_axis, y_axis):
    """Where there is no value there is no point, and the line goes on to the next."""
    places = [(x_axis.at(x), y_axis.at(y)) for x, y in points if y]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{path}" class="s{i}"/>\n' + "".join(mark(LINES[i][2], x, y, i) for x, y in places)


def legend(names, y):
    """In one row, each as wide as its words may be."""
    widths = [52 + 7.2 * len(name) for name in names]
    x, out = (WIDTH - sum(widths)) / 2, ""
    for i, (name, width) in enumerate(zip(names, widths)):
        out += f'<polyline points="{x:.1f},{y} {x + 30:.1f},{y}" class="s{i}"/>\n' + mark(LINES[i][2], x + 15, y, i)
        out += text(x + 36, y + 4, name, "start")
        x += width
    return out


def draw(title, x_label, y_label, panels):
    """panels: {a panel's title: {a line's name: [(x, y or None)]}}, the same names in each; the first is the reference."""
    points = [point for lines in panels.values() for each in lines.values() for point in each if point[1]]
    width = (WIDTH - LEFT - RIGHT - GAP * (len(panels) - 1)) / len(panels)
    y_axis = Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    out = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">\n'
           f"<title>{html.escape(title)}</title>\n{style()}" f'<rect width="{WIDTH}" height="{HEIGHT}" class="paper"/>\n')
    out += text(WIDTH / 2, 26, title, kind="title")
    for i, (name, lines) in enumerate(panels.items()):
        left = LEFT + i * (width + GAP)
        x_axis = Axis([x for x, _ in points], left, left + width)
        out += text(left + width / 2, TOP - 12, name) + grid(x_axis, y_axis, i == 0)
        out += "".join(line(k, each, x_axis, y_axis) for k, each in enumerate(lines.values()))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out += text(18, middle, y_label, more=f' transform="rotate(-90 18 {middle:.1f})"')
    out += text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - BOTTOM + 44, x_label)
    out += legend(list(next(iter(panels.values()))), HEIGHT - 28)
    return out + "</svg>\n"
