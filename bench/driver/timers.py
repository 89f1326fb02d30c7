"""Timers: insert, cancel, fire and re-arm, each library in a process of its own, by turns."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import PEERS, SERVER_CPU, answer_of, note

PHASES = {"insert": "insert", "cancel": "cancel", "settle": "its callback", "fire": "fire",
          "rearm": "re-arm", "move": "move"}
# The most that hark may take of libev's time, and of libuv's.
OF_LIBEV = {"insert": 1.0, "cancel": 0.5, "fire": 1.0, "rearm": 0.5}
OF_LIBUV = 1 / 3


def measure(build, names, rounds, count, order):
    taken = {name: {phase: [] for phase in PHASES} for name in names}
    for number in range(rounds):
        note(f"timers: {order} order, round {number + 1} of {rounds}")
        for name in names:
            answer = answer_of(["taskset", "-c", str(SERVER_CPU), build.path(f"timers_{name}"),
                                str(count), order])
            for phase in PHASES:
                taken[name][phase].append(answer[phase])
    return taken


def judge(report, taken, order):
    for phase, share in OF_LIBEV.items():
        ours = taken["hark"][phase]
        for peer, most in (("libev", share), ("libuv", OF_LIBUV)):
            if peer in taken:
                theirs = taken[peer][phase]
                ratio = paired_ratio(ours, theirs)
                report.judge(Figure(f"{PHASES[phase]}, {order} order", median(ours),
                                    {peer: median(theirs)}, ratio, f"ratio <= {most:.2f}",
                                    ratio <= most, 1))


def run(build, options):
    count = 100000 if options.quick else 1000000
    rounds = options.rounds or (3 if options.quick else 7)
    report = Report(f"timers: {count:,}, ns an operation")
    names = [name for name in ("hark", *PEERS) if build.has(f"timers_{name}")]
    for order in ("insertion", "random"):
        taken = measure(build, names, rounds, count, order)
        report.say(f"Re-armed, moved and canceled in {order} order; "
                   f"median (least-most) of {rounds}")
        report.table(["library", *PHASES.values()],
                     [[name, *(spread(values, 1) for values in taken[name].values())]
                      for name in names])
        report.data[order] = taken
        if order == "insertion":
            judge(report, taken, order)
    report.say("re-arm: the same delay from now on; move: another random delay. hark calls back for"
               " a cancel too: that is measured apart, as its callback.")
    return report
