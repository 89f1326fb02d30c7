/* Signals: each listener hears each delivery, and without one the program's own handler does. */
#include "fuzz.h"

#include <signal.h>

enum signal_verb { SIGNAL_HEAR = FAMILY_VERBS + 48 };

struct ear {
    struct hark_signal signal;
    int64_t owed;              /* delivered, and not told yet */
    int64_t late;              /* delivered after a cancel: may be told */
};

static const int numbers[] = { SIGUSR1, SIGUSR2, SIGWINCH };
static volatile sig_atomic_t plain_count;

static void on_plain(int number)
{
    (void)number;
    plain_count++;
}

static void listen_for(int number)
{
    struct slot *slot = slot_prepare(&signals, SIGNAL_HEAR, NULL);
    if (slot == NULL) return;
    struct ear *ear = slot_take_memory(slot, sizeof *ear);
    slot->was_closed = world.is_closing;
    slot->is_repeating = true;
    slot->place = (size_t)number;
    hark_signal(&slot->op, &ear->signal, world.loop, number, model_called);
}

/* A listener that was canceled, or whose deadline may have passed, may still be there or not. */
static void deliver(int number)
{
    int heard = 0, unsure = 0;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = world.slots[i];
        if (slot == NULL || !slot->is_alive || slot->family != &signals || slot->was_closed)
            continue;
        if (slot->place != (size_t)number) continue;
        struct ear *ear = slot->memory;
        if (slot->is_asked) ear->late++;
        else ear->owed++;
        if (slot->is_asked || slot->deadline != 0) unsure++;
        else heard++;
    }
    int before = plain_count;
    raise(number);
    if (heard != 0 && plain_count != before) fail("a signal went to the earlier handler");
    if (heard + unsure == 0 && plain_count != before + 1) fail("a signal went to nobody");
}

static void act_on_signals(void)
{
    int number = numbers[below(sizeof numbers / sizeof *numbers)];
    static bool has_handlers;
    for (size_t i = 0; !has_handlers && i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], on_plain);
    has_handlers = true;
    if (one_in(3)) listen_for(number);
    else deliver(number);
}

static bool is_due(const struct slot *slot)
{
    return ((const struct ear *)slot->memory)->owed != 0;
}

static void check(struct slot *slot, bool is_decision)
{
    struct ear *ear = slot->memory;
    int64_t result = slot->op.result;
    if (is_decision) {
        if (ear->owed != 0 && slot->deadline == 0) wrong(slot, "promise 5: a signal was lost");
        return;
    }
    if (result < 1 || result > ear->owed + ear->late) wrong(slot, "more signals than there were");
    if (ear->signal.number != (int)slot->place) wrong(slot, "another signal");
    ear->owed = result < ear->owed ? ear->owed - result : 0;
}

static void nothing(void) {} /* nobody needs help to raise a signal */
static size_t no_ios(void) { return 0; }

const struct family signals = {
    .act = act_on_signals, .is_due = is_due, .check = check, .help = nothing, .audit = no_ios,
    .wind_up = nothing, .clear = nothing,
};
