/* All the sources of pulses of one process together, and which of them are tried when. */
#ifndef STALLS_SOURCE_H
#define STALLS_SOURCE_H

#include "stalls/pulse.h"

struct source {
    pid_t pid;
    int64_t threshold_ns;
    bool has_mode;                /* `mode` and no other */
    enum watch_mode mode;         /* the best that has shown a loop */
    struct beat *page, *hark;
    struct bpf *bpf;
    struct procfs *procfs;
    uint32_t image_count;
    bool is_go, has_loop;
    bool has_lost_shim;           /* by becoming a program without, since the last question */
    int64_t next_search_ns, leaving_ns;
    int search_count;
    char why_not_bpf[TEXT_ROOM];
};

/* Begins with the page of the shim if there is one, which the source then owns. 0; -1:
 * none works. */
int source_open(struct source *source, struct beat *page, char *why, size_t room);
void source_close(struct source *source);

/* The pulses of all loops now, one for each thread. */
int source_read(struct source *source, int64_t now, struct pulse out[PULSES_MAX]);

/* Tells whether the process has become another program since the last time it was asked. */
bool source_has_new_image(struct source *source);

/* Tells whether a thread still is in the turn that began at a time. */
bool source_is_held(struct source *source, pid_t tid, int64_t began_ns);

/* Forgets a thread that has ended. */
void source_release(struct source *source, pid_t tid);

/* How often to read, in the quiet and while a thread is held. */
int64_t source_period(const struct source *source);

/* For the report: what this way of watching sees and what it cannot. */
const char *source_text(const struct source *source);

#endif
