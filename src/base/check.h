/* Misuse by the caller: an assertion that names the broken promise, on in release builds.
 *
 * Only state bytes and pointers are compared, so it costs next to nothing. What a kernel says is
 * never checked so: that reaches the op as an error. */
#ifndef HARK_BASE_CHECK_H
#define HARK_BASE_CHECK_H

#define HARK_LIKELY(x) __builtin_expect(!!(x), 1)
#define HARK_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Says on stderr which promise was broken and aborts. */
_Noreturn void check_failed(const char *promise, const char *file, int line);

#define REQUIRE(claim, promise)                                                  \
    do {                                                                         \
        if (HARK_UNLIKELY(!(claim))) check_failed(promise, __FILE__, __LINE__);   \
    } while (0)

#endif
