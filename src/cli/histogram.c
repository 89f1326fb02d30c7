/* Log-linear buckets: values below 128 have one each; above, the six bits after the leading one
 * choose among 64 within their power of two. */
#include "histogram.h"

enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS };

static int bucket_of(uint64_t value)
{
    if (value < 2 * STEPS) return (int)value;
    int shift = 63 - __builtin_clzll(value) - STEP_BITS;
    return shift * STEPS + (int)(value >> shift);
}

/* Gives the largest value that falls into a bucket. */
static uint64_t top_of(int bucket)
{
    if (bucket < 2 * STEPS) return (uint64_t)bucket;
    int shift = bucket / STEPS - 1;
    uint64_t step = (uint64_t)(bucket % STEPS + STEPS);
    return ((step + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, int64_t value)
{
    if (value < 0) value = 0;
    histogram->counts[bucket_of((uint64_t)value)]++;
    histogram->count++;
    if (value > histogram->max) histogram->max = value;
}

int64_t histogram_at(const struct histogram *histogram, double share)
{
    if (histogram->count == 0) return 0;
    double exact = share * (double)histogram->count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank < 1) rank++;
    uint64_t seen = 0;
    for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen < rank) continue;
        uint64_t top = top_of(bucket);
        return top > (uint64_t)histogram->max ? histogram->max : (int64_t)top;
    }
    return histogram->max;
}
