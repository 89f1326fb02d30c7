"""Files: processor time of a cached 4 KiB read, 32 in flight: hark and libuv by turns."""
from .figures import Figure, Report, median, paired_ratio, spread
from .programs import answer_of, note

MOST = 0.5  # of libuv's processor time


def run(build, options):
    reads = 100000 if options.quick else 500000
    rounds = options.rounds or (3 if options.quick else 7)
    report = Report(f"files: {reads:,} cached reads of 4 KiB, 32 in flight, ns a read, all threads")
    names = [name for name in ("hark", "libuv") if build.has(f"files_{name}")]
    taken = {name: {"processor": [], "wall": [], "threads": []} for name in names}
    for number in range(rounds):
        note(f"files: round {number + 1} of {rounds}")
        for name in names:
            answer = answer_of([build.path(f"files_{name}"), str(reads)])
            for key, values in taken[name].items():
                values.append(answer[key])
    report.table(["library", "processor", "time", "threads"],
                 [[name, spread(values["processor"], 0), spread(values["wall"], 0),
                   str(max(values["threads"]))] for name, values in taken.items()])
    report.data["taken"] = taken
    if "libuv" in taken:
        ours, theirs = taken["hark"]["processor"], taken["libuv"]["processor"]
        ratio = paired_ratio(ours, theirs)
        report.judge(Figure("processor time of a cached read", median(ours),
                            {"libuv": median(theirs)}, ratio, f"ratio <= {MOST:.2f}",
                            ratio <= MOST, 0))
        most = max(taken["hark"]["threads"])
        report.judge(Figure("threads", most, {"libuv": max(taken["libuv"]["threads"])}, most,
                            "1: none of the pool", most == 1, 0))
    return report
