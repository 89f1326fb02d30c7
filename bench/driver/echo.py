"""Echo: server processor time and system calls a message, hark against the hand-written loops."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import SERVERS, note
from .windows import Sampler, server_us

CASES = [(64, 64), (64, 1000), (16384, 64), (16384, 1000)]  # bytes, connections
PARTNERS = {"hark epoll": "epoll by hand", "hark epoll pool": "epoll by hand",
            "hark epoll ready": "epoll by hand", "hark ring": "ring by hand",
            "hark ring pool": "ring by hand"}
JUDGED = ("hark epoll", "hark epoll pool", "hark ring", "hark ring pool")
# Measurably above: by more than this, and in nearly all rounds.
TIME_MARGIN, ROUNDS_BELOW = 1.05, 0.2
CALLS_MARGIN = 0.02  # a message: the size of a batch is chance


def per_message(windows, what):
    counted = [w["counted"] for w in windows if "counted" in w]
    return median([w[what] / w["messages"] for w in counted]) if counted else None


def is_not_above(ours, theirs):
    """Whether the clock cannot tell that ours are dearer, taken round by round."""
    below = sum(a <= b for a, b in zip(ours, theirs)) / len(ours)
    return paired_ratio(ours, theirs) <= TIME_MARGIN or below > ROUNDS_BELOW


def run_case(build, report, case, rounds, window_ms, sampler):
    size, connections = case
    servers = build.servers(SERVERS)
    taken = {label: [] for label in servers}
    for number in range(rounds):
        note(f"echo: {size} bytes, {connections} connections, round {number + 1} of {rounds}")
        for label, command in servers.items():
            taken[label].append(sampler.take(
                command, bytes=size, connections=connections, window_ms=window_ms,
                count_ms=window_ms // 3 if number < 3 else 0))
    name = f"{size} B x {connections}"
    times = {label: [server_us(w["timed"]) for w in windows] for label, windows in taken.items()}
    calls = {label: {what: per_message(windows, what) for what in
                     ("all", "epoll_ctl", "io_uring_enter")} for label, windows in taken.items()}
    rows = [row(label, times, calls) for label in servers]
    report.say(f"{name}: server processor time, us a message, median (least-most) of {rounds}; "
               "ratio: the median within rounds")
    report.table(["server", "us a message", "ratio", "to", "calls a message", "epoll_ctl",
                  "io_uring_enter"], rows)
    report.data[name] = {"server_us": times, "calls_a_message": calls}
    for label in JUDGED:
        judge(report, name, label, times, calls)


def row(label, times, calls):
    partner = PARTNERS.get(label, "epoll by hand")
    ratio = "-"
    if partner in times and partner != label and label != "ring by hand":
        ratio = f"{paired_ratio(times[label], times[partner]):.2f}"
    counts = [f"{value:.3f}" if value is not None else "not counted"
              for value in calls[label].values()]
    return [label, spread(times[label]), ratio, partner if ratio != "-" else "-", *counts]


def judge(report, name, label, times, calls):
    partner = PARTNERS[label]
    if label not in times or partner not in times:
        return
    ratio = paired_ratio(times[label], times[partner])
    report.judge(Figure(f"{name}: {label}, us", median(times[label]),
                        {partner: median(times[partner])}, ratio, "not above",
                        is_not_above(times[label], times[partner])))
    ours, theirs = calls[label]["all"], calls[partner]["all"]
    if ours is None or theirs is None:
        return
    report.judge(Figure(f"{name}: {label}, calls", ours, {partner: theirs}, ours / theirs,
                        f"<= by hand + {CALLS_MARGIN}", ours <= theirs + CALLS_MARGIN, 3))
    if "epoll" in label:
        controls = calls[label]["epoll_ctl"]
        report.judge(Figure(f"{name}: {label}, epoll_ctl", controls, {}, None, "0", controls == 0,
                            4))
    else:
        enters = calls[label]["io_uring_enter"]
        report.judge(Figure(f"{name}: {label}, io_uring_enter", enters, {"all calls": ours}, None,
                            "all calls", enters == ours, 3))


def run(build, options):
    report = Report("echo: one message under way on each connection")
    sampler = Sampler(build)
    rounds = options.rounds or (3 if options.quick else 7)
    window_ms = 300 if options.quick else 1000
    for case in CASES[:1] if options.quick else CASES:
        run_case(build, report, case, rounds, window_ms, sampler)
    report.say(sampler.remark())
    return report
