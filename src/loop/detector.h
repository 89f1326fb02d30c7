/* The door to the blocking-call detector: names that are there if it was preloaded or linked, and
 * null otherwise. Only object files of ELF have names that may be missing. */
#ifndef HARK_LOOP_DETECTOR_H
#define HARK_LOOP_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>

/* The first tells which thread runs a loop, and where to look whether callbacks are being made;
 * NULL: it no longer does. */
#ifdef __ELF__
extern void hark_blocking_detector_loop(const bool *is_calling) __attribute__((weak));
extern void hark_blocking_detector_allow(int change) __attribute__((weak));
#else
#define hark_blocking_detector_loop ((void (*)(const bool *))NULL)
#define hark_blocking_detector_allow ((void (*)(int))NULL)
#endif

#endif
