/* Timers of the wall clock and the boot clock: never early, and in the order of their moments. */
#include "fuzz.h"

enum clock_verb { CLOCK_WALL = FAMILY_VERBS + 32, CLOCK_BOOT };

struct moment { int64_t when; };

static int64_t now_of(int verb)
{
    return verb == CLOCK_WALL ? hark_wall_now() : hark_boot_now();
}

static void act_on_clocks(void)
{
    int verb = one_in(2) ? CLOCK_WALL : CLOCK_BOOT;
    struct slot *slot = slot_prepare(&clocks, verb, NULL);
    if (slot == NULL) return;
    struct moment *moment = slot_take_memory(slot, sizeof *moment);
    moment->when = some_moment(now_of(verb));
    slot->was_closed = world.is_closing;
    if (verb == CLOCK_WALL)
        hark_timer_wall(&slot->op, world.loop, moment->when, model_called);
    else hark_timer_boot(&slot->op, world.loop, moment->when, model_called);
}

static bool is_due(const struct slot *slot)
{
    const struct moment *moment = slot->memory;
    return moment->when - now_of(slot->verb) < HARK_SECOND;
}

/* One that was due before must not come after, if both were there when the clock was looked at. */
static void check(struct slot *slot, bool is_decision)
{
    const struct moment *moment = slot->memory;
    if (is_decision) return;
    if (slot->op.result != 0) wrong(slot, "a timer of another clock cannot say that");
    if (now_of(slot->verb) < moment->when) wrong(slot, "promise 9: a timer is early");
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *other = world.slots[i];
        if (other == NULL || !other->is_alive || other == slot || other->verb != slot->verb)
            continue;
        const struct moment *theirs = other->memory;
        bool is_first = theirs->when < moment->when ||
                        (theirs->when == moment->when && other->number < slot->number);
        if (other->number < slot->number && is_first && !other->is_asked && other->deadline == 0)
            wrong(slot, "promise 9: a timer comes before one that is due earlier");
    }
}

static void nothing(void) {} /* clocks have no peers, and nothing of theirs is closed */
static size_t no_ios(void) { return 0; }

const struct family clocks = {
    .act = act_on_clocks, .is_due = is_due, .check = check, .help = nothing, .audit = no_ios,
    .wind_up = nothing, .clear = nothing,
};
