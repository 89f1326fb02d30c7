/* The door to the blocking-call detector, which is there if it was preloaded or linked (see
 * include/hark/blocking.h and src/blocking/). Without it the names below are null. */
#include <hark/blocking.h>

#include "loop/detector.h"

void hark_blocking_allow_begin(void)
{
    if (hark_blocking_detector_allow != NULL) hark_blocking_detector_allow(1);
}

void hark_blocking_allow_end(void)
{
    if (hark_blocking_detector_allow != NULL) hark_blocking_detector_allow(-1);
}

bool hark_blocking_is_watched(void) { return hark_blocking_detector_allow != NULL; }
