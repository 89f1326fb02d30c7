/* What a loop publishes about itself: whether it waits, since when, and, while it is watched, whose
 * callback runs. Plain stores by the loop's thread; see base/heartbeat.h for who reads them. */
#ifndef HARK_LOOP_BEAT_H
#define HARK_LOOP_BEAT_H

#include <hark/api.h>

#include "backend/backend.h"
#include "base/check.h"
#include "base/heartbeat.h"

#define BEAT_LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define BEAT_STORE(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

enum { BEAT_FIBERS = OP_KINDS }; /* the kind told while fibers of the ready queue run */

extern HARK_API struct heartbeat_page hark_heartbeats;

/* A slot of the page for a loop that its thread runs for the first time; without a free one it goes
 * on unseen. */
void beat_take(struct hark_loop *loop);
void beat_release(struct hark_loop *loop);
void beat_forget(struct hark_loop *loop); /* in a child that was forked: nobody else is there */

/* While they are locked no slot changes its loop, and no loop in the page goes away. */
void beats_prepare(void); /* its first lock allocates nothing, then */
void beats_lock(void);
void beats_unlock(void);
struct hark_loop *beats_loop(int slot);

void beat_tell_end(struct heartbeat *beat);
void beat_wake(struct heartbeat *beat);

/* The sampler of the watch sleeps until a turn begins. */
extern uint32_t beats_sampler_sleeps;

/* The turn is over: a wait begins, or a run ends. */
static inline void beat_wait(struct heartbeat *beat)
{
    if (HARK_UNLIKELY(BEAT_LOAD(beat->wants_end))) beat_tell_end(beat);
    BEAT_STORE(beat->is_waiting, 1);
}

/* A wait has ended. */
static inline void beat_turn(struct heartbeat *beat, int64_t now)
{
    BEAT_STORE(beat->since_ns, now);
    BEAT_STORE(beat->turn_count, beat->turn_count + 1);
    __atomic_store_n(&beat->is_waiting, 0, __ATOMIC_RELEASE);
    if (HARK_UNLIKELY(BEAT_LOAD(beat->is_watched))) beat_wake(beat);
}

/* The callback of an op begins. label is NULL again in it, and the op is the caller's, so that both
 * are told before. */
static inline void beat_callback(struct heartbeat *beat, const struct hark_op *op)
{
    uint64_t count = (beat->label >> HEARTBEAT_COUNT_SHIFT) + 1;
    uint64_t low = (UINT64_C(1) << HEARTBEAT_COUNT_SHIFT) - 1;
    BEAT_STORE(beat->what, (uintptr_t)op->place | (uint64_t)op->kind << HEARTBEAT_KIND_SHIFT);
    BEAT_STORE(beat->label, ((uintptr_t)op->label & low) | count << HEARTBEAT_COUNT_SHIFT);
}

#endif
