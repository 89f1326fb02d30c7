/* Terminals: modes, and their way back at the end of the program, be it an exit or a signal.
 *
 * What was found is kept in a table that a signal handler can read at any moment: an entry is
 * written before its mark is, and its mark is taken away after the terminal has been put back.
 * A terminal's state survives the program, so only SIGKILL leaves it changed. */
#include <errno.h>
#include <hark/signal.h>
#include <hark/terminal.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "terminal/resized.h"

enum { CHANGED_MAX = 8 };

static struct changed {
    atomic_bool is_set;
    int fd;
    struct termios found;
} changed[CHANGED_MAX];

static int answer(int result)
{
    if (result == 0) return 0;
    return errno == EINVAL || errno == ENOTTY ? HARK_ENOTTY : hark_error_from_os(errno);
}

/* A program in the background would be stopped by SIGTTOU. */
static int set_attributes(int fd, const struct termios *attributes)
{
    sigset_t stop, before;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &stop, &before);
    int result;
    do result = tcsetattr(fd, TCSADRAIN, attributes);
    while (result != 0 && errno == EINTR);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return result;
}

void hark_terminal_restore(void)
{
    int error = errno; /* a handler must leave it alone */
    for (int i = 0; i < CHANGED_MAX; i++) {
        if (!atomic_load(&changed[i].is_set)) continue;
        (void)set_attributes(changed[i].fd, &changed[i].found); /* fails: the terminal is gone */
        atomic_store(&changed[i].is_set, false);
    }
    errno = error;
}

static struct changed *find(int fd)
{
    for (int i = 0; i < CHANGED_MAX; i++)
        if (atomic_load(&changed[i].is_set) && changed[i].fd == fd) return &changed[i];
    return NULL;
}

/* Keeps what was found before the first change. */
static struct changed *keep(int fd, const struct termios *found)
{
    static atomic_bool is_registered;
    if (!atomic_exchange(&is_registered, true)) (void)atexit(hark_terminal_restore);
    for (int i = 0; i < CHANGED_MAX; i++) {
        if (atomic_load(&changed[i].is_set)) continue;
        changed[i].fd = fd;
        changed[i].found = *found;
        atomic_store(&changed[i].is_set, true);
        return &changed[i];
    }
    return NULL;
}

static void change(struct termios *attributes, enum hark_terminal_mode mode)
{
    if (mode == HARK_TERMINAL_RAW) cfmakeraw(attributes);
    else attributes->c_lflag &= ~(tcflag_t)(ECHO | (mode == HARK_TERMINAL_KEYS ? ICANON : 0));
    if (mode == HARK_TERMINAL_HIDDEN) attributes->c_lflag |= ECHONL;
    if (mode == HARK_TERMINAL_HIDDEN) return; /* VMIN's place means something else in lines */
    attributes->c_cc[VMIN] = 1;
    attributes->c_cc[VTIME] = 0;
}

int hark_terminal_mode(int fd, enum hark_terminal_mode mode)
{
    struct termios now;
    if (mode < HARK_TERMINAL_AS_FOUND || mode > HARK_TERMINAL_RAW) return HARK_EINVAL;
    if (tcgetattr(fd, &now) != 0) return answer(-1);
    struct changed *entry = find(fd);
    if (mode == HARK_TERMINAL_AS_FOUND) {
        if (entry == NULL) return 0;
        int result = answer(set_attributes(fd, &entry->found));
        atomic_store(&entry->is_set, false);
        return result;
    }
    if (entry == NULL) entry = keep(fd, &now);
    if (entry == NULL) return HARK_EMFILE;
    now = entry->found; /* modes do not add up */
    change(&now, mode);
    return answer(set_attributes(fd, &now));
}

/* The signals that are guarded, and who handled them before. */
static struct guard {
    int number;
    bool is_crash, is_on;
    struct sigaction before;
} guards[] = {
    { .number = SIGINT }, { .number = SIGTERM }, { .number = SIGHUP }, { .number = SIGQUIT },
    { .number = SIGSEGV, .is_crash = true }, { .number = SIGBUS, .is_crash = true },
    { .number = SIGABRT, .is_crash = true },
};
enum { GUARDS = sizeof guards / sizeof guards[0] };

/* Puts the terminals back, then lets the signal do what it would have done without us: raised again
 * it comes when this handler returns, and a crash happens again by itself. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    hark_terminal_restore();
    for (int i = 0; i < GUARDS; i++)
        if (guards[i].number == number) sigaction(number, &guards[i].before, NULL);
    bool is_repeated = info->si_code > 0 && (number == SIGSEGV || number == SIGBUS);
    if (!is_repeated) raise(number);
}

static void guard_on(struct guard *guard)
{
    struct sigaction ours = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&ours.sa_mask);
    if (sigaction(guard->number, NULL, &guard->before) != 0) return;
    bool is_default = !(guard->before.sa_flags & SA_SIGINFO) &&
                      guard->before.sa_handler == SIG_DFL;
    if (!is_default && !guard->is_crash) return;
    guard->is_on = sigaction(guard->number, &ours, NULL) == 0;
}

static void guard_off(struct guard *guard)
{
    struct sigaction now;
    if (sigaction(guard->number, NULL, &now) != 0) return;
    bool is_ours = now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal;
    if (is_ours) sigaction(guard->number, &guard->before, NULL);
    guard->is_on = false;
}

void hark_terminal_guard(bool is_on)
{
    for (int i = 0; i < GUARDS; i++) {
        if (is_on == guards[i].is_on) continue;
        if (is_on) guard_on(&guards[i]);
        else guard_off(&guards[i]);
    }
}

int hark_terminal_size(int fd, struct hark_terminal_size *size)
{
    struct winsize window;
    if (ioctl(fd, TIOCGWINSZ, &window) != 0) return answer(-1);
    *size = (struct hark_terminal_size){ window.ws_col, window.ws_row };
    return 0;
}

/* The watch of a size. */

static void on_resized(struct hark_op *own)
{
    if (own->more) resized_look(own->user);
    else resized_end(own->user);
}

void resized_hear(struct hark_terminal_watch *watch, struct hark_loop *loop)
{
    watch->own.label = "terminal size";
    hark_signal(&watch->own, &watch->signal, loop, SIGWINCH, on_resized);
    hark_background(&watch->own);
}
