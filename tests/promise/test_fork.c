/* Trap 4: a forked child closes its parent's loop, or opens one of its own, and the parent's goes
 * on as if nothing had been. */
#include "children.h"
#include "groups.h"

#include "base/heartbeat.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern struct heartbeat_page hark_heartbeats;

static void expect_child(pid_t child)
{
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child: status %x", status);
}

static int64_t work(struct hark_op *op)
{
    (void)op;
    return 7;
}

struct scene {
    struct wire wire;
    struct listener listener;
    struct probe receiving, accepting, timer, wall, working;
    char buf[8];
};

static void open_scene(struct scene *scene)
{
    ck_assert(wire_open(&scene->wire, WIRE_TCP4));
    ck_assert(listener_open(&scene->listener, WIRE_TCP4));
    hark_recv(&scene->receiving.op, &scene->wire.io, scene->buf, sizeof scene->buf, on_probe);
    hark_accept(&scene->accepting.op, &scene->listener.io, on_probe);
    hark_timer(&scene->timer.op, loop, hark_after(loop, 20 * HARK_MILLISECOND), on_probe);
    hark_timer_wall(&scene->wall.op, loop, hark_wall_now() + 20 * HARK_MILLISECOND, on_probe);
    hark_offload(&scene->working.op, loop, HARK_OFFLOAD_WORK, work, on_probe);
    spin(3);
    ck_assert_int_eq(scene->receiving.calls + scene->accepting.calls, 0);
}

/* Everything that waited comes, and new ops work. */
static void expect_alive(struct scene *scene)
{
    struct probe sending = { 0 }, again = { 0 };
    write_all(scene->wire.peer, "hark", 4);
    await(&scene->receiving);
    ck_assert_result(&scene->receiving, 4);
    int client = listener_dial(&scene->listener);
    await_calls(&scene->accepting, 1);
    ck_assert_int_ge(scene->accepting.result, 0);
    close((int)scene->accepting.result);
    close(client);
    await(&scene->timer);
    await(&scene->wall);
    await(&scene->working);
    ck_assert_result(&scene->working, 7);
    hark_send(&sending.op, &scene->wire.io, "x", 1, on_probe);
    hark_recv(&again.op, &scene->wire.io, scene->buf, sizeof scene->buf, on_probe);
    spin(3);
    write_all(scene->wire.peer, "yz", 2);
    await(&again);
    await(&sending);
    ck_assert_result(&again, 2);
    hark_cancel(&scene->accepting.op);
    close_io(&scene->listener.io);
    wire_close(&scene->wire);
}

START_TEST(a_child_that_closes_the_loop_takes_nothing_from_the_parent)
{
    static struct scene scene;
    open_scene(&scene);
    int before = open_descriptor_count(), called = scene.timer.calls; /* on a busy machine */
    pid_t child = fork();
    if (child == 0) {
        int fd = scene.wire.io.fd;
        hark_loop_close(loop);
        bool are_closed = open_descriptor_count() < before && write(fd, "x", 1) < 0;
        int now = scene.receiving.calls + scene.accepting.calls + scene.timer.calls;
        _exit(!are_closed || now != called);
    }
    expect_child(child);
    expect_alive(&scene);
}
END_TEST

/* kqueue(2) is not inherited: its number is the next that the child is given. */
START_TEST(a_child_keeps_what_it_has_opened_meanwhile)
{
    enum { COUNT = 100 };
    static struct scene scene;
    struct hark_process process = { 0 };
    static struct hark_watch watch;
    static struct probe watching; /* until the loop is closed */
    open_scene(&scene);
    hark_watch(&watching.op, &watch, loop, "/usr", NULL, on_probe);
    await_calls(&watching, 1);
    start(&process, &(struct hark_process_options){ .argv = forever });
    pid_t child = fork();
    if (child == 0) {
        int fds[COUNT];
        for (int i = 0; i < COUNT; i++) fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        hark_loop_close(loop);
        for (int i = 0; i < COUNT; i++)
            if (fds[i] >= 0 && fcntl(fds[i], F_GETFD) < 0) _exit(1);
        _exit(0);
    }
    expect_child(child);
    expect_alive(&scene);
    ck_assert_int_eq(watching.last_calls, 0);
    finish(&process);
}
END_TEST

/* What the kernel shows where the ring's memory was may be the child's own by then. */
START_TEST(a_child_keeps_what_it_has_mapped_meanwhile)
{
    static struct scene scene;
    open_scene(&scene);
    pid_t child = fork();
    if (child == 0) {
        enum { PIECES = 200, BYTES = 4096 };
        static char *pieces[PIECES];
        for (int i = 0; i < PIECES; i++) {
            pieces[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                             0);
            pieces[i][0] = (char)i;
        }
        hark_loop_close(loop);
        for (int i = 0; i < PIECES; i++)
            if (pieces[i][0] != (char)i) _exit(1); /* or it dies of it */
        _exit(0);
    }
    expect_child(child);
    expect_alive(&scene);
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* it allows no thread in a child of a program that had some */
static bool works(struct hark_loop *own)
{
    static struct hark_io io; /* the close of the loop still needs it */
    struct probe receiving = { 0 }, timer = { 0 }, posting = { 0 }, working = { 0 };
    char buf[4];
    int fds[2];
    if (!plain_pair(fds, WIRE_UNIX) || hark_io_adopt(&io, own, fds[0]) != 0) return false;
    hark_recv(&receiving.op, &io, buf, sizeof buf, on_probe);
    hark_timer(&timer.op, own, hark_after(own, HARK_MILLISECOND), on_probe);
    hark_post(&posting.op, own, on_probe);
    hark_offload(&working.op, own, HARK_OFFLOAD_WORK, work, on_probe);
    write_all(fds[1], "x", 1);
    return hark_run(own) == 0 && receiving.result == 1 && working.result == 7 &&
           timer.calls == 1 && posting.calls == 1;
}

/* The pool's thread has begun before: a lock of the sanitizer that it held meanwhile would stay so
 * in the child. */
START_TEST(a_child_may_open_a_loop_of_its_own)
{
    static struct scene scene;
    open_scene(&scene);
    await(&scene.working);
    pid_t child = fork();
    if (child == 0) {
        struct hark_loop *own;
        hark_loop_close(loop);
        if (hark_loop_open(&own, NULL) != 0 || !works(own)) _exit(1);
        hark_loop_close(own);
        _exit(0);
    }
    expect_child(child);
    expect_alive(&scene);
}
END_TEST
#endif

/* Its first loop takes the first slot in the page of heartbeats, which was the parent's. */
START_TEST(the_loop_of_a_child_is_seen_also_after_the_close_of_the_one_of_its_parent)
{
    spin(1);
    pid_t child = fork();
    if (child == 0) {
        struct hark_loop *own;
        int tid = gettid(), seen = 0;
        if (hark_loop_open(&own, NULL) != 0 || hark_step(own, 0) != 0) _exit(1);
        hark_loop_close(loop);
        for (int i = 0; i < HEARTBEAT_SLOTS; i++) seen += hark_heartbeats.slots[i].tid == tid;
        hark_loop_close(own);
        _exit(seen != 1);
    }
    expect_child(child);
}
END_TEST

static void fork_in_callback(struct probe *probe)
{
    pid_t child = fork();
    if (child == 0) {
        hark_loop_close(loop);
        _exit(0);
    }
    *(pid_t *)probe->arg = child;
}

START_TEST(a_child_may_be_forked_in_a_callback)
{
    static struct scene scene;
    pid_t child = -1;
    struct probe nothing = { .then = fork_in_callback, .arg = &child };
    open_scene(&scene);
    hark_nop(&nothing.op, loop, on_probe);
    await(&nothing);
    expect_child(child);
    expect_alive(&scene);
}
END_TEST

START_TEST(a_child_that_closes_a_lent_loop_leaves_it_lent)
{
    static struct scene scene;
    open_scene(&scene);
    int fd = hark_loop_fd(loop);
    pid_t child = fork();
    if (child == 0) {
        hark_loop_close(loop);
        _exit(0);
    }
    expect_child(child);
    hark_step(loop, 0);
    write_all(scene.wire.peer, "hark", 4);
    ck_assert(is_ready(fd, 1, 10000));
    while (scene.receiving.calls == 0) ck_assert_int_ge(hark_step(loop, HARK_SECOND), 0);
    hark_recv(&scene.receiving.op, &scene.wire.io, scene.buf, sizeof scene.buf, on_probe);
    scene.receiving.calls = scene.receiving.last_calls = 0;
    expect_alive(&scene);
}
END_TEST

Suite *group_fork(void)
{
    Suite *suite = suite_create("fork");
    CASE(suite, a_child_that_closes_the_loop_takes_nothing_from_the_parent);
    CASE(suite, a_child_keeps_what_it_has_opened_meanwhile);
    CASE(suite, a_child_keeps_what_it_has_mapped_meanwhile);
#ifndef __SANITIZE_THREAD__
    CASE(suite, a_child_may_open_a_loop_of_its_own);
#endif
    CASE(suite, the_loop_of_a_child_is_seen_also_after_the_close_of_the_one_of_its_parent);
    CASE(suite, a_child_may_be_forked_in_a_callback);
    CASE(suite, a_child_that_closes_a_lent_loop_leaves_it_lent);
    return suite;
}
