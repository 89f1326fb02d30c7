/* Terminals: modes, the way back from them at an exit and at a death, and their size. */
#include "groups.h"
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int master, slave;

static void open_pty(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(slave, 0);
}

static void close_pty(void)
{
    close(slave);
    close(master);
}

static struct termios state(void)
{
    struct termios now;
    ck_assert_int_eq(tcgetattr(slave, &now), 0);
    return now;
}

static bool is_as(const struct termios *wanted)
{
    struct termios now = state();
    return now.c_lflag == wanted->c_lflag && now.c_iflag == wanted->c_iflag &&
           now.c_oflag == wanted->c_oflag && now.c_cflag == wanted->c_cflag &&
           memcmp(now.c_cc, wanted->c_cc, sizeof now.c_cc) == 0;
}

START_TEST(modes_do_what_they_say_and_do_not_add_up)
{
    open_pty();
    struct termios found = state(), hidden;
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_HIDDEN), 0);
    hidden = state();
    ck_assert(hidden.c_lflag & ICANON && !(hidden.c_lflag & ECHO));
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_KEYS), 0);
    ck_assert(!(state().c_lflag & (ICANON | ECHO)) && state().c_lflag & ISIG);
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_RAW), 0);
    ck_assert(!(state().c_lflag & (ICANON | ECHO | ISIG)) && !(state().c_oflag & OPOST));
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_HIDDEN), 0);
    ck_assert(is_as(&hidden));
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_AS_FOUND), 0);
    ck_assert(is_as(&found));
    ck_assert_int_eq(hark_terminal_mode(slave, (enum hark_terminal_mode)9), HARK_EINVAL);
    close_pty();
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_RAW), HARK_EBADF);
    slave = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(hark_terminal_mode(slave, HARK_TERMINAL_RAW), HARK_ENOTTY);
    close(slave);
}
END_TEST

static void die_of(int number)
{
    int *forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (number == 0) exit(0);
    if (number == SIGSEGV) *(volatile int *)forbidden = 1; /* a true one */
    raise(number);
}

/* Sets raw mode in a child that then ends by a signal, or by exit(3) for 0; gives its status. */
static int end_child(int number, bool is_guarded, void (*earlier)(int))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 1; i < 32; i++) signal(i, SIG_DFL);
        if (earlier != NULL) signal(number, earlier);
        if (is_guarded) hark_terminal_guard(true);
        if (hark_terminal_mode(slave, HARK_TERMINAL_RAW) != 0) _exit(9);
        die_of(number);
        _exit(8);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(exit_and_guarded_deaths_put_a_terminal_back_and_keep_their_status)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGBUS, SIGABRT, SIGSEGV };
    open_pty();
    struct termios found = state();
    ck_assert_int_eq(WEXITSTATUS(end_child(0, false, NULL)), 0);
    ck_assert(is_as(&found));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(doing, sizeof doing, "signal %d", numbers[i]);
        int status = end_child(numbers[i], true, NULL);
        ck_claim(WIFSIGNALED(status) && WTERMSIG(status) == numbers[i]);
        ck_claim(is_as(&found));
    }
    int status = end_child(SIGTERM, false, NULL); /* unasked, a signal is left alone */
    ck_assert(WIFSIGNALED(status) && !is_as(&found));
    ck_assert_int_eq(tcsetattr(slave, TCSANOW, &found), 0);
    close_pty();
}
END_TEST

static void exit_3(int number)
{
    (void)number;
    _exit(is_as(&(struct termios){ 0 }) ? 4 : 3);
}

START_TEST(earlier_handlers_run_and_come_back)
{
    open_pty();
    struct termios found = state();
    ck_assert_int_eq(WEXITSTATUS(end_child(SIGABRT, true, exit_3)), 3);
    ck_assert(is_as(&found));
    ck_assert_int_eq(WEXITSTATUS(end_child(SIGTERM, true, exit_3)), 3);
    ck_assert(!is_as(&found)); /* who handles SIGTERM decides for itself */
    ck_assert_int_eq(tcsetattr(slave, TCSANOW, &found), 0);
    struct sigaction before, during, after;
    sigaction(SIGHUP, NULL, &before);
    hark_terminal_guard(true);
    sigaction(SIGHUP, NULL, &during);
    hark_terminal_guard(false);
    sigaction(SIGHUP, NULL, &after);
    ck_assert(before.sa_handler == after.sa_handler && during.sa_handler != after.sa_handler);
    close_pty();
}
END_TEST

static void change_sizes(void)
{
    struct hark_terminal_watch watch = { 0 };
    struct probe watching = { 0 }, wrong = { 0 };
    struct winsize window = { .ws_row = 24, .ws_col = 80 };
    hark_terminal_resized(&watching.op, &watch, loop, slave, on_probe);
    for (int round = 1; round <= 2; round++) {
        window.ws_col++;
        ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &window), 0); /* the system sends SIGWINCH */
        await_calls(&watching, round);
        ck_assert_result(&watching, 0);
        ck_assert(watching.op.more && watch.size.columns == 80 + round && watch.size.rows == 24);
    }
    ck_assert_int_eq(raise(SIGWINCH), 0); /* nothing has changed */
    spin(5);
    ck_assert_int_eq(watching.calls, 2);
    ck_assert_int_eq(hark_step(loop, 600 * HARK_MILLISECOND), 0); /* nobody looks meanwhile */
    hark_cancel(&watching.op);
    await(&watching);
    ck_assert_result(&watching, HARK_ECANCELED);
    hark_terminal_resized(&wrong.op, &watch, loop, -1, on_probe);
    await(&wrong);
    ck_assert_result(&wrong, HARK_EBADF);
}

/* In a session of its own, which the terminal controls. */
START_TEST(change_of_size_is_told_once_each_until_canceled)
{
    struct hark_terminal_size size;
    open_pty();
    struct winsize window = { .ws_row = 24, .ws_col = 80 };
    ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &window), 0);
    ck_assert_int_eq(hark_terminal_size(slave, &size), 0);
    ck_assert(size.rows == 24 && size.columns == 80);
    pid_t child = fork();
    if (child == 0) {
        if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) != 0) _exit(2);
        hark_loop_close(loop);
        if (hark_loop_open(&loop, NULL) != 0) _exit(3);
        change_sizes(); /* a claim that fails ends the child with another status */
        hark_loop_close(loop);
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "the child: status %x", (unsigned)status);
    close_pty();
}
END_TEST

Suite *group_terminal(void)
{
    Suite *suite = suite_create("terminal");
    CASE(suite, modes_do_what_they_say_and_do_not_add_up);
    CASE(suite, exit_and_guarded_deaths_put_a_terminal_back_and_keep_their_status);
    CASE(suite, earlier_handlers_run_and_come_back);
    CASE(suite, change_of_size_is_told_once_each_until_canceled);
    return suite;
}
