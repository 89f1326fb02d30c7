/* The page of heartbeats: its slots, and what is rare about them. See beat.h. */
#include <unistd.h>

#include "calls.h"
#include "loop/loop.h"

_Alignas(64) struct heartbeat_page hark_heartbeats = {
    .magic = HEARTBEAT_MAGIC, .version = HEARTBEAT_VERSION, .slot_count = HEARTBEAT_SLOTS,
};

uint32_t beats_sampler_sleeps;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hark_loop *loops[HEARTBEAT_SLOTS];

void beats_prepare(void) { call_lock_prepare(&lock); }
void beats_lock(void) { pthread_mutex_lock(&lock); }
void beats_unlock(void) { pthread_mutex_unlock(&lock); }
struct hark_loop *beats_loop(int slot) { return loops[slot]; }

static void begin_page(void)
{
    struct heartbeat_page *page = &hark_heartbeats;
    if (page->pid == getpid()) return;
    for (int i = 0; i < HEARTBEAT_SLOTS; i++) BEAT_STORE(page->slots[i].tid, 0); /* forked */
    page->pid = getpid();
}

void beat_take(struct hark_loop *loop)
{
    beats_lock();
    begin_page();
    for (int i = 0; i < HEARTBEAT_SLOTS && loop->beat == &loop->own_beat; i++) {
        struct heartbeat *beat = &hark_heartbeats.slots[i];
        if (BEAT_LOAD(beat->tid) != 0) continue;
        BEAT_STORE(beat->main_fd, -1);
        BEAT_STORE(beat->is_waiting, 1);
        BEAT_STORE(beat->wants_end, 0);
        BEAT_STORE(beat->since_ns, loop->now);
        BEAT_STORE(beat->turn_count, 0);
        BEAT_STORE(beat->what, 0);
        BEAT_STORE(beat->label, 0);
        loops[i] = loop;
        loop->beat = beat;
        __atomic_store_n(&beat->tid, call_thread_id(), __ATOMIC_RELEASE);
    }
    beats_unlock();
}

void beat_forget(struct hark_loop *loop)
{
    if (loop->beat == &loop->own_beat) return;
    struct hark_loop **slot = &loops[loop->beat - hark_heartbeats.slots];
    if (*slot == loop) { /* else a loop of a child has taken the slot of its parent's */
        *slot = NULL;
        BEAT_STORE(loop->beat->tid, 0);
    }
    loop->beat = &loop->own_beat;
}

void beat_release(struct hark_loop *loop)
{
    beats_lock();
    beat_forget(loop);
    beats_unlock();
}

__attribute__((cold)) void beat_tell_end(struct heartbeat *beat)
{
    BEAT_STORE(beat->ended_ns, clock_read());
    __atomic_store_n(&beat->wants_end, 0, __ATOMIC_RELEASE);
}

/* A turn of a watched loop begins. The sampler announces its sleep and then looks at is_waiting
 * once more; here it is the other way round, so that one of both sees the other. */
__attribute__((cold)) void beat_wake(struct heartbeat *beat)
{
    BEAT_STORE(beat->what, 0);
    BEAT_STORE(beat->label, 0);
    __atomic_store_n(&beat->is_waiting, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&beats_sampler_sleeps, __ATOMIC_SEQ_CST)) stall_seam.wake();
}
