/* The radix wheel: see wheel.h for its rules. Insert and remove touch one list; a timer that fires
 * has moved down at most ten times, in practice two or three. */
#include "base/wheel.h"

#include "base/check.h"
#include "base/limits.h"

void wheel_init(struct wheel *wheel, int64_t now)
{
    wheel->elapsed = now;
    wheel->is_next_known = false;
    wheel->levels = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++) wheel->slots_used[level] = 0;
    for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].prev = &wheel->slots[i];
}

static void place(struct wheel *wheel, struct wheel_timer *timer)
{
    uint64_t elapsed = (uint64_t)wheel->elapsed;
    uint64_t when = timer->when > wheel->elapsed ? (uint64_t)timer->when : elapsed; /* rule 3 */
    unsigned level = (63u - (unsigned)__builtin_clzll((when ^ elapsed) | 1)) / WHEEL_BITS;
    unsigned slot = when >> (level * WHEEL_BITS) & (WHEEL_SLOTS - 1);
    struct wheel_link *head = &wheel->slots[level * WHEEL_SLOTS + slot];
    struct wheel_link *last = head->prev;
    timer->link.next = head;
    timer->link.prev = last;
    last->next = &timer->link;
    head->prev = &timer->link;
    wheel->slots_used[level] |= UINT64_C(1) << slot;
    wheel->levels |= 1u << level;
}

void wheel_insert(struct wheel *wheel, struct wheel_timer *timer, int64_t when)
{
    timer->when = when;
    if (when < wheel->next) wheel->next = when; /* of no meaning while not known */
    place(wheel, timer);
}

static void mark_empty(struct wheel *wheel, const struct wheel_link *head)
{
    unsigned index = (unsigned)(head - wheel->slots);
    unsigned level = index / WHEEL_SLOTS;
    wheel->slots_used[level] &= ~(UINT64_C(1) << index % WHEEL_SLOTS);
    if (wheel->slots_used[level] == 0) wheel->levels &= ~(1u << level);
    wheel->is_next_known = false;
}

void wheel_remove(struct wheel *wheel, struct wheel_timer *timer)
{
    struct wheel_link *next = timer->link.next, *prev = timer->link.prev;
    next->prev = prev;
    prev->next = next;
    if (next == prev) mark_empty(wheel, next); /* what is left is the head alone */
    if (timer->when <= wheel->next) wheel->is_next_known = false;
}

/* The first slot in order of time, and the moment at which it begins. The wheel is not empty. */
static struct wheel_link *first_slot(const struct wheel *wheel, unsigned *level, int64_t *begins)
{
    *level = (unsigned)__builtin_ctz(wheel->levels);
    unsigned slot = (unsigned)__builtin_ctzll(wheel->slots_used[*level]);
    unsigned shift = *level * WHEEL_BITS;
    unsigned next_shift = shift + WHEEL_BITS;
    uint64_t above = next_shift >= 64 ? 0 : (uint64_t)wheel->elapsed >> next_shift;
    uint64_t digits = shift + WHEEL_BITS >= 64 ? slot : above << WHEEL_BITS | slot;
    *begins = (int64_t)(digits << shift);
    return (struct wheel_link *)&wheel->slots[*level * WHEEL_SLOTS + slot];
}

/* Rule 2: empties a slot whose time has come into the levels below. */
static void cascade(struct wheel *wheel, struct wheel_link *head)
{
    struct wheel_link *link = head->next;
    head->next = head->prev = head;
    mark_empty(wheel, head);
    while (link != head) {
        struct wheel_link *next = link->next;
        __builtin_prefetch(next);
        place(wheel, (struct wheel_timer *)link);
        link = next;
    }
}

struct wheel_timer *wheel_expire(struct wheel *wheel, int64_t now)
{
    if (wheel->is_next_known && now < wheel->next) return NULL;
    while (wheel->levels != 0) { /* at most a step down for each level */
        unsigned level;
        int64_t begins;
        struct wheel_link *head = first_slot(wheel, &level, &begins);
        if (begins > now) break;
        struct wheel_timer *first = (struct wheel_timer *)head->next;
        bool is_alone = first->link.next == head;
        if (level != 0 && is_alone && first->when > now) return NULL; /* no need to move it down */
        wheel->elapsed = begins;
        if (level == 0 || is_alone) {
            wheel_remove(wheel, first);
            return first;
        }
        cascade(wheel, head);
    }
    if (now > wheel->elapsed) wheel->elapsed = now; /* rule 1 holds: all slots begin later */
    return NULL;
}

int64_t wheel_next(struct wheel *wheel)
{
    if (wheel->is_next_known) return wheel->next;
    wheel->next = INT64_MAX;
    wheel->is_next_known = true;
    if (wheel->levels == 0) return wheel->next;
    unsigned level;
    int64_t begins;
    struct wheel_link *head = first_slot(wheel, &level, &begins);
    if (level == 0) return wheel->next = begins;
    int64_t least = INT64_MAX;
    struct wheel_link *link = head->next;
    for (int seen = 0; link != head && seen < LIMIT_TIMER_SCAN; seen++, link = link->next) {
        int64_t when = ((struct wheel_timer *)link)->when;
        if (when < least) least = when;
    }
    /* Too many to look at: sleep until the slot begins, which spreads them over lower levels. */
    return wheel->next = link == head ? least : begins;
}

void wheel_each(const struct wheel *wheel, void (*fn)(struct wheel_timer *, void *), void *arg)
{
    for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++) {
        const struct wheel_link *head = &wheel->slots[i];
        for (struct wheel_link *link = head->next, *next; link != head; link = next) {
            next = link->next;
            fn((struct wheel_timer *)link, arg);
        }
    }
}
