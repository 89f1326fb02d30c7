/* A histogram of times: 64 equal steps within each power of two, so every answer is at most 1.6 %
 * above the truth, over the whole range of 64 bits, in 30 KB. */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 59 * 64 };

/* All zero is an empty one. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t max;
};

/* Counts one value; a negative one counts as 0. */
void histogram_record(struct histogram *histogram, int64_t value);

/* Gives the smallest value that at least a share of all recorded ones do not exceed.
 *
 * share  0.5 for the median, 0.99 for p99.
 * Result within 1.6 % above it, never above the maximum; 0 if the histogram is empty.
 */
int64_t histogram_at(const struct histogram *histogram, double share);

#endif
