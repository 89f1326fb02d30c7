/* Made-up stalls, and a report of them whose output goes to files of the test. */
#ifndef TESTS_STALLS_MADE_H
#define TESTS_STALLS_MADE_H

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stalls/report.h"
#include "unit.h"

#define MS INT64_C(1000000)

enum { TEXT_ROOM = 1 << 20 };

static char folder[64], json[96], fold[96], svg[96], out[96], err[96];
static char text[TEXT_ROOM];
static struct report *report; /* a test that opens another one closes this */
static struct report_facts facts;

/* Each test runs in a process of its own, whose output goes to files. */
static inline void begin(const char *command)
{
    snprintf(folder, sizeof folder, "/tmp/hark-report.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(json, sizeof json, "%s/json", folder);
    snprintf(fold, sizeof fold, "%s/fold", folder);
    snprintf(svg, sizeof svg, "%s/svg", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(err, sizeof err, "%s/err", folder);
    ck_assert_ptr_nonnull(freopen(out, "w", stdout));
    ck_assert_ptr_nonnull(freopen(err, "w", stderr));
    setvbuf(stderr, NULL, _IONBF, 0);
    setenv("TZ", "UTC", 1);
    tzset();
    struct report_options options = {
        .command = command, .folder = "/srv/shop", .threshold_ns = 20 * MS, .wants_lines = true,
        .json = json, .fold = fold, .svg = svg,
    };
    report = report_open(&options);
    ck_assert_ptr_nonnull(report);
    facts = (struct report_facts){
        .mode = WATCH_HEARTBEAT, .mode_text = "by a heartbeat", .began_ns = 1000 * MS,
        .ended_ns = 11000 * MS, .turn_count = 12345, .loop_count = 1,
        .exit_text = "It exited with 0.",
    };
}

static inline const char *contents(const char *path)
{
    FILE *from = fopen(path, "r");
    ck_assert_ptr_nonnull(from);
    size_t len = fread(text, 1, sizeof text - 1, from);
    text[len] = '\0';
    fclose(from);
    return text;
}

static inline void end(void)
{
    ck_assert_int_eq(report_end(report, &facts), 0);
    report_close(report);
    fflush(stdout);
    fflush(stderr);
}

static inline void clean(void)
{
    const char *files[] = { json, fold, svg, out, err };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(files[i]);
    rmdir(folder);
}

/* Runs a line of Python on a file; the file's contents are in `data`. */
static inline void python(const char *how, const char *path, const char *check)
{
    char command[2048];
    snprintf(command, sizeof command,
             "python3 -c 'import sys, json, xml.etree.ElementTree as xml\n"
             "data = %s\n%s' %s >&2", how, check, path);
    int code = system(command);
    ck_assert_msg(code == 0, "%s: %s", check, contents(err));
}

#define JSON(check) python("json.load(open(sys.argv[1]))", json, check)
#define SVG(check) python("xml.parse(sys.argv[1]).getroot()", svg, check)

static inline struct frame script(enum frame_kind kind, const char *function, const char *file,
                                  int line)
{
    return (struct frame){ .kind = kind, .function = text_keep(function), .file = text_keep(file),
                           .line = line };
}

static inline struct frame native(const char *function, const char *module, bool is_runtime)
{
    return (struct frame){ .kind = FRAME_NATIVE, .function = text_keep(function),
                           .module = text_keep(module), .offset = 0x1234,
                           .is_runtime = is_runtime };
}

static inline void push(struct stall *stall, struct frame frame)
{
    stall->stack.frames[stall->stack.count++] = frame;
}

/* A call in logRow, below 3 frames of libc and node and above 2 of node. */
static inline struct stall *connect_stall(int64_t began_ms, int64_t held_ms)
{
    static struct stall stall;
    memset(&stall, 0, sizeof stall);
    stall.pid = 77;
    stall.tid = 78;
    stall.began_ns = began_ms * MS;
    stall.held_ns = held_ms * MS;
    stall.wall_ns = INT64_C(43387114) * MS; /* 12:03:07.114 of the first day */
    stall.call_text = text_keep("connect(23 -> 10.0.0.7:5432)");
    stall.look_count = 3;
    stall.guilty = 3;
    push(&stall, native("connect", "/lib/libc.so.6", true));
    push(&stall, native("Connect::Now", "/usr/bin/node", true));
    push(&stall, native("?", "/usr/bin/node", true));
    push(&stall, script(FRAME_JAVASCRIPT, "logRow", "file:///srv/shop/lib/audit.js", 41));
    push(&stall, script(FRAME_JAVASCRIPT, "onRequest", "/srv/shop/server.js", 17));
    push(&stall, native("uv__read", "/usr/bin/node", true));
    push(&stall, native("uv_run", "/usr/bin/node", true));
    return &stall;
}

/* A computation in Python. */
static inline struct stall *loop_stall(int64_t began_ms, int64_t held_ms, int line)
{
    static struct stall stall;
    memset(&stall, 0, sizeof stall);
    stall.began_ns = began_ms * MS;
    stall.held_ns = held_ms * MS;
    stall.is_running = true;
    stall.look_count = 1;
    push(&stall, script(FRAME_PYTHON, "price", "/opt/other/rules.py", line));
    push(&stall, script(FRAME_PYTHON, "handle", "/srv/shop/app.py", 5));
    return &stall;
}

#endif
