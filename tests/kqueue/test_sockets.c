/* Sockets of the emulation raise SIGPIPE until they are told not to, each by itself. */
#include "../unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void take(void)
{
    int number;
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    ck_assert_int_eq(sigwait(&only, &number), 0);
}

/* A socket whose peer is gone. */
static int lonely(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    return pair[0];
}

START_TEST(what_is_sent_to_nobody_raises_sigpipe_unless_the_socket_is_told_not_to)
{
    sigset_t pipe_only;
    int yes = 1, fd = lonely();
    struct iovec slice = { (char[]){ "x" }, 1 };
    struct msghdr message = { .msg_iov = &slice, .msg_iovlen = 1 };
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &pipe_only, NULL), 0);
    for (int told = 0; told < 2; told++) {
        if (told) ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes), 0);
        for (int way = 0; way < 2; way++) {
            ck_assert(way == 0 ? send(fd, "x", 1, 0) < 0 : sendmsg(fd, &message, 0) < 0);
            ck_assert_int_eq(errno, EPIPE);
            ck_assert_int_eq(is_pending(), !told);
            if (!told) take();
        }
    }
    close(fd);
    ck_assert_int_eq(lonely(), fd); /* another one of that number knows nothing of it */
    ck_assert_int_eq(send(fd, "x", 1, 0), -1);
    ck_assert(is_pending());
    close(fd);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sockets of the kqueue emulator");
    UNIT_CASE(suite, what_is_sent_to_nobody_raises_sigpipe_unless_the_socket_is_told_not_to);
    return unit_run(suite);
}
