/* Ctrl-C, descriptors and their limit, where they are POSIX's.
 *
 * A signal handler does only what is safe there: it sets a flag and wakes who waits, the loop or
 * the reader of a descriptor, whose own thread then ends what it does. */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static struct hark_loop *volatile loop_to_wake;
static volatile sig_atomic_t interrupt_end = -1; /* written to by the handler */
static int interrupt_fd = -1;                    /* and readable then */

static void on_signal(int number)
{
    int saved = errno;
    interrupted = number;
    if (loop_to_wake) hark_wake(loop_to_wake);
    /* It fails only when it is full, which is readable as well. */
    if (interrupt_end >= 0 && write(interrupt_end, "", 1) < 0) {}
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
    int ends[2];
    if (interrupt_fd >= 0 || pipe(ends) < 0) return interrupt_fd;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    interrupt_fd = ends[0];
    interrupt_end = ends[1];
    return interrupt_fd;
}

void tool_begin(void)
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

void tool_close(int socket) { (void)close(socket); }
