/* What every public header needs: fixed-size types, export marks, version, and the place macro.
 *
 * HARK_PLACE is how inspection knows where an op was submitted: every verb has a macro of its own
 * name that records file and line in the op. Define HARK_NO_PLACES before including hark to leave
 * the strings out. */
#ifndef HARK_API_H
#define HARK_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HARK_VERSION_MAJOR 0
#define HARK_VERSION_MINOR 1
#define HARK_VERSION_PATCH 0
#define HARK_VERSION "0.1.0"

#if defined(HARK_API)
/* said by a build */
#elif defined(__GNUC__)
#define HARK_API __attribute__((visibility("default")))
#else
#define HARK_API
#endif

#define HARK_STRING_(x) #x
#define HARK_STRING(x) HARK_STRING_(x)

#ifdef HARK_NO_PLACES
#define HARK_PLACE ((const char *)0)
#else
#define HARK_PLACE (__FILE__ ":" HARK_STRING(__LINE__))
#endif

/* Durations, in nanoseconds. */
#define HARK_MICROSECOND INT64_C(1000)
#define HARK_MILLISECOND INT64_C(1000000)
#define HARK_SECOND INT64_C(1000000000)

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the version of the library that runs, "0.1.0" say; HARK_VERSION is the one compiled for.
 *
 * Thread any
 */
HARK_API const char *hark_version(void);

#ifdef __cplusplus
}
#endif
#endif
