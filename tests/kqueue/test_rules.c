/* The emulated kqueue(2) keeps the rules that emulate.c lists: a test for each, since a kind
 * emulator would hide what a kernel does not forgive. */
#include "../unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct timespec at_once;
static int queue, pair[2];
static struct kevent got[8];

static void open_all(void)
{
    queue = kqueue();
    ck_assert_int_ge(queue, 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void close_all(void)
{
    close(queue);
    close(pair[0]);
    close(pair[1]);
}

static struct kevent change_of(int fd, int filter, int flags)
{
    struct kevent change;
    EV_SET(&change, (uintptr_t)fd, filter, flags, 0, 0, &pair[0]);
    return change;
}

/* One change without a wait: what kevent() says, as an errno. */
static int change(int fd, int filter, int flags)
{
    struct kevent one = change_of(fd, filter, flags);
    return kevent(queue, &one, 1, NULL, 0, &at_once) == 0 ? 0 : errno;
}

static int look(int room) { return kevent(queue, NULL, 0, got, room, &at_once); }

static void put(const char *bytes, int count)
{
    ck_assert_int_eq(write(pair[1], bytes, (size_t)count), count);
}

START_TEST(level_is_told_while_it_lasts)
{
    char byte;
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(look(8), 0);
    put("abc", 3);
    for (int64_t left = 3; left > 0; left--) {
        ck_assert_int_eq(look(8), 1);
        ck_assert_int_eq((int)got[0].ident, pair[0]);
        ck_assert_int_eq(got[0].filter, EVFILT_READ);
        ck_assert_int_eq(got[0].flags, 0);
        ck_assert_int_eq(got[0].data, left);
        ck_assert_ptr_eq(got[0].udata, &pair[0]);
        ck_assert_int_eq(read(pair[0], &byte, 1), 1);
    }
    ck_assert_int_eq(look(8), 0);
}
END_TEST

START_TEST(sides_are_told_apart_and_take_turns_where_there_is_room_for_one)
{
    int reads = 0, writes = 0;
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ADD), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(got[0].filter, EVFILT_WRITE);
    put("a", 1);
    ck_assert_int_eq(look(8), 2);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(look(1), 1);
        if (got[0].filter == EVFILT_READ) reads++;
        else writes++;
    }
    ck_assert_int_eq(reads, 5);
    ck_assert_int_eq(writes, 5);
}
END_TEST

/* Rule 1. */
START_TEST(close_ends_notes_though_a_copy_is_open)
{
    int copy = dup(pair[0]), number = pair[0];
    ck_assert_int_eq(change(number, EVFILT_READ, EV_ADD), 0);
    close(number);
    put("a", 1);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(dup2(copy, number), number);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(change(number, EVFILT_READ, EV_DELETE), ENOENT);
    ck_assert_int_eq(change(number, EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(dup2(copy, number), number); /* closes it, too */
    ck_assert_int_eq(look(8), 0);
    close(copy);
}
END_TEST

/* Rule 2. */
START_TEST(errors_are_those_of_the_manual)
{
    int fd = dup(pair[0]);
    ck_assert_int_eq(change(fd, EVFILT_READ, EV_DELETE), ENOENT);
    ck_assert_int_eq(change(fd, EVFILT_WRITE, EV_ENABLE), ENOENT);
    close(fd);
    ck_assert_int_eq(change(fd, EVFILT_READ, EV_ADD), EBADF);
    ck_assert_int_eq(change(fd, EVFILT_READ, EV_DELETE), EBADF);
    ck_assert_int_eq(change(pair[0], -99, EV_ADD), EINVAL);
    ck_assert_int_eq(change(0, EVFILT_USER, EV_DELETE), ENOENT);
    ck_assert_int_eq(kevent(fd, NULL, 0, got, 8, &at_once), -1);
    ck_assert_int_eq(errno, EBADF);
    int null = open("/dev/null", O_RDWR);
    ck_assert_int_eq(change(null, EVFILT_READ, EV_ADD), ENODEV);
    close(null);
}
END_TEST

/* Rule 3: add, fail, add. */
static void three(struct kevent changes[3], int flags)
{
    changes[0] = change_of(pair[0], EVFILT_WRITE, EV_ADD | flags);
    changes[1] = change_of(pair[0], EVFILT_READ, EV_DELETE | flags);
    changes[2] = change_of(pair[1], EVFILT_WRITE, EV_ADD | flags);
}

START_TEST(failing_change_stops_the_call_without_room_for_it)
{
    struct kevent changes[3];
    three(changes, 0);
    ck_assert_int_eq(kevent(queue, changes, 3, NULL, 0, &at_once), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_DELETE), 0);
    ck_assert_int_eq(change(pair[1], EVFILT_WRITE, EV_DELETE), ENOENT); /* never came to be */
}
END_TEST

START_TEST(failing_change_is_an_event_where_there_is_room)
{
    struct kevent changes[3];
    three(changes, 0);
    ck_assert_int_eq(kevent(queue, changes, 3, got, 1, NULL), 1); /* nor does it wait */
    ck_assert_int_eq(got[0].flags, EV_ERROR | EV_DELETE);
    ck_assert_int_eq(got[0].data, ENOENT);
    ck_assert_int_eq((int)got[0].ident, pair[0]);
    ck_assert_ptr_eq(got[0].udata, &pair[0]);
    ck_assert_int_eq(change(pair[1], EVFILT_WRITE, EV_DELETE), 0);
}
END_TEST

START_TEST(receipt_is_an_event_for_each_change)
{
    struct kevent changes[3];
    three(changes, EV_RECEIPT);
    ck_assert_int_eq(kevent(queue, changes, 3, got, 3, NULL), 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ne(got[i].flags & EV_ERROR, 0);
        ck_assert_int_eq(got[i].data, i == 1 ? ENOENT : 0);
    }
    ck_assert_int_eq(look(8), 2);
    ck_assert_int_eq(change(pair[1], EVFILT_WRITE, EV_DELETE), 0);
    ck_assert_int_eq(kevent(queue, changes, 3, got, 1, NULL), -1); /* the second has no room */
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(change(pair[1], EVFILT_WRITE, EV_DELETE), ENOENT);
}
END_TEST

/* Rule 4. */
START_TEST(every_change_overwrites_udata_and_none_changes_clear)
{
    struct kevent one = change_of(pair[0], EVFILT_READ, EV_ADD | EV_CLEAR);
    one.udata = NULL;
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(kevent(queue, &one, 1, NULL, 0, &at_once), 0);
    put("a", 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(look(8), 1);
        ck_assert_ptr_null(got[0].udata);
        ck_assert_int_eq(got[0].flags & EV_CLEAR, 0);
    }
}
END_TEST

/* Rule 5. */
START_TEST(oneshot_deletes_and_dispatch_disables)
{
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ADD | EV_ONESHOT), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(got[0].flags, EV_ONESHOT);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ENABLE), ENOENT);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ADD | EV_DISPATCH), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ENABLE), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_DELETE), 0);
}
END_TEST

START_TEST(clear_tells_a_change_once)
{
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        put("a", 1);
        ck_assert_int_eq(look(8), 1);
        ck_assert_int_eq(got[0].flags, EV_CLEAR);
        ck_assert_int_eq(look(8), 0);
    }
}
END_TEST

START_TEST(disabled_is_not_told)
{
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ADD | EV_DISABLE), 0);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ENABLE), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_DISABLE), 0);
    ck_assert_int_eq(look(8), 0);
}
END_TEST

static int trigger(int flags)
{
    struct kevent one;
    EV_SET(&one, 7, EVFILT_USER, flags, NOTE_TRIGGER, 0, &queue);
    return kevent(queue, &one, 1, NULL, 0, &at_once) == 0 ? 0 : errno;
}

static void *trigger_once(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)trigger(0);
}

START_TEST(trigger_wakes_a_wait_of_another_thread_once)
{
    pthread_t thread;
    void *error;
    ck_assert_int_eq(trigger(0), ENOENT);
    ck_assert_int_eq(change(7, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, trigger_once, NULL), 0);
    ck_assert_int_eq(kevent(queue, NULL, 0, got, 8, NULL), 1);
    ck_assert_int_eq((int)got[0].ident, 7);
    ck_assert_int_eq(got[0].filter, EVFILT_USER);
    ck_assert_ptr_eq(got[0].udata, &queue);
    ck_assert_int_eq(pthread_join(thread, &error), 0);
    ck_assert_ptr_null(error);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(trigger(0) + trigger(0), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(look(8), 0);
}
END_TEST

/* Rule 6. */
START_TEST(trigger_with_clear_triggers_nothing)
{
    ck_assert_int_eq(change(7, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    ck_assert_int_eq(trigger(EV_CLEAR), 0);
    ck_assert_int_eq(look(8), 0);
}
END_TEST

START_TEST(queue_is_readable_while_it_has_something_to_tell)
{
    struct pollfd one = { .fd = queue, .events = POLLIN };
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(change(7, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    ck_assert_int_eq(poll(&one, 1, 0), 0);
    put("a", 1);
    ck_assert_int_eq(poll(&one, 1, 0), 1);
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_DELETE), 0);
    ck_assert_int_eq(poll(&one, 1, 0), 0);
    ck_assert_int_eq(trigger(0), 0);
    ck_assert_int_eq(poll(&one, 1, 0), 1);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(poll(&one, 1, 0), 0);
    int outer = kqueue(), inner = queue;
    queue = outer;
    ck_assert_int_eq(change(inner, EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(look(8), 0);
    queue = inner;
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD), 0);
    queue = outer;
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq((int)got[0].ident, inner);
    queue = inner;
    close(outer);
}
END_TEST

/* Rule 7: the number is free in the child, and the parent's queue works on. */
START_TEST(queue_is_not_inherited_by_fork)
{
    int status;
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ADD), 0);
    pid_t child = fork();
    if (child == 0) {
        bool is_gone = fcntl(queue, F_GETFD) < 0 && look(8) < 0 && errno == EBADF;
        _exit(!is_gone || close(queue) == 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(look(8), 1);
}
END_TEST

START_TEST(end_is_told_together_with_what_is_left)
{
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_ADD), 0);
    put("abc", 3);
    ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(got[0].flags, EV_EOF);
    ck_assert_int_eq(got[0].data, 3);
    ck_assert_int_eq(change(pair[0], EVFILT_WRITE, EV_ADD), 0);
    ck_assert_int_eq(change(pair[0], EVFILT_READ, EV_DELETE), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(got[0].flags, 0); /* the other way is open */
}
END_TEST

START_TEST(listener_tells_its_backlog)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof addr;
    int listener = socket(AF_INET, SOCK_STREAM, 0), clients[3];
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    ck_assert_int_eq(change(listener, EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(look(8), 0);
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&addr, len), 0);
        ck_assert_int_eq(look(8), 1);
        ck_assert_int_eq(got[0].data, i + 1);
    }
    for (int i = 0; i < 3; i++) close(clients[i]);
    close(listener);
}
END_TEST

/* As files are on the BSDs, and as no caller wants them. */
START_TEST(file_is_ready_but_at_its_end)
{
    char name[] = "/tmp/hark-kqueue-XXXXXX", byte;
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, "a", 1), 1);
    ck_assert_int_eq(change(fd, EVFILT_READ, EV_ADD), 0);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq(read(fd, &byte, 1), 1);
    ck_assert_int_eq(look(8), 0);
    close(fd);
}
END_TEST

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

START_TEST(timeout_is_never_early)
{
    static const long spans[] = { 1, 1000, 300000, 1000000, 20000001 };
    for (int i = 0; i < 5; i++) {
        struct timespec span = { .tv_nsec = spans[i] };
        int64_t begun = now_ns();
        ck_assert_int_eq(kevent(queue, NULL, 0, got, 8, &span), 0);
        ck_assert_int_ge(now_ns() - begun, spans[i]);
    }
    struct timespec wrong = { .tv_nsec = 1000000000 };
    ck_assert_int_eq(kevent(queue, NULL, 0, got, 8, &wrong), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(timer_is_never_early_and_comes_once_or_again)
{
    struct kevent one;
    int64_t begun = now_ns();
    EV_SET(&one, 3, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, 2000000, NULL);
    ck_assert_int_eq(kevent(queue, &one, 1, got, 8, NULL), 1);
    ck_assert_int_ge(now_ns() - begun, 2000000);
    ck_assert_int_eq(got[0].filter, EVFILT_TIMER);
    ck_assert_int_eq(change(3, EVFILT_TIMER, EV_DELETE), ENOENT);
    EV_SET(&one, 4, EVFILT_TIMER, EV_ADD, 0, 1, NULL);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(kevent(queue, &one, i == 0, got, 8, NULL), 1);
    ck_assert_int_eq(change(4, EVFILT_TIMER, EV_DELETE), 0);
}
END_TEST

/* Rule 8. */
static char folder[] = "/tmp/hark-vnode-XXXXXX";

static const char *at(const char *name)
{
    static char paths[2][64], *path;
    path = path == paths[0] ? paths[1] : paths[0];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int open_at(const char *name, int flags)
{
    int fd = open(at(name), flags | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void watch_vnode(int fd)
{
    struct kevent one;
    unsigned all = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME;
    EV_SET(&one, (uintptr_t)fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, all, 0, &queue);
    ck_assert_int_eq(kevent(queue, &one, 1, NULL, 0, &at_once), 0);
}

/* The one note of fd that has something to tell, which it tells once. */
static void expect_told(int fd, unsigned what)
{
    ck_assert_int_eq(poll(&(struct pollfd){ .fd = queue, .events = POLLIN }, 1, 0), 1);
    ck_assert_int_eq(look(8), 1);
    ck_assert_int_eq((int)got[0].ident, fd);
    ck_assert_uint_eq(got[0].fflags, what);
    ck_assert_ptr_eq(got[0].udata, &queue);
    ck_assert_int_eq(look(8), 0);
}

START_TEST(directory_tells_of_its_entries_and_of_its_own_end)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(mkdir(at("sub"), 0700), 0);
    int sub = open_at("sub", O_RDONLY);
    watch_vnode(sub);
    int fd = open_at("sub/a", O_WRONLY | O_CREAT);
    expect_told(sub, NOTE_WRITE);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(rename(at("sub/a"), at("sub/b")), 0);
    ck_assert_int_eq(unlink(at("sub/b")), 0);
    expect_told(sub, NOTE_WRITE);
    ck_assert_int_eq(rename(at("sub"), at("moved")), 0);
    expect_told(sub, NOTE_RENAME);
    ck_assert_int_eq(rmdir(at("moved")), 0);
    expect_told(sub, NOTE_DELETE);
    close(sub);
    close(fd);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(file_tells_what_is_done_to_it_also_without_a_name)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    int fd = open_at("a", O_RDWR | O_CREAT), copy = dup(fd);
    watch_vnode(fd);
    ck_assert_int_eq(write(copy, "x", 1), 1);
    expect_told(fd, NOTE_WRITE);
    ck_assert_int_eq(fchmod(copy, 0400), 0);
    expect_told(fd, NOTE_ATTRIB);
    ck_assert_int_eq(link(at("a"), at("b")), 0);
    expect_told(fd, NOTE_LINK);
    ck_assert_int_eq(rename(at("a"), at("c")), 0);
    expect_told(fd, NOTE_RENAME);
    ck_assert_int_eq(unlink(at("b")), 0);
    expect_told(fd, NOTE_LINK);
    ck_assert_int_eq(unlink(at("c")), 0);
    expect_told(fd, NOTE_DELETE);
    watch_vnode(copy);
    ck_assert_int_eq(write(copy, "y", 1), 1);
    ck_assert_int_eq(look(8), 2); /* each note of a file tells */
    close(fd); /* rule 1 */
    ck_assert_int_eq(write(copy, "y", 1), 1);
    expect_told(copy, NOTE_WRITE);
    ck_assert_int_eq(dup2(copy, fd), fd);
    ck_assert_int_eq(change(fd, EVFILT_VNODE, EV_DELETE), ENOENT);
    close(fd);
    close(copy);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

static int watch_exit(pid_t pid)
{
    struct kevent one;
    EV_SET(&one, (uintptr_t)pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, NULL);
    return kevent(queue, &one, 1, NULL, 0, &at_once) == 0 ? 0 : errno;
}

/* Rule 9. */
START_TEST(exit_is_told_once_and_not_of_one_that_has_ended)
{
    int status, go[2];
    char byte;
    ck_assert_int_eq(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        _exit(read(go[0], &byte, 1) == 0 ? 3 : 1);
    }
    ck_assert_int_eq(watch_exit(child), 0);
    ck_assert_int_eq(look(8), 0);
    close(go[1]);
    close(go[0]);
    ck_assert_int_eq(kevent(queue, NULL, 0, got, 8, NULL), 1);
    ck_assert_int_eq((int)got[0].ident, child);
    ck_assert_int_eq(got[0].fflags, NOTE_EXIT);
    ck_assert_int_eq(look(8), 0);
    ck_assert_int_eq(watch_exit(child), ESRCH); /* though nobody has waited for it */
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(watch_exit(child), ESRCH);
}
END_TEST

static void hear(int number) { (void)number; }

START_TEST(signal_interrupts_a_wait_when_the_changes_are_made)
{
    struct kevent one = change_of(pair[0], EVFILT_READ, EV_ADD);
    struct sigaction action = { .sa_handler = hear };
    const struct itimerval often = { .it_interval.tv_usec = 1000, .it_value.tv_usec = 1000 },
                           never = { .it_value.tv_usec = 0 };
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    ck_assert_int_eq(kevent(queue, &one, 1, got, 8, NULL), -1);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    put("a", 1);
    ck_assert_int_eq(look(8), 1);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, open_all, close_all);
    tcase_set_timeout(tcase, UNIT_PATIENCE_S);
    tcase_add_test(tcase, test);
    suite_add_tcase(suite, tcase);
}

#define RULE(name) add(suite, #name, name)

int main(void)
{
    Suite *suite = suite_create("kqueue emulator");
    RULE(level_is_told_while_it_lasts);
    RULE(sides_are_told_apart_and_take_turns_where_there_is_room_for_one);
    RULE(close_ends_notes_though_a_copy_is_open);
    RULE(errors_are_those_of_the_manual);
    RULE(failing_change_stops_the_call_without_room_for_it);
    RULE(failing_change_is_an_event_where_there_is_room);
    RULE(receipt_is_an_event_for_each_change);
    RULE(every_change_overwrites_udata_and_none_changes_clear);
    RULE(oneshot_deletes_and_dispatch_disables);
    RULE(clear_tells_a_change_once);
    RULE(disabled_is_not_told);
    RULE(trigger_wakes_a_wait_of_another_thread_once);
    RULE(trigger_with_clear_triggers_nothing);
    RULE(queue_is_readable_while_it_has_something_to_tell);
    RULE(queue_is_not_inherited_by_fork);
    RULE(end_is_told_together_with_what_is_left);
    RULE(listener_tells_its_backlog);
    RULE(file_is_ready_but_at_its_end);
    RULE(timeout_is_never_early);
    RULE(timer_is_never_early_and_comes_once_or_again);
    RULE(directory_tells_of_its_entries_and_of_its_own_end);
    RULE(file_tells_what_is_done_to_it_also_without_a_name);
    RULE(exit_is_told_once_and_not_of_one_that_has_ended);
    RULE(signal_interrupts_a_wait_when_the_changes_are_made);
    return unit_run(suite);
}
