/* What every subcommand needs: complaints, progress, Ctrl-C, limits.
 *
 * A signal handler does only what is safe there: it sets a flag and wakes who waits, the loop or
 * the reader of a descriptor, whose own thread then ends what it does. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool progress_on;
static bool progress_shown;
static volatile sig_atomic_t interrupted;
static struct hark_loop *volatile loop_to_wake;
static volatile sig_atomic_t interrupt_fd = -1;

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

static void on_signal(int number)
{
    int saved = errno;
    interrupted = number;
    if (loop_to_wake) hark_wake(loop_to_wake);
    /* It fails only when it is full, which is readable as well. */
    if (interrupt_fd >= 0) (void)eventfd_write(interrupt_fd, 1);
    errno = saved;
}

void tool_catch_interrupts(struct hark_loop *loop)
{
    /* Without SA_RESTART: a blocking call must come back to look at the flag. */
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    sigemptyset(&action.sa_mask);
    loop_to_wake = loop;
    if (interrupted) return; /* the next one of that kind is to end the process */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool tool_is_interrupted(void)
{
    return interrupted != 0;
}

int tool_interrupt_descriptor(void)
{
    /* Without a descriptor poll(2) passes it over, and the handler still interrupts. */
    if (interrupt_fd < 0) interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return interrupt_fd;
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

void tool_keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        /* The wrong way round on purpose: a write to a closed standard output must still fail. */
        int got = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
        (void)got; /* without /dev/null there is nothing better to do */
    }
}

int64_t tool_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = { limit.rlim_max, limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
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
