/* A system call as text: what it is called with, as far as that tells a person something. What is
 * read of the process's memory may have changed meanwhile: it is shown, never relied on. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/call.h"
#include "stalls/capture.h"
#include "stalls/describe_parts.h"
#include "stalls/task.h"

enum { TEXT_MAX = 512, SHOWN_MAX = 3, PAGE = 4096, SELECT_BYTES_MAX = 128, SELECT_FDS_MAX = 1024 };

struct line { char text[TEXT_MAX]; size_t length; };

static void append(struct line *line, const char *text)
{
    size_t length = strlen(text), room = sizeof line->text - 1 - line->length;
    if (length > room) length = room;
    memcpy(line->text + line->length, text, length);
    line->length += length;
    line->text[line->length] = '\0';
}

/* Up to its end or the room's, a page at a time: the next one may not be there. */
static bool read_text(pid_t pid, uint64_t address, char *out, size_t room)
{
    struct iovec local = { out, room - 1 }, remote[2];
    size_t first = PAGE - (size_t)(address % PAGE);
    if (first > room - 1) first = room - 1;
    remote[0] = (struct iovec){ (void *)(uintptr_t)address, first };
    remote[1] = (struct iovec){ (void *)(uintptr_t)(address + first), room - 1 - first };
    ssize_t got = process_vm_readv(pid, &local, 1, remote, 2, 0);
    if (got <= 0) return false;
    out[got] = '\0';
    for (char *at = out; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f) *at = '?'; /* it goes to a terminal */
    return true;
}

static void append_fd(struct line *line, pid_t pid, int fd)
{
    char text[TEXT_MAX], what[TEXT_MAX - 32];
    fd_describe(pid, fd, what, sizeof what);
    if (what[0] != '\0') snprintf(text, sizeof text, "%d -> %s", fd, what);
    else snprintf(text, sizeof text, "%d", fd);
    append(line, text);
}

/* connect(23 -> 10.0.0.7:5432): the address is an argument, of sendto the fifth. */
static void append_to(struct line *line, pid_t pid, long call_is_send, const uint64_t *arguments)
{
    struct sockaddr_storage address = { 0 };
    char text[TEXT_MAX], where[TEXT_MAX / 2];
    uint64_t at = arguments[call_is_send ? 4 : 1], length = arguments[call_is_send ? 5 : 2];
    if (length > sizeof address) length = sizeof address;
    if (at == 0 || !task_memory(pid, at, &address, length) ||
        !address_text(&address, (socklen_t)length, where, sizeof where)) {
        append_fd(line, pid, (int)arguments[0]);
        return;
    }
    snprintf(text, sizeof text, "%d -> %s", (int)arguments[0], where);
    append(line, text);
}

static void append_path(struct line *line, pid_t pid, uint64_t address)
{
    char path[TEXT_MAX - 64];
    if (!read_text(pid, address, path, sizeof path)) return;
    append(line, "\"");
    append(line, path);
    append(line, "\"");
}

static void append_poll(struct line *line, pid_t pid, const uint64_t *arguments)
{
    struct pollfd fds[SHOWN_MAX];
    uint64_t count = arguments[1] < SHOWN_MAX ? arguments[1] : SHOWN_MAX;
    if (count == 0 || !task_memory(pid, arguments[0], fds, count * sizeof fds[0])) return;
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) append(line, ", ");
        append_fd(line, pid, fds[i].fd);
    }
    if (arguments[1] > count) append(line, ", ...");
}

static void append_select(struct line *line, pid_t pid, const uint64_t *arguments)
{
    unsigned char set[SELECT_BYTES_MAX] = { 0 };
    uint64_t limit = arguments[0] < SELECT_FDS_MAX ? arguments[0] : SELECT_FDS_MAX;
    for (int i = 1; i <= 3; i++) { /* to read, to write, exceptions */
        unsigned char part[SELECT_BYTES_MAX];
        if (arguments[i] == 0 || !task_memory(pid, arguments[i], part, (limit + 63) / 64 * 8))
            continue;
        for (size_t at = 0; at < (limit + 63) / 64 * 8; at++) set[at] |= part[at];
    }
    int shown = 0;
    for (uint64_t fd = 0; fd < limit; fd++) {
        if ((set[fd / 8] >> (fd % 8) & 1) == 0) continue;
        if (shown > 0) append(line, ", ");
        if (shown++ == SHOWN_MAX) {
            append(line, "...");
            return;
        }
        append_fd(line, pid, (int)fd);
    }
}

static void append_duration(struct line *line, pid_t pid, uint64_t address)
{
    struct timespec time;
    char text[64];
    if (!task_memory(pid, address, &time, sizeof time)) return;
    double seconds = (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
    if (seconds >= 1) snprintf(text, sizeof text, "%.3g s", seconds);
    else if (seconds >= 1e-3) snprintf(text, sizeof text, "%.3g ms", seconds * 1e3);
    else snprintf(text, sizeof text, "%.3g us", seconds * 1e6);
    append(line, text);
}

static void append_child(struct line *line, int child)
{
    char text[32];
    if (child > 0) snprintf(text, sizeof text, "%d", child);
    else snprintf(text, sizeof text, child == -1 ? "any child" : "any child of a group");
    append(line, text);
}

static void append_arguments(struct line *line, pid_t pid, const struct call *call,
                             const uint64_t *arguments)
{
    switch (call->form) {
    case CALL_PLAIN: break;
    case CALL_FD: append_fd(line, pid, (int)arguments[0]); break;
    case CALL_TO: append_to(line, pid, strcmp(call->name, "sendto") == 0, arguments); break;
    case CALL_PATH: append_path(line, pid, arguments[0]); break;
    case CALL_AT: append_path(line, pid, arguments[1]); break;
    case CALL_POLL: append_poll(line, pid, arguments); break;
    case CALL_SELECT: append_select(line, pid, arguments); break;
    case CALL_SLEEP: append_duration(line, pid, arguments[0]); break;
    case CALL_SLEEP_CLOCK: /* until a time: what is left would be another text in every look */
        if ((arguments[1] & TIMER_ABSTIME) == 0) append_duration(line, pid, arguments[2]);
        break;
    case CALL_CHILD: append_child(line, (int)arguments[0]); break;
    }
}

const char *describe_call(pid_t pid, pid_t tid, long call, const uint64_t arguments[6])
{
    (void)tid; /* the threads of a process share descriptors and memory */
    if (call < 0) return NULL;
    const struct call *name = call_find(call);
    if (name == NULL) return text_format("system call %ld", call);
    struct line inside = { .length = 0 };
    append_arguments(&inside, pid, name, arguments);
    if (inside.length == 0) return text_keep(name->name);
    return text_format("%s(%s)", name->name, inside.text);
}
