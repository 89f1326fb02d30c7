"""Windows of load on a server, taken again when something else kept the machine busy."""
from . import programs

OTHERS_MAX = 0.05  # of the machine's processor time
TRIES = 2


def others_share(window):
    """What neither server nor client used, as a share of both processors. The kernel counts it by
    ticks of 10 ms, so a second tells it to about two percent."""
    rest = window["busy_ns"] - window["server_ns"] - window["client_ns"]
    return max(0.0, rest / (2 * window["wall_ns"]))


class Sampler:
    """Takes windows and remembers how many were disturbed."""

    def __init__(self, build):
        self.build = build
        self.thrown_away, self.kept_disturbed, self.taken = 0, 0, 0

    def take(self, command, **options):
        """The windows of a run, by kind; of disturbed ones the least disturbed."""
        best = None
        for _ in range(TRIES):
            windows = programs.load(self.build, command, **options)
            share = others_share(windows["timed"])
            if best is not None:
                self.thrown_away += 1
            if best is None or share < best[0]:
                best = (share, windows)
            if best[0] <= OTHERS_MAX:
                break
        self.taken += 1
        self.kept_disturbed += best[0] > OTHERS_MAX
        return best[1]

    def remark(self):
        return (f"{self.taken} windows; thrown away because something else used more than "
                f"{OTHERS_MAX:.0%} of the machine: {self.thrown_away}; kept though disturbed, "
                f"since no better one came: {self.kept_disturbed}.")


def server_us(window):
    return window["server_ns"] / 1e3 / window["messages"]
