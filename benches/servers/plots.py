"""Writes three kinds of plot as SVG text, without a library.

All axes of values are logarithmic. The label of a line or dot is at its end, in its
colour; there is no legend. Each colour has a variant for dark pages, which the SVG
selects by the reader's setting.
"""

import math
from html import escape

WIDTH = 760
# The borders of the area between the axes.
LEFT, RIGHT, TOP, BOTTOM = 64, WIDTH - 150, 56, 380
ROW_HEIGHT = 26
LABEL_HEIGHT = 14

# Name → colour on light pages, colour on dark pages, width of the line.
STYLES = {
    "yamabiko": ("#d1242f", "#ff7b72", 3),
    "yamabiko-tokio": ("#d1242f", "#ff7b72", 1.5),
    "limit": ("#6e7781", "#9198a1", 2),
    "limit, each": ("#6e7781", "#9198a1", 2),
    "uWebSockets": ("#0969da", "#58a6ff", 1.5),
    "bun": ("#8250df", "#bc8cff", 1.5),
    "fastwebsockets": ("#1a7f37", "#3fb950", 1.5),
    "sockudo-ws": ("#9a6700", "#d29922", 1.5),
    "tokio-websockets": ("#0e7490", "#39c5cf", 1.5),
    "tokio-tungstenite": ("#bc4c00", "#f0883e", 1.5),
    "gorilla": ("#bf3989", "#f778ba", 1.5),
    "ws": ("#57606a", "#c9d1d9", 1.5),
}
OTHER = ("#57606a", "#c9d1d9", 1.5)
YARDSTICKS = ("limit", "limit, each")


def lines(heading, horizontal, vertical, lines_by_name):
    """Lines over a logarithmic horizontal axis. The ticks are at the points of the lines.

    `lines_by_name`: name → points `(x, y)`, with rising x.
    """
    xs = sorted({x for points in lines_by_name.values() for x, _ in points})
    ys = [y for points in lines_by_name.values() for _, y in points]
    across = Scale(xs[0], xs[-1], LEFT, RIGHT)
    up = Scale(*rounded_out(min(ys), max(ys)), BOTTOM, TOP)
    parts = [vertical_axis(up, vertical)]
    for x in xs:
        parts.append(text(across.at(x), BOTTOM + 20, number(x), "tick", "middle"))
    parts.append(text((LEFT + RIGHT) / 2, BOTTOM + 42, horizontal, "tick", "middle"))
    ends = {}
    for name, points in lines_by_name.items():
        places = [(across.at(x), up.at(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashes = ' stroke-dasharray="6 4"' if name in YARDSTICKS else ""
        parts.append(f'<polyline class="line {style_class(name)}" points="{path}"{dashes}/>')
        parts += [dot(x, y, name) for x, y in places]
        ends[name] = places[-1][1]
    for name, y in spread(ends, LABEL_HEIGHT).items():
        parts.append(text(RIGHT + 12, y + 4, name, f"label {style_class(name)}"))
    return picture(heading, BOTTOM + 56, parts, lines_by_name)


def spans(heading, horizontal, rows):
    """One bar for each row `(name, low, high)`, from low to high."""
    bottom = TOP + ROW_HEIGHT * len(rows)
    values = [value for _, low, high in rows for value in (low, high)]
    across = Scale(*rounded_out(min(values), max(values)), LEFT + 90, RIGHT + 60)
    parts = [horizontal_axis(across, bottom, horizontal)]
    for row, (name, low, high) in enumerate(rows):
        y = TOP + ROW_HEIGHT * (row + 0.5)
        start, end = across.at(low), across.at(high)
        parts.append(
            f'<line class="line {style_class(name)}" x1="{start:.1f}" y1="{y}" '
            f'x2="{end:.1f}" y2="{y}"/>'
        )
        parts += [dot(start, y, name), dot(end, y, name)]
        parts.append(text(LEFT + 80, y + 4, name, f"label {style_class(name)}", "end"))
        parts.append(text(end + 10, y + 4, f"{number(low)} – {number(high)}", "tick"))
    return picture(heading, bottom + 56, parts, [name for name, _, _ in rows])


def dots(heading, horizontal, rows):
    """One dot for each row `(name, value, value to text)`."""
    bottom = TOP + ROW_HEIGHT * len(rows)
    # A logarithmic axis has no zero: values below one byte are drawn as one byte.
    values = [max(value, 1) for _, value, _ in rows]
    across = Scale(*rounded_out(min(values), max(values)), LEFT + 90, RIGHT + 60)
    parts = [horizontal_axis(across, bottom, horizontal)]
    for row, ((name, value, to_text), place) in enumerate(zip(rows, values)):
        y = TOP + ROW_HEIGHT * (row + 0.5)
        x = across.at(place)
        parts.append(dot(x, y, name))
        parts.append(text(LEFT + 80, y + 4, name, f"label {style_class(name)}", "end"))
        parts.append(text(x + 10, y + 4, to_text(value), "tick"))
    return picture(heading, bottom + 56, parts, [name for name, _, _ in rows])


class Scale:
    """Maps values from low to high to positions from start to end, logarithmically."""

    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, high, start, end

    def at(self, value):
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        """1, 2 and 5 of each power of ten; only the powers if there are more than four."""
        found = []
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(decades) <= 4 else (1,)
        for decade in decades:
            found += [step * 10.0**decade for step in steps]
        slack = 1 + 1e-9
        return [t for t in found if self.low / slack <= t <= self.high * slack]


def rounded_out(low, high):
    """The nearest ticks outside of the two values."""
    steps = [step * 10.0**d for d in range(-6, 10) for step in (1, 2, 5)]
    below = max((s for s in steps if s <= low), default=low)
    above = min((s for s in steps if s >= high), default=high)
    return below, above if above > below else below * 2


def spread(places, distance):
    """Moves overlapping labels apart. They keep their order and stay above the axis."""
    names = sorted(places, key=places.get)
    moved = [places[name] for name in names]
    for _ in range(200):
        for upper in range(len(moved) - 1):
            overlap = distance - (moved[upper + 1] - moved[upper])
            if overlap > 0:
                moved[upper] -= overlap / 2
                moved[upper + 1] += overlap / 2
    # The lowest label may be at the axis, but not below it.
    too_low = max(moved[-1] - BOTTOM, 0) if moved else 0
    return {name: place - too_low for name, place in zip(names, moved)}


def vertical_axis(up, unit):
    parts = [text(LEFT - 8, TOP - 12, unit, "tick", "end")]
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>')
        parts.append(text(LEFT - 8, y + 4, number(tick), "tick", "end"))
    return "\n".join(parts)


def horizontal_axis(across, bottom, unit):
    parts = [text((across.start + across.end) / 2, bottom + 42, unit, "tick", "middle")]
    for tick in across.ticks():
        x = across.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(text(x, bottom + 20, number(tick), "tick", "middle"))
    return "\n".join(parts)


def dot(x, y, name):
    return f'<circle class="dot {style_class(name)}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def text(x, y, content, style, anchor="start"):
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(str(content))}</text>"
    )


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def style_class(name):
    return "s-" + "".join(letter if letter.isalnum() else "-" for letter in name)


def picture(heading, height, parts, names):
    """The whole file. `names`: the servers in the plot, for their colours."""
    light, dark = [], []
    for name in names:
        on_light, on_dark, width = STYLES.get(name, OTHER)
        kind = style_class(name)
        light.append(f".line.{kind} {{ stroke: {on_light}; stroke-width: {width}; }}")
        light.append(f".dot.{kind}, .label.{kind} {{ fill: {on_light}; }}")
        dark.append(f".line.{kind} {{ stroke: {on_dark}; }}")
        dark.append(f".dot.{kind}, .label.{kind} {{ fill: {on_dark}; }}")
        if name == "yamabiko":
            light.append(f".label.{kind} {{ font-weight: bold; }}")
    style = "\n".join(
        [
            "text { font: 12px system-ui, sans-serif; }",
            ".heading { font-size: 15px; font-weight: 600; fill: #1f2328; }",
            ".tick { fill: #59636e; }",
            ".grid { stroke: #d1d9e0; stroke-width: 1; }",
            ".line { fill: none; }",
            *light,
            "@media (prefers-color-scheme: dark) {",
            ".heading { fill: #f0f6fc; }",
            ".tick { fill: #9198a1; }",
            ".grid { stroke: #3d444d; }",
            *dark,
            "}",
        ]
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img">\n<title>{escape(heading)}</title>\n<style>\n{style}\n</style>\n'
        f'{text(12, 24, heading, "heading")}\n{body}\n</svg>\n'
    )
