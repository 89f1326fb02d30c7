/* The command: runs one seed, or many until the time is over. Each is printed before it runs, so
 * that a crash tells it too.
 *
 *   fuzz [--seconds S] [--first N] [--steps M]     many seeds, from N on
 *   fuzz --seed N [--steps M]                      that one
 *
 * The kernel is chosen by HARK_BACKEND and HARK_URING_MASK. Exit code 77: not offered here. */
#include "fuzz.h"
#include "streams.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct world world;

const struct family *const families[FAMILIES] = {
    &files, &streams, &clocks, &signals, &processes, &watches, &rights,
};

_Noreturn void fail(const char *format, ...)
{
    va_list args;
    const char *backend = getenv("HARK_BACKEND"), *mask = getenv("HARK_URING_MASK");
    fprintf(stderr, "\nfuzz: seed %" PRIu64 " failed at step %u on %s%s%s: ", world.seed,
            world.step, backend != NULL ? backend : "the default backend",
            mask != NULL ? " as of Linux " : "", mask != NULL ? mask : "");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort(); /* where a debugger or a core file shows how it came to this */
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t below(uint32_t bound) { return (uint32_t)(next_random(world.random) >> 32) % bound; }

static int64_t clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * HARK_SECOND + ts.tv_nsec;
}

static int descriptor_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) fail("/proc/self/fd cannot be read");
    int count = 0;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

/* Counts what the loop takes and gives back. */
static void *counted(void *user, void *ptr, size_t old_bytes, size_t new_bytes)
{
    long *balance = user;
    if (new_bytes == 0) {
        *balance -= (long)old_bytes;
        free(ptr);
        return NULL;
    }
    void *bigger = realloc(ptr, new_bytes);
    if (bigger != NULL) *balance += (long)new_bytes - (long)old_bytes;
    return bigger;
}

static void open_world(uint64_t seed)
{
    static const unsigned budgets[] = { 0, 0, 1, 2, 7 };
    memset(&world, 0, sizeof world);
    world.seed = world.main_random = seed;
    world.random = &world.main_random;
    world.plain_listener = world.plain_refuser = -1;
    for (int i = 0; i < DIALED; i++) world.dialed[i] = -1;
    for (int i = 0; i < FAMILIES; i++) world.has_family[i] = one_in(3);
    snprintf(world.directory, sizeof world.directory, "/tmp/hark-fuzz-XXXXXX");
    if (mkdtemp(world.directory) == NULL) fail("no temporary directory can be made");
    struct hark_allocator allocator = { .resize = counted, .user = &world.memory_balance };
    struct hark_loop_options options = {
        .turn_budget = budgets[below(sizeof budgets / sizeof *budgets)],
        .offload_threads = { 1, 2, 1 },
        .allocator = &allocator,
    };
    int error = hark_loop_open(&world.loop, &options);
    if (error != 0) fail("hark_loop_open: %s", hark_strerror(error));
    error = hark_pool_open(&world.pool, world.loop, 1 + below(4), 64 + below(512));
    if (error != 0) fail("hark_pool_open: %s", hark_strerror(error));
}

static void turn(int64_t timeout_ns)
{
    world.is_stepping = true;
    int64_t made = hark_step(world.loop, timeout_ns);
    world.is_stepping = false;
    if (made < 0) fail("hark_step: %s", hark_strerror(made));
}

/* Turns, with peers that read all, until nothing is alive that ought to finish by itself. */
static void settle(void)
{
    int64_t end = clock_now() + PATIENCE_S * HARK_SECOND;
    for (bool is_settled = false; !is_settled;) {
        for (int i = 0; i < LINKS; i++)
            if (world.links[i] != NULL) peer_read(world.links[i], STREAM_MAX);
        for (int i = 0; i < FAMILIES; i++) families[i]->help();
        pool_give_all();
        turn(HARK_MILLISECOND);
        is_settled = true;
        for (int i = 0; i < SLOTS; i++) {
            const struct slot *slot = world.slots[i];
            if (slot == NULL || !model_is_due(slot)) continue;
            is_settled = false;
            if (clock_now() < end) break;
            hark_loop_print(world.loop, stderr);
            fail("promise 2: an op (verb %d, submission %" PRIu64 ") never finishes", slot->verb,
                 slot->number);
        }
    }
}

static bool has_timers(void)
{
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = world.slots[i];
        if (slot == NULL || !slot->is_alive) continue;
        bool is_timer = slot->verb == EVERY || slot->family == &clocks;
        if (is_timer || slot->deadline != 0 || slot->is_hurried) return true;
    }
    return false;
}

/* Turns in 10 ms, up to most. */
static int count_turns(int most)
{
    int64_t end = clock_now() + 10 * HARK_MILLISECOND;
    int turns = 0;
    for (; turns < most && clock_now() < end; turns++) turn(2 * HARK_MILLISECOND);
    return turns;
}

/* Promise 10: with nothing to do, a loop sleeps. It may wake up to drop an interest or two, and a
 * watch may have much to tell, one a turn, and a splice much to move, byte by byte; but that
 * ends. */
static void check_idle(void)
{
    enum { TURNS = 8 * LINKS, TRIES = 50 + 3 * FLOWS * STREAM_MAX / TURNS };
    if (has_timers()) return;
    for (int tries = 0; count_turns(TURNS) == TURNS; tries++)
        if (tries == TRIES) fail("promise 10: an idle loop wakes up all the time");
}

/* The orderly end: each op is canceled, each io closed, and all of it awaited. */
static void wind_up(void)
{
    for (int i = 0; i < SLOTS; i++)
        if (world.slots[i] != NULL) cancel(world.slots[i]);
    settle();
    for (int i = 0; i < LINKS; i++) {
        struct link *link = world.links[i];
        struct slot *slot = slot_idle();
        if (link != NULL && link->state == OPEN && slot != NULL) close_link(link, slot);
    }
    for (int i = 0; i < FAMILIES; i++) families[i]->wind_up();
    settle();
}

static void close_world(void)
{
    world.is_quiet = true;
    settle();
    model_audit();
    if (one_in(2)) wind_up();
    if (one_in(2)) check_idle();
    pool_give_all();
    pool_close_if_unused();
    world.is_closing = world.is_stepping = true;
    hark_loop_close(world.loop);
    world.is_closing = world.is_stepping = false;
    world.loop = NULL;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = world.slots[i];
        if (slot == NULL) continue;
        if (slot->is_alive) fail("promise 2: hark_loop_close() left an op (verb %d)", slot->verb);
        slot_free(slot);
    }
    if (world.pool != NULL) fail("the pool stayed in use after hark_loop_close()");
    for (int i = 0; i < LINKS; i++)
        if (world.links[i] != NULL) link_free(world.links[i]);
    for (int i = 0; i < DIALED; i++)
        if (world.dialed[i] >= 0) close(world.dialed[i]);
    if (world.plain_listener >= 0) close(world.plain_listener);
    if (world.plain_refuser >= 0) close(world.plain_refuser);
    for (int i = 0; i < FAMILIES; i++) families[i]->clear();
    if (rmdir(world.directory) != 0) fail("the temporary directory is not empty");
    if (world.memory_balance != 0) fail("the loop kept %ld bytes", world.memory_balance);
}

static void run_seed(uint64_t seed, unsigned steps)
{
    int before = descriptor_count();
    watchdog_begin(seed);
    open_world(seed);
    for (world.step = 0; world.step < steps; world.step++) {
        if (one_in(3)) turn(one_in(4) ? below(1500) * HARK_MICROSECOND : 0);
        else act();
    }
    close_world();
    watchdog_end();
    int after = descriptor_count();
    if (after != before) fail("%d descriptors before the run, %d after it", before, after);
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text != '\0' && *end == '\0') return value;
    fprintf(stderr, "fuzz: not a number: %s\n", text);
    exit(2);
}

struct options { uint64_t first, steps, seconds; bool is_single; };

static struct options parse(int argc, char **argv)
{
    struct options options = { .first = 1, .steps = 400, .seconds = 4 };
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i];
        if (i + 1 == argc) name = "";
        if (strcmp(name, "--seed") == 0) options.is_single = true;
        if (strcmp(name, "--seed") == 0 || strcmp(name, "--first") == 0)
            options.first = number_of(argv[i + 1]);
        else if (strcmp(name, "--steps") == 0)
            options.steps = number_of(argv[i + 1]);
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = number_of(argv[i + 1]);
        else {
            fprintf(stderr, "usage: fuzz [--seed N | --first N] [--steps M] [--seconds S]\n");
            exit(2);
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0) child_main(argv[2]);
    struct options options = parse(argc, argv);
    const char *backend = getenv("HARK_BACKEND");
    char why[256] = "";
    watchdog_start();
    setvbuf(stdout, NULL, _IONBF, 0);
    if (backend != NULL && hark_backend_probe(backend, why, sizeof why) != 0) {
        printf("skipped: %s: %s\n", backend, why);
        return 77;
    }
    int64_t end = clock_now() + (int64_t)options.seconds * HARK_SECOND;
    uint64_t seed = options.first;
    printf("seeds (the last one printed is the one that failed, if the run breaks off):");
    do {
        printf(" %" PRIu64, seed);
        run_seed(seed++, (unsigned)options.steps);
    } while (!options.is_single && clock_now() < end);
    printf("\n%" PRIu64 " seeds, all well\n", seed - options.first);
    return 0;
}
