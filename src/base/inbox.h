/* The door between threads: a lock-free stack that any thread pushes on and one thread empties.
 *
 * The head also says whether the owner sleeps, so a push costs one compare-and-swap and learns by
 * it whether a wake-up is due: exactly one a sleep, none while the owner is awake.
 *
 *   NULL ------- push ------> items ------- take ------> NULL
 *   NULL -- inbox_sleep ----> ASLEEP ------ push ------> items, "wake it"
 *   NULL or ASLEEP -- nudge -> NUDGED: nothing to take, but the next sleep is refused */
#ifndef HARK_BASE_INBOX_H
#define HARK_BASE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Lies in the item; next is written before the push and read after the take. */
struct inbox { _Atomic(void *) head; };

extern char inbox_asleep, inbox_nudged; /* their addresses are the marks */

#define INBOX_ASLEEP ((void *)&inbox_asleep)
#define INBOX_NUDGED ((void *)&inbox_nudged)

/* Pushes an item whose link is *next. Any thread. True: the owner sleeps and must be woken. */
static inline bool inbox_push(struct inbox *inbox, void *item, void **next)
{
    void *head = atomic_load_explicit(&inbox->head, memory_order_relaxed);
    do {
        *next = head == INBOX_ASLEEP || head == INBOX_NUDGED ? NULL : head;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->head, &head, item, memory_order_seq_cst,
                                                    memory_order_relaxed));
    return head == INBOX_ASLEEP;
}

/* Makes the owner's next sleep end at once. Any thread. True: it sleeps and must be woken. Writes
 * also where there is something already: whoever takes that sees all that came before the nudge. */
static inline bool inbox_nudge(struct inbox *inbox)
{
    void *head = atomic_load_explicit(&inbox->head, memory_order_relaxed), *nudged;
    do {
        nudged = head == NULL || head == INBOX_ASLEEP ? INBOX_NUDGED : head;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->head, &head, nudged,
                                                    memory_order_seq_cst, memory_order_relaxed));
    return head == INBOX_ASLEEP;
}

/* Announces a sleep. Owner only. False: something came, do not sleep. */
static inline bool inbox_sleep(struct inbox *inbox)
{
    void *expected = NULL;
    return atomic_compare_exchange_strong(&inbox->head, &expected, INBOX_ASLEEP);
}

/* Ends a sleep that nothing has ended. Owner only. */
static inline void inbox_rise(struct inbox *inbox)
{
    void *expected = INBOX_ASLEEP;
    (void)atomic_compare_exchange_strong(&inbox->head, &expected, NULL); /* else something came */
}

static inline bool inbox_is_empty(const struct inbox *inbox)
{
    return atomic_load_explicit(&inbox->head, memory_order_relaxed) == NULL;
}

/* Takes everything, the newest first, and ends a sleep. Owner only. */
static inline void *inbox_take(struct inbox *inbox)
{
    void *head = atomic_exchange(&inbox->head, NULL);
    return head == INBOX_ASLEEP || head == INBOX_NUDGED ? NULL : head;
}

#endif
