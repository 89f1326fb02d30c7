/* What every subcommand needs: complaints, progress, an output that was written, a loop. Ctrl-C and
 * limits are in tool_posix.c and tool_windows.c. */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool progress_on;
static bool progress_shown;

void tool_complain(const char *command, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* An argument may hold a newline or an escape sequence: one mistake stays one line. */
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127) *at = '?';
    tool_progress(NULL);
    fprintf(stderr, "hark%s%s: %s\n", command ? " " : "", command ? command : "", line);
}

void tool_show_progress(bool is_on)
{
    progress_on = is_on && isatty(STDERR_FILENO);
}

void tool_progress(const char *format, ...)
{
    if (progress_shown) fputs("\r\033[K", stderr);
    progress_shown = false;
    if (!format || !progress_on) return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    progress_shown = true;
}

int tool_finish(int code)
{
    static bool has_complained;
    tool_progress(NULL);
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    if (has_complained) return TOOL_FAILED;
    has_complained = true;
    tool_complain(NULL, "cannot write the output: %s", strerror(errno));
    return TOOL_FAILED;
}

int tool_open_loop(const char *command, const char *backend, struct hark_loop **loop)
{
    struct hark_loop_options options = { .backend = backend };
    int error = hark_loop_open(loop, &options);
    if (error == 0) return TOOL_OK;
    const char *asked = backend ? backend : getenv("HARK_BACKEND");
    if (error == HARK_EINVAL && asked) {
        tool_complain(command, "%s '%s' names no backend; 'hark backends' lists them",
                      backend ? "--backend" : "HARK_BACKEND", asked);
        return TOOL_MISUSED;
    }
    char why[200] = "";
    if (asked && !strchr(asked, ',')) (void)hark_backend_probe(asked, why, sizeof why);
    tool_complain(command, "no loop on %s: %s", asked ? asked : "any backend",
                  why[0] ? why : hark_strerror(error));
    return TOOL_FAILED;
}

static int64_t read_clock(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return now.tv_sec * HARK_SECOND + now.tv_nsec;
}

int64_t tool_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t tool_processor_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
