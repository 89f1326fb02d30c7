/* The radix wheel: see wheel.h for its rules. Insert and remove touch one list; a timer that fires
 * has moved down at most ten times, in practice two or three. */
#include "base/wheel.h"

#include "base/check.h"
#include "base/limits.h"

static struct wheel_timer *timer_of(struct wheel_link *link)
{
    return (struct wheel_timer *)(void *)((char *)link - offsetof(struct wheel_timer, link));
}

static bool is_set_before(const struct wheel_timer *a, const struct wheel_timer *b)
{
    return (int32_t)(a->order - b->order) < 0;
}

void wheel_init(struct wheel *wheel, int64_t now)
{
    wheel->elapsed = now;
    wheel->is_next_known = false;
    wheel->levels = 0;
    wheel->set_count = 1;
    wheel->unsorted = 0;
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
    if (level == 0 && last != head && is_set_before(timer, timer_of(last)))
        wheel->unsorted |= UINT64_C(1) << slot; /* rule 4 */
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
    timer->order = wheel->set_count++;
    if (when < wheel->next) wheel->next = when; /* of no meaning while not known */
    place(wheel, timer);
}

void wheel_mark_empty(struct wheel *wheel, const struct wheel_link *head)
{
    unsigned index = (unsigned)(head - wheel->slots);
    unsigned level = index / WHEEL_SLOTS;
    wheel->slots_used[level] &= ~(UINT64_C(1) << index % WHEEL_SLOTS);
    if (wheel->slots_used[level] == 0) wheel->levels &= ~(1u << level);
    if (level == 0) wheel->unsorted &= wheel->slots_used[0];
    wheel->is_next_known = false;
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

/* Rule 4: is the timer in this slot only because it was put off? */
static bool is_beyond(const struct wheel_timer *timer, int64_t begins, unsigned level)
{
    if (timer->when <= begins) return false;
    return (uint64_t)(timer->when - begins) >> (level * WHEEL_BITS) != 0;
}

/* Rule 2: empties a slot whose time has come into the levels below. */
static void cascade(struct wheel *wheel, struct wheel_link *head)
{
    struct wheel_link *link = head->next;
    head->next = head->prev = head;
    wheel_mark_empty(wheel, head);
    while (link != head) {
        struct wheel_link *next = link->next;
        __builtin_prefetch(next);
        place(wheel, timer_of(link));
        link = next;
    }
}

/* Merges two chains that are sorted by order and end with NULL. */
static struct wheel_link *merge(struct wheel_link *a, struct wheel_link *b)
{
    struct wheel_link *first, **tail = &first;
    while (a != NULL && b != NULL) {
        struct wheel_link **least = is_set_before(timer_of(b), timer_of(a)) ? &b : &a;
        *tail = *least;
        tail = &(*least)->next;
        *least = (*least)->next;
    }
    *tail = a != NULL ? a : b;
    return first;
}

/* Rule 4, by merging: bins[i] is empty or a sorted chain of 2^i timers. */
static void sort_slot(struct wheel_link *head)
{
    enum { BINS = 32 };
    struct wheel_link *bins[BINS] = { NULL }, *link = head->next, *all = NULL;
    head->prev->next = NULL;
    while (link != NULL) {
        struct wheel_link *next = link->next, *chain = link;
        unsigned i = 0;
        chain->next = NULL;
        for (; bins[i] != NULL && i < BINS - 1; i++) {
            chain = merge(bins[i], chain);
            bins[i] = NULL;
        }
        bins[i] = chain;
        link = next;
    }
    for (unsigned i = 0; i < BINS; i++) all = merge(bins[i], all);
    head->next = all;
    struct wheel_link *last = head;
    for (link = all; link != NULL; link = link->next) {
        link->prev = last;
        last = link;
    }
    last->next = head;
    head->prev = last;
}

struct wheel_timer *wheel_expire(struct wheel *wheel, int64_t now)
{
    if (wheel->is_next_known && now < wheel->next) return NULL;
    while (wheel->levels != 0) { /* a step down for each level, one on for each put off */
        unsigned level;
        int64_t begins;
        struct wheel_link *head = first_slot(wheel, &level, &begins);
        if (begins > now) break;
        uint64_t slot_bit = UINT64_C(1) << (head - wheel->slots) % WHEEL_SLOTS;
        if (level == 0 && wheel->unsorted & slot_bit) {
            wheel->unsorted &= ~slot_bit;
            sort_slot(head);
        }
        struct wheel_timer *first = timer_of(head->next);
        bool is_alone = first->link.next == head, is_put_off = is_beyond(first, begins, level);
        if (level != 0 && is_alone && first->when > now && !is_put_off) return NULL;
        wheel->elapsed = begins;
        if (level != 0 && !is_alone) {
            cascade(wheel, head);
            continue;
        }
        wheel_remove(wheel, first);
        if (!is_put_off) return first;
        place(wheel, first);
    }
    if (now > wheel->elapsed) wheel->elapsed = now; /* rule 1 holds: all slots begin later */
    return NULL;
}

/* The least moment of a slot; or, with too many in it to look at, that at which it begins: sleeping
 * until then spreads them over lower levels. INT64_MAX: all were put off, and have been moved. */
static int64_t least_of_slot(struct wheel *wheel, struct wheel_link *head, unsigned level,
                             int64_t begins)
{
    int64_t least = INT64_MAX;
    struct wheel_link *link = head->next;
    for (int seen = 0; link != head && seen < LIMIT_TIMER_SCAN; seen++) {
        struct wheel_timer *timer = timer_of(link);
        link = link->next;
        if (is_beyond(timer, begins, level)) {
            wheel_unlink(wheel, timer);
            place(wheel, timer);
        } else if (timer->when < least) {
            least = timer->when;
        }
    }
    return link == head ? least : begins;
}

int64_t wheel_next(struct wheel *wheel)
{
    if (wheel->is_next_known) return wheel->next;
    int64_t next = INT64_MAX;
    while (wheel->levels != 0 && next == INT64_MAX) { /* a slot less each time, or the answer */
        unsigned level;
        int64_t begins;
        struct wheel_link *head = first_slot(wheel, &level, &begins);
        next = least_of_slot(wheel, head, level, begins);
        if (next == INT64_MAX && head->next != head) break; /* a moment that never comes */
    }
    wheel->is_next_known = true;
    return wheel->next = next;
}

void wheel_each(const struct wheel *wheel, void (*fn)(struct wheel_timer *, void *), void *arg)
{
    for (int i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++) {
        const struct wheel_link *head = &wheel->slots[i];
        for (struct wheel_link *link = head->next, *next; link != head; link = next) {
            next = link->next;
            fn(timer_of(link), arg);
        }
    }
}
