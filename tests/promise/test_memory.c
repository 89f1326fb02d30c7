/* Promise 14: after a loop is open, starting and finishing ops allocates nothing. Counted twice: in
 * the loop's allocator hook, and by standing in for malloc(3) in this program.
 *
 * The claims of libcheck allocate: none is made while allocations are counted. */
#include "groups.h"
#include "harness.h"
#include "verbs.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static atomic_bool is_counting;
static atomic_int allocation_count;

static void note_allocation(void)
{
    if (is_counting) allocation_count++;
}

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OTHER_MALLOC
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OTHER_MALLOC
#endif

#ifdef HAS_OTHER_MALLOC /* a sanitizer's, which tells by a hook */
/* From <sanitizer/allocator_interface.h>, which not every compiler's package has. */
extern int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void *ptr, size_t bytes),
    void (*on_free)(const volatile void *ptr));

static void note_malloc(const volatile void *ptr, size_t bytes)
{
    (void)ptr, (void)bytes;
    note_allocation();
}

static void note_free(const volatile void *ptr) { (void)ptr; }

static void watch_malloc(void)
{
    ck_assert_int_ne(__sanitizer_install_malloc_and_free_hooks(note_malloc, note_free), 0);
}
#else
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *ptr, size_t bytes);

void *malloc(size_t bytes)
{
    note_allocation();
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    note_allocation();
    return __libc_calloc(count, bytes);
}

void *realloc(void *ptr, size_t bytes)
{
    note_allocation();
    return __libc_realloc(ptr, bytes);
}

static void watch_malloc(void) {} /* the functions above are in its place */
#endif

/* The hook: knows the size of each block, and can fail. */
enum { BLOCKS = 512 };

static struct { void *ptr; size_t bytes; } blocks[BLOCKS];
static int resize_count, wrong_sizes, wrong_threads, left_to_fail = -1;
static pthread_t hook_thread;

static size_t find_block(const void *ptr)
{
    for (size_t i = 0; i < BLOCKS; i++)
        if (blocks[i].ptr == ptr) return i;
    return BLOCKS;
}

static void *resize(void *user, void *ptr, size_t old_bytes, size_t new_bytes)
{
    size_t at = find_block(ptr);
    resize_count++;
    if (user != &resize_count || at == BLOCKS || blocks[at].bytes != old_bytes) wrong_sizes++;
    if (!pthread_equal(hook_thread, pthread_self())) wrong_threads++;
    if (new_bytes == 0) {
        free(ptr);
        blocks[at].ptr = NULL;
        blocks[at].bytes = 0;
        return NULL;
    }
    if (left_to_fail >= 0 && left_to_fail-- == 0) return NULL;
    void *block = realloc(ptr, new_bytes);
    blocks[at].ptr = block;
    blocks[at].bytes = new_bytes;
    return block;
}

static const struct hark_allocator allocator = { .resize = resize, .user = &resize_count };

static int open_hooked(void)
{
    struct hark_loop_options options = { .allocator = &allocator };
    hook_thread = pthread_self();
    return hark_loop_open(&loop, &options);
}

static size_t outstanding(void)
{
    size_t bytes = 0;
    for (size_t i = 0; i < BLOCKS; i++) bytes += blocks[i].bytes;
    return bytes;
}

static void begin_counting(void)
{
    allocation_count = 0;
    resize_count = 0;
    is_counting = true;
}

static void end_counting(void)
{
    is_counting = false;
    ck_assert_msg(allocation_count == 0, "%s: %d allocations", doing, (int)allocation_count);
    ck_assert_msg(resize_count == 0, "%s: %d calls of the hook", doing, resize_count);
}

/* Bounded by time; says nothing, since that would allocate. */
static void step_quietly(const int *count, int wanted)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    while (*count < wanted && clock_now() < end) hark_step(loop, HARK_SECOND);
}

START_TEST(the_counter_counts)
{
    watch_malloc();
    allocation_count = 0;
    is_counting = true;
    void *volatile ptr = malloc(10);
    free(ptr);
    is_counting = false;
    ck_assert_int_ge(allocation_count, 1);
}
END_TEST

START_TEST(no_verb_allocates_however_it_ends)
{
    struct scene scene;
    watch_malloc();
    ck_assert_int_eq(open_hooked(), 0);
    for (int how = 0; how < 3; how++) {
        FOR_EACH_SCENE(&scene) {
            struct probe first = { 0 }, second = { 0 }, third = { 0 };
            bool is_fulfilled = how == 1 && scene_can_fulfil(&scene);
            begin_counting();
            if (how == 2) first.op.deadline_ns = hark_after(loop, HARK_MILLISECOND);
            scene_submit(&scene, &first, 0);
            scene_submit(&scene, &second, 1);
            scene_submit(&scene, &third, 2);
            hark_rearm(&second.op, hark_after(loop, HARK_SECOND * 1000));
            hark_step(loop, 0);
            hark_cancel(&second.op);
            hark_cancel(&third.op);
            step_quietly(&third.last_calls, 1);
            end_counting();
            if (is_fulfilled) scene_fulfil(&scene);
            begin_counting();
            if (is_fulfilled) step_quietly(&first.calls, 1);
            if (how != 2 || scene.verb->is_timer) hark_cancel(&first.op);
            step_quietly(&first.last_calls, 1);
            step_quietly(&second.last_calls, 1);
            end_counting();
            ck_claim(first.last_calls + second.last_calls + third.last_calls == 3);
        }
    }
    hark_loop_close(loop);
    ck_assert_uint_eq(outstanding(), 0);
}
END_TEST

struct echo {
    struct hark_op op;
    struct wire wire;
    char buf[64];
    int rounds;
};

static int echoed;

static void on_echo_received(struct hark_op *op);

static void on_echo_sent(struct hark_op *op)
{
    struct echo *echo = op->user;
    echoed++;
    hark_recv(op, &echo->wire.io, echo->buf, sizeof echo->buf, on_echo_received);
}

static void on_echo_received(struct hark_op *op)
{
    struct echo *echo = op->user;
    if (op->result <= 0) return;
    hark_send(op, &echo->wire.io, echo->buf, (size_t)op->result, on_echo_sent);
}

START_TEST(an_echo_allocates_nothing)
{
    enum { ECHOES = 20, ROUNDS = 20 };
    static struct echo echoes[ECHOES];
    watch_malloc();
    ck_assert_int_eq(open_hooked(), 0);
    for (int i = 0; i < ECHOES; i++) {
        ck_assert(wire_open(&echoes[i].wire, i % 2 == 0 ? WIRE_TCP4 : WIRE_UNIX));
        echoes[i].op.user = &echoes[i];
    }
    begin_counting();
    for (int i = 0; i < ECHOES; i++)
        hark_recv(&echoes[i].op, &echoes[i].wire.io, echoes[i].buf, 64, on_echo_received);
    bool is_right = true;
    for (int round = 1; round <= ROUNDS; round++) {
        char back[5];
        for (int i = 0; i < ECHOES; i++)
            is_right = is_right && write(echoes[i].wire.peer, "hello", 5) == 5;
        step_quietly(&echoed, round * ECHOES);
        for (int i = 0; i < ECHOES; i++)
            is_right = is_right && recv(echoes[i].wire.peer, back, 5, MSG_DONTWAIT) == 5;
    }
    end_counting();
    ck_assert(is_right);
    for (int i = 0; i < ECHOES; i++) wire_close(&echoes[i].wire);
    hark_loop_close(loop);
    ck_assert_uint_eq(outstanding(), 0);
}
END_TEST

static int done_count;

static void count_done(struct hark_op *op)
{
    if (!op->more) done_count++;
}

START_TEST(thousands_of_timers_nops_and_posts_allocate_nothing)
{
    enum { OPS = 3000 };
    static struct hark_op timers[OPS], nops[OPS], posts[OPS];
    watch_malloc();
    ck_assert_int_eq(open_hooked(), 0);
    begin_counting();
    for (int i = 0; i < OPS; i++) {
        hark_timer(&timers[i], loop, hark_after(loop, (int64_t)i * 12345678), count_done);
        hark_nop(&nops[i], loop, count_done);
        hark_post(&posts[i], loop, count_done);
    }
    step_quietly(&done_count, 2 * OPS);
    for (int i = 0; i < OPS; i++) hark_rearm(&timers[i], hark_after(loop, i));
    step_quietly(&done_count, 3 * OPS);
    end_counting();
    ck_assert_int_eq(done_count, 3 * OPS);
    hark_loop_close(loop);
}
END_TEST

static sem_t may_post, has_started;

static void *post_from_thread(void *arg)
{
    struct hark_op *ops = arg;
    sem_post(&has_started); /* a thread's beginning may allocate */
    while (sem_wait(&may_post) != 0) continue;
    for (int i = 0; i < 1000; i++) hark_post(&ops[i], loop, count_done);
    return NULL;
}

START_TEST(posts_from_another_thread_allocate_nothing)
{
    static struct hark_op ops[1000];
    pthread_t thread;
    watch_malloc();
    sem_init(&may_post, 0, 0);
    sem_init(&has_started, 0, 0);
    ck_assert_int_eq(open_hooked(), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, post_from_thread, ops), 0);
    while (sem_wait(&has_started) != 0) continue;
    begin_counting();
    sem_post(&may_post);
    step_quietly(&done_count, 1000);
    end_counting();
    pthread_join(thread, NULL);
    ck_assert_int_eq(done_count, 1000);
    hark_loop_close(loop);
    ck_assert_int_eq(wrong_threads, 0);
}
END_TEST

static int64_t work_nothing(struct hark_op *op)
{
    (void)op;
    return 0;
}

START_TEST(work_on_threads_that_are_there_allocates_nothing)
{
    static struct hark_op op;
    struct hark_loop_options options = { .allocator = &allocator, .offload_threads = { 1, 1, 1 } };
    watch_malloc();
    hook_thread = pthread_self();
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    hark_offload(&op, loop, HARK_OFFLOAD_WORK, work_nothing, count_done);
    step_quietly(&done_count, 1);
    begin_counting();
    for (int i = 2; i < 200; i++) {
        hark_offload(&op, loop, HARK_OFFLOAD_WORK, work_nothing, count_done);
        step_quietly(&done_count, i);
    }
    end_counting();
    hark_loop_close(loop);
    ck_assert_int_eq(wrong_threads, 0);
    ck_assert_uint_eq(outstanding(), 0);
}
END_TEST

/* The first one makes a buffer, or a thread. */
START_TEST(a_file_after_the_first_is_sent_without_an_allocation)
{
    static struct hark_op op;
    struct hark_loop_options options = { .allocator = &allocator, .offload_threads = { 1, 1, 1 } };
    struct wire wire;
    struct hark_file file = { 0 };
    char buf[8];
    watch_malloc();
    hook_thread = pthread_self();
    ck_assert_int_eq(hark_loop_open(&loop, &options), 0);
    ck_assert(wire_open(&wire, WIRE_UNIX));
    char name[] = "/tmp/hark-memory-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    write_all(fd, "abc", 3);
    ck_assert_int_eq(hark_file_adopt(&file, loop, fd), 0);
    struct hark_range range = { &file, 0, 3 };
    hark_send_file(&op, &wire.io, &range, count_done);
    step_quietly(&done_count, 1);
    begin_counting();
    for (int i = 2; i < 100; i++) {
        hark_send_file(&op, &wire.io, &range, count_done);
        step_quietly(&done_count, i);
        (void)!recv(wire.peer, buf, sizeof buf, MSG_DONTWAIT); /* keeps room in the socket */
    }
    end_counting();
    ck_assert_int_eq(op.result, 3);
    hark_loop_close(loop);
    close(wire.peer);
    ck_assert_int_eq(wrong_threads, 0);
    ck_assert_uint_eq(outstanding(), 0);
}
END_TEST

/* The hook is told the true old size of every block and gets all of them back. */
START_TEST(the_hook_gives_and_takes_all_memory)
{
    enum { WIRES = 80 };
    static struct wire wires[WIRES];
    struct hark_pool *pool;
    ck_assert_int_eq(open_hooked(), 0);
    ck_assert_int_gt(resize_count, 0);
    for (int i = 0; i < WIRES; i++) ck_assert(wire_open(&wires[i], WIRE_UNIX));
    size_t before = outstanding();
    ck_assert_int_eq(hark_pool_open(&pool, loop, 10, 1000), 0);
    ck_assert_uint_ge(outstanding(), before + 10 * 1000);
    ck_assert_int_eq(hark_pool_close(pool), 0);
    ck_assert_uint_eq(outstanding(), before);
    for (int i = 0; i < WIRES; i++) wire_close(&wires[i]);
    hark_loop_close(loop);
    ck_assert_uint_eq(outstanding(), 0);
    ck_assert_int_eq(wrong_sizes, 0);
    ck_assert_int_eq(wrong_threads, 0);
}
END_TEST

START_TEST(no_memory_is_an_error_of_the_opening_and_leaks_nothing)
{
    int before = open_descriptor_count(), n = 0;
    struct hark_pool *pool = NULL;
    for (;; n++) {
        left_to_fail = n;
        int error = open_hooked();
        if (error == 0) break;
        ck_assert_int_eq(error, HARK_ENOMEM);
        ck_assert_ptr_null(loop);
        ck_assert_uint_eq(outstanding(), 0);
        ck_assert_int_eq(open_descriptor_count(), before);
        ck_assert_int_lt(n, 100);
    }
    ck_assert_int_gt(n, 1);
    size_t bytes = outstanding();
    for (n = 0;; n++) {
        left_to_fail = n;
        int error = hark_pool_open(&pool, loop, 10, 1000);
        if (error == 0) break;
        ck_assert_int_eq(error, HARK_ENOMEM);
        ck_assert_ptr_null(pool);
        ck_assert_uint_eq(outstanding(), bytes);
        ck_assert_int_lt(n, 100);
    }
    left_to_fail = -1;
    ck_assert_int_gt(n, 1);
    ck_assert_int_eq(hark_pool_close(pool), 0);
    hark_loop_close(loop);
    ck_assert_uint_eq(outstanding(), 0);
    ck_assert_int_eq(wrong_sizes, 0);
}
END_TEST

/* Adopting may need memory; without it the descriptor remains the caller's, and all goes on. */
START_TEST(no_memory_for_an_io_leaves_the_descriptor_with_the_caller)
{
    enum { FDS = 150 };
    static struct hark_io ios[FDS];
    int fds[FDS], refused = 0;
    ck_assert_int_eq(open_hooked(), 0);
    for (int i = 0; i < FDS; i++) {
        fds[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fds[i], 0);
        left_to_fail = i % 3;
        int error = hark_io_adopt(&ios[i], loop, fds[i]);
        left_to_fail = 0;
        if (error == HARK_ENOMEM) {
            refused++;
            ck_assert(!hark_io_is_open(&ios[i]));
            left_to_fail = -1;
            error = hark_io_adopt(&ios[i], loop, fds[i]);
        }
        ck_assert_int_eq(error, 0);
    }
    left_to_fail = -1;
    ck_assert_int_gt(refused, 0); /* a table grows somewhere within so many */
    for (int i = 0; i < FDS; i++) close_io(&ios[i]);
    hark_loop_close(loop);
    ck_assert_uint_eq(outstanding(), 0);
    ck_assert_int_eq(wrong_sizes, 0);
}
END_TEST

/* An idle connection pins no buffer. */
START_TEST(receives_into_a_pool_hold_no_buffer_while_nothing_arrives)
{
    enum { WIRES = 10 };
    struct wire wires[WIRES];
    struct hark_op ops[WIRES];
    struct hark_pool *pool;
    memset(ops, 0, sizeof ops);
    ck_assert_int_eq(hark_pool_open(&pool, loop, 1, 64), 0);
    for (int i = 0; i < WIRES; i++) {
        ck_assert(wire_open(&wires[i], WIRE_UNIX));
        hark_recv_pool(&ops[i], &wires[i].io, pool, count_done);
    }
    spin(3);
    ck_assert_uint_eq(hark_pool_out_count(pool), 0);
    for (int i = 0; i < WIRES; i++) wire_close(&wires[i]);
    ck_assert_int_eq(done_count, WIRES);
    ck_assert_int_eq(hark_pool_close(pool), 0);
}
END_TEST

Suite *group_memory(void)
{
    Suite *suite = suite_create("memory");
    BARE_CASE(suite, the_counter_counts);
    BARE_CASE(suite, no_verb_allocates_however_it_ends);
    BARE_CASE(suite, an_echo_allocates_nothing);
    BARE_CASE(suite, thousands_of_timers_nops_and_posts_allocate_nothing);
    BARE_CASE(suite, posts_from_another_thread_allocate_nothing);
    BARE_CASE(suite, work_on_threads_that_are_there_allocates_nothing);
    BARE_CASE(suite, a_file_after_the_first_is_sent_without_an_allocation);
    BARE_CASE(suite, the_hook_gives_and_takes_all_memory);
    BARE_CASE(suite, no_memory_is_an_error_of_the_opening_and_leaks_nothing);
    BARE_CASE(suite, no_memory_for_an_io_leaves_the_descriptor_with_the_caller);
    CASE(suite, receives_into_a_pool_hold_no_buffer_while_nothing_arrives);
    return suite;
}
