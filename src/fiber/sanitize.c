/* The sanitizers' fiber interface, by weak names: NULL where there is none. */
#include "fiber/sanitize.h"

#include <pthread.h>

#define WEAK __attribute__((weak))

extern void __sanitizer_start_switch_fiber(void **fake, const void *low, size_t bytes) WEAK;
extern void __sanitizer_finish_switch_fiber(void *fake, const void **low, size_t *bytes) WEAK;
extern void __asan_unpoison_memory_region(const volatile void *low, size_t bytes) WEAK;
extern void __lsan_register_root_region(const void *low, size_t bytes) WEAK;
extern void __lsan_unregister_root_region(const void *low, size_t bytes) WEAK;
extern void *__tsan_get_current_fiber(void) WEAK;
extern void *__tsan_create_fiber(unsigned flags) WEAK;
extern void __tsan_destroy_fiber(void *fiber) WEAK;
extern void __tsan_switch_to_fiber(void *fiber, unsigned flags) WEAK;

bool sanitize_is_on;

static void look(void)
{
    sanitize_is_on = __sanitizer_start_switch_fiber != NULL || __tsan_switch_to_fiber != NULL ||
                     __lsan_register_root_region != NULL;
}

/* Once: loops on other threads read it meanwhile. */
void sanitize_look(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, look);
}

void sanitize_leave(struct side *from, struct side *to, bool is_last)
{
    if (__sanitizer_start_switch_fiber != NULL)
        __sanitizer_start_switch_fiber(is_last ? NULL : &from->fake_stack, to->low, to->bytes);
    if (__tsan_switch_to_fiber != NULL) __tsan_switch_to_fiber(to->thread, 0);
}

void sanitize_arrive(struct side *here, struct side *came_from)
{
    const void *low;
    size_t bytes;
    if (__sanitizer_finish_switch_fiber == NULL) return;
    __sanitizer_finish_switch_fiber(here->fake_stack, &low, &bytes);
    if (came_from->low == NULL) sanitize_root(low, bytes); /* the loop's own, hidden from now on */
    came_from->low = low;
    came_from->bytes = bytes;
}

void sanitize_take(struct side *side)
{
    side->fake_stack = NULL;
    if (__asan_unpoison_memory_region != NULL)
        __asan_unpoison_memory_region(side->low, side->bytes);
    if (__tsan_create_fiber != NULL && side->thread == NULL) side->thread = __tsan_create_fiber(0);
}

void sanitize_drop(struct side *side)
{
    if (__tsan_destroy_fiber != NULL && side->thread != NULL) __tsan_destroy_fiber(side->thread);
    side->thread = NULL;
}

void sanitize_root(const void *low, size_t bytes)
{
    if (__lsan_register_root_region != NULL) __lsan_register_root_region(low, bytes);
}

void sanitize_unroot(const void *low, size_t bytes)
{
    if (__lsan_unregister_root_region != NULL) __lsan_unregister_root_region(low, bytes);
}

void sanitize_loop(struct side *side)
{
    if (__tsan_get_current_fiber != NULL) side->thread = __tsan_get_current_fiber();
}
