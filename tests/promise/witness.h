/* A witness of stalls: the hook of the watch, which copies what it is told, and culprits that hold
 * the loop until it was. So no test depends on how long anything takes. */
#ifndef TESTS_PROMISE_WITNESS_H
#define TESTS_PROMISE_WITNESS_H

#include "harness.h"

#include <pthread.h>

/* A copy of the latest report of each moment. */
struct told {
    struct hark_stall stall;    /* its pointers are only compared with NULL; the texts are here */
    char kind[32], place[128], label[64], fiber[64], fiber_place[128], call[32], target[128];
    bool is_culprit_met;        /* one of the frames lies in a culprit */
    bool is_culprit_certain;
    char culprit[256];          /* how that frame is written */
};

/* What is done on the sampler's thread, after the copy. Set before the watch is on. */
extern void (*witness_then)(const struct hark_stall *stall);

/* Turns the watch on with this hook; the case fails if it cannot be. */
void witness_begin(int64_t budget_ns);

/* How often this moment was told since witness_begin(). */
int witness_count(enum hark_stall_moment moment);

struct told witness_told(enum hark_stall_moment moment);

/* Holds the loop by one callback until that was caught. */
void hold_once(void);

void sleep_for(int64_t ns);

/* Runs turns until the moment was told so often. */
void witness_await(enum hark_stall_moment moment, int count);

/* The latest report that met a culprit; of ThreadSanitizer, that stalls were caught at all. A
 * machine that is busy may not let the culprit answer at the first look. */
struct told witness_met(void);

/* Functions marked so are told apart from all others by where they lie. */
#ifdef _WIN32 /* whose linker sorts these into .text */
#define CULPRIT_PART(part) __attribute__((noinline, section(".text$culprit" part)))
#define CULPRIT CULPRIT_PART("_m")
#else
#define CULPRIT __attribute__((noinline, section("culprits")))
#endif

/* Uses the processor until the moment was told so often; the case fails after PATIENCE_S. */
void compute_until(enum hark_stall_moment moment, int count);

/* The same until witness_met() has something. */
void compute_until_met(void);

/* Holds the loop by a call that waits, and releases it after some looks, each of which could end it
 * too early. *waited is the latest report that met it in a system call. The result is wait()'s:
 * that it did not end early. */
enum { WITNESS_LOOKS = 3 };
bool witness_wait(bool (*wait)(void), void (*release)(void), struct told *waited);

/* What is written on stderr from catch_errors() on. */
void catch_errors(void);
const char *errors(void);

/* Runs a loop with one callback under HARK_STALL=value, with errors caught. */
void run_from_environment(const char *value, hark_done_fn *done);

/* A callback that holds the loop until a report stands on stderr. */
void compute_until_told(struct hark_op *op);

/* ThreadSanitizer hands signals over later, when the stack is another one, and starts no threads
 * after a fork. What the sanitizers put in front of system calls hides who called. On the BSDs no
 * thread can be looked at. */
#if defined(HARK_WITH_KQUEUE)
enum { THREADS_ARE_SEEN = false };
#else
enum { THREADS_ARE_SEEN = true };
#endif
#if defined(__SANITIZE_THREAD__)
enum { IS_TSAN = true, STACKS_ARE_TRUE = false, CALLERS_ARE_SEEN = false };
#elif defined(__SANITIZE_ADDRESS__)
enum { IS_TSAN = false, STACKS_ARE_TRUE = THREADS_ARE_SEEN, CALLERS_ARE_SEEN = false };
#else
enum { IS_TSAN = false, STACKS_ARE_TRUE = THREADS_ARE_SEEN, CALLERS_ARE_SEEN = true };
#endif

#endif
