"""Starting /bin/true and learning of its end, beside posix_spawn and waitpid by hand."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import answer_of, note

WAYS = {"by hand": "hand", "hark epoll": "epoll", "hark ring": "io_uring"}
TARGET = 1.10


def run(build, options):
    report = Report("spawn: a child from its start to its end")
    rounds = options.rounds or (3 if options.quick else 7)
    count = 200 if options.quick else 1000
    taken = {}
    for number in range(rounds):
        note(f"spawn: round {number + 1} of {rounds}")
        for label, way in WAYS.items():
            if "ring" in label and not build.has_ring:
                continue
            answer = answer_of([build.path("spawn"), way, str(count)])
            for quantity, value in answer.items():
                taken.setdefault(label, {}).setdefault(quantity, []).append(value / 1000)
    report.data["spawn"] = taken
    report.say(f"{count:,} children one after the other, us a child: time, and processor time of "
               "program and child")
    report.table(["way", "time", "processor time"],
                 [[label, spread(values["wall_ns"], 0), spread(values["processor_ns"], 0)]
                  for label, values in taken.items()])
    bare = taken["by hand"]["wall_ns"]
    for label in [label for label in taken if label != "by hand"]:
        ours = taken[label]["wall_ns"]
        ratio = paired_ratio(ours, bare)
        report.judge(Figure(f"spawn and exit, {label}, us", median(ours), {"by hand": median(bare)},
                            ratio, f"ratio <= {TARGET:.2f}", ratio <= TARGET, 0))
    return report
