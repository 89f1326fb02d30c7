/* Timers, by the nanosecond and without allocation: a radix wheel.
 *
 * The moment of a timer is read as eleven digits of six bits. A timer lies in the level of the
 * highest digit in which its moment differs from `elapsed`, in the slot of that digit. So all of a
 * level comes before all of the next one, slots come in order, and the slots of level 0 hold one
 * nanosecond each.
 *
 * Rules:
 *  1. elapsed never goes back, and never passes the moment of a timer that is still in the wheel.
 *  2. A slot that elapsed enters is emptied into lower levels, front to back. A timer of the same
 *     moment set later can only be below already if that has happened: so equal moments stay in the
 *     order set.
 *  3. A moment in the past counts as `elapsed`: it fires next, behind what was set before it.
 *  4. A timer that is put off stays where it lies and only notes its new moment; it is moved when
 *     its slot comes. So an idle time-out that is put off a thousand times is moved once. What is
 *     moved so may come behind others of its moment that were set later: then the slot of that
 *     nanosecond is sorted by `order` before it fires. */
#ifndef HARK_BASE_WHEEL_H
#define HARK_BASE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 11 };

/* A place in a circular list. */
struct wheel_link { struct wheel_link *next, *prev; };

struct wheel_timer {
    uint32_t order;    /* which of all settings this was, modulo 2^32 */
    uint32_t owner;    /* not the wheel's */
    struct wheel_link link;
    int64_t when;
};

struct wheel {
    int64_t elapsed;
    int64_t next;                    /* nothing fires before this, if is_next_known */
    bool is_next_known;
    uint32_t levels;                 /* bit: the level has a timer */
    uint32_t set_count;              /* the next order */
    uint64_t unsorted;               /* bit: the slot of level 0 must be sorted. Rule 4 */
    uint64_t slots_used[WHEEL_LEVELS];
    struct wheel_link slots[WHEEL_LEVELS * WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, int64_t now);

/* Puts a timer in; it must not be in a wheel. */
void wheel_insert(struct wheel *wheel, struct wheel_timer *timer, int64_t when);

/* Moves a timer that is in the wheel to a later moment. False: this moment is none, and nothing is
 * done. Rule 4. */
static inline bool wheel_put_off(struct wheel *wheel, struct wheel_timer *timer, int64_t when)
{
    if (when <= timer->when || when <= wheel->elapsed) return false;
    if (timer->when <= wheel->next) wheel->is_next_known = false;
    timer->when = when;
    timer->order = wheel->set_count++;
    return true;
}

/* The wheel's own: a slot has lost its last timer. */
void wheel_mark_empty(struct wheel *wheel, const struct wheel_link *head);

/* The wheel's own: takes a timer out to put it back in. */
static inline void wheel_unlink(struct wheel *wheel, struct wheel_timer *timer)
{
    struct wheel_link *next = timer->link.next, *prev = timer->link.prev;
    __builtin_prefetch(next); /* a store alone waits for its line in the order of the program */
    next->prev = prev;
    prev->next = next;
    if (next == prev) wheel_mark_empty(wheel, next); /* what is left is the head alone */
}

/* Takes a timer out; it must be in the wheel. */
static inline void wheel_remove(struct wheel *wheel, struct wheel_timer *timer)
{
    wheel_unlink(wheel, timer);
    if (timer->when <= wheel->next) wheel->is_next_known = false;
}

/* Takes out the first timer whose moment is not after now; NULL if there is none. */
struct wheel_timer *wheel_expire(struct wheel *wheel, int64_t now);

/* Gives a moment before which nothing fires: exactly that of the first timer, or, where very many
 * lie close together, up to one slot earlier. INT64_MAX: the wheel is empty. */
int64_t wheel_next(struct wheel *wheel);

/* Calls fn for every timer, in no order. */
void wheel_each(const struct wheel *wheel, void (*fn)(struct wheel_timer *, void *), void *arg);

#endif
