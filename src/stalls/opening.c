/* The thread that opens a target. Until it says that it is over, the target is its own.
 *
 *   OPENING ---- open_target() ----> OVER ----- opening_end() ----> closed there
 *      \---- opening_end() ----> UNWANTED ---- open_target() ----> closed here
 *
 * Nobody waits for it: a program that ends or becomes another one in its first moments would hold
 * the watch until the names of what is gone are read. */
#include "stalls/opening.h"

#include <pthread.h>
#include <stdlib.h>

#include "stalls/pulse.h"

enum state { OPENING, OVER, UNWANTED };

struct opening {
    enum state state;
    pid_t pid;
    pthread_t thread;
    struct target target;
    bool has_target;
    char why[TEXT_ROOM];
};

static bool has_left_a_thread;

static void discard(struct opening *opening)
{
    if (opening->has_target) target_close(&opening->target);
    free(opening);
}

static void *open_target(void *arg)
{
    struct opening *opening = arg;
    struct target *target = &opening->target;
    opening->has_target = target_open(target, opening->pid, opening->why, TEXT_ROOM) == 0;
    if (opening->has_target && __atomic_load_n(&opening->state, __ATOMIC_RELAXED) == OPENING)
        native_warm(target->native);
    if (__atomic_exchange_n(&opening->state, OVER, __ATOMIC_ACQ_REL) == UNWANTED) discard(opening);
    return NULL;
}

/* The watch has blocked the signals that are its own, and the thread inherits that. */
struct opening *opening_begin(pid_t pid)
{
    struct opening *opening = calloc(1, sizeof *opening);
    if (opening == NULL) return NULL;
    opening->pid = pid;
    if (pthread_create(&opening->thread, NULL, open_target, opening) == 0) return opening;
    free(opening);
    return NULL;
}

bool opening_is_over(struct opening *opening)
{
    return __atomic_load_n(&opening->state, __ATOMIC_ACQUIRE) == OVER;
}

struct target *opening_target(struct opening *opening, const char **why)
{
    *why = opening->why;
    return opening->has_target ? &opening->target : NULL;
}

void opening_end(struct opening *opening)
{
    if (opening == NULL) return;
    pthread_t thread = opening->thread; /* which is there, and asked for its end only here */
    if (__atomic_exchange_n(&opening->state, UNWANTED, __ATOMIC_ACQ_REL) == OVER) {
        (void)pthread_join(thread, NULL); /* at its last line */
        discard(opening);
    } else {
        (void)pthread_detach(thread);
        has_left_a_thread = true;
    }
}

bool opening_has_left_a_thread(void) { return has_left_a_thread; }
