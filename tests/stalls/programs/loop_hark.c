/* A loop that tells of itself on an exported page, as a program that uses hark does, and goes
 * through calls that nobody else could see: loop_hark - STALL... */
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "plant.h"
#include "stalls/heartbeat.h"

extern struct heartbeat_page hark_heartbeats;
struct heartbeat_page hark_heartbeats = {
    .magic = HEARTBEAT_MAGIC, .version = HEARTBEAT_VERSION, .slot_count = HEARTBEAT_SLOTS,
};

static void note(struct heartbeat *slot, uint32_t is_waiting)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    __atomic_store_n(&slot->since_ns, ns, __ATOMIC_RELEASE);
    if (!is_waiting) slot->turn_count++;
    __atomic_store_n(&slot->is_waiting, is_waiting, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
    struct heartbeat *slot = &hark_heartbeats.slots[3];
    plant_begin(argc, argv, 2);
    slot->main_fd = -1;
    note(slot, 0);
    __atomic_store_n(&slot->tid, gettid(), __ATOMIC_RELEASE);
    int ms;
    while ((ms = plant_step()) >= 0) {
        struct timespec timeout = { ms / 1000, ms % 1000 * 1000000L };
        note(slot, 1);
        nanosleep(&timeout, NULL); /* stands for a wait */
        note(slot, 0);
    }
    return plant_end();
}
