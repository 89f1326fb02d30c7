"""Medians, spreads, tables, and the verdicts that end each benchmark."""
import dataclasses
import statistics


def median(values):
    return statistics.median(values)


def paired_ratio(ours, theirs):
    """The median of the ratios within each round: what drifts from round to round cancels out."""
    return median([a / b for a, b in zip(ours, theirs)])


def spread(values, digits=2):
    """Median, and from least to most."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


@dataclasses.dataclass
class Figure:
    """One line of the closing table; reached is None where no target is set."""
    what: str
    hark: float
    peers: dict
    ratio: float | None
    target: str
    reached: bool | None
    digits: int = 2

    def row(self):
        peers = ", ".join(f"{name} {value:.{self.digits}f}" for name, value in self.peers.items())
        verdict = {True: "reached", False: "NOT REACHED", None: "-"}[self.reached]
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else "-"
        hark = f"{self.hark:.{self.digits}f}"
        return [self.what, hark, peers or "-", ratio, self.target, verdict]


class Report:
    """What one benchmark has to say: tables, remarks, figures."""

    def __init__(self, title):
        self.title = title
        self.parts, self.figures, self.data = [], [], {}

    def say(self, text):
        self.parts.append(text)

    def table(self, head, rows):
        self.parts.append(table(head, rows))

    def judge(self, figure):
        self.figures.append(figure)

    def text(self):
        head = ["what", "hark", "peers", "ratio", "target", "verdict"]
        closing = [table(head, [f.row() for f in self.figures])] if self.figures else []
        return "\n\n".join([f"== {self.title}", *self.parts, *closing]) + "\n"

    def as_json(self):
        return {"title": self.title, "remarks": self.parts, "measured": self.data,
                "figures": [dataclasses.asdict(f) for f in self.figures]}


def table(head, rows):
    """Columns as wide as they need; the first to the left, the others too: they hold text."""
    lines = [head, *rows]
    widths = [max(len(str(line[i])) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(str(cell).ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in lines)
