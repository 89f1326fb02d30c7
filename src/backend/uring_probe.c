/* What can the ring of this kernel do? Asked op by op and flag by flag, never by version, since
 * distributions carry features back and security filters take them away.
 *
 * Flags of the set-up are tried from the richest set to the poorest. Ops are asked for by
 * IORING_REGISTER_PROBE. Whether a multishot form exists no kernel tells: it is taken for granted
 * and given up by uring.c at the first -EINVAL that the plain form does not give too.
 *
 * HARK_URING_MASK=5.10 (or 5.19, 6.1) hides what those kernels did not have: for tests, since there
 * is one kernel only. */
#include "backend/uring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"

static const uint8_t needed[] = {
    IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL, IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_READ,
    IORING_OP_RECV, IORING_OP_RECVMSG, IORING_OP_SEND, IORING_OP_SENDMSG,
};

static const struct mask { const char *kernel; unsigned features; enum uring_age age; } masks[] = {
    { "none", URING_ALL, URING_AGE_NEW },
    { "", URING_ALL, URING_AGE_NEW },
    { "5.10", 0, URING_AGE_5_10 },
    { "5.19", URING_COOP | URING_MULTI_ACCEPT | URING_BUFFER_RING | URING_MULTI_POLL |
              URING_TIMED_WAIT, URING_AGE_5_19 },
    { "6.1", URING_ALL, URING_AGE_6_1 },
};

/* What the environment leaves of the ring; NULL: the mask is unknown. */
static const struct mask *masked(void)
{
    const char *wanted = getenv("HARK_URING_MASK");
    if (wanted == NULL) wanted = "none";
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        if (strcmp(wanted, masks[i].kernel) == 0) return &masks[i];
    return NULL;
}

/* R_DISABLED: with SINGLE_ISSUER the one thread is whoever enables the ring, which need not be the
 * one that opens the loop. */
static unsigned setup_flags(unsigned features)
{
    unsigned flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    if (features & URING_COOP) flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    if (features & URING_SINGLE) flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED;
    if (features & URING_DEFER) {
        flags &= ~(unsigned)IORING_SETUP_COOP_TASKRUN; /* implied, and not to be said twice */
        flags |= IORING_SETUP_DEFER_TASKRUN;
    }
    return flags;
}

/* From the richest set of flags to the poorest. */
static int set_up(struct uring *uring, unsigned allowed)
{
    static const unsigned without[] = { 0, URING_DEFER, URING_DEFER | URING_SINGLE,
                                        URING_DEFER | URING_SINGLE | URING_COOP };
    int error = -EINVAL;
    for (size_t i = 0; i < sizeof without / sizeof without[0] && error == -EINVAL; i++) {
        uring->features = allowed & ~without[i];
        struct io_uring_params params = { .flags = setup_flags(uring->features),
                                          .cq_entries = LIMIT_RING_COMPLETIONS };
        error = io_uring_queue_init_params(LIMIT_RING_ENTRIES, &uring->ring, &params);
    }
    return error;
}

static int refuse(char *why, size_t room_bytes, int error, const char *text)
{
    if (room_bytes != 0) snprintf(why, room_bytes, "%s", text);
    return error;
}

static int lacks(char *why, size_t room_bytes, const char *what)
{
    if (room_bytes != 0) snprintf(why, room_bytes, "this kernel's ring lacks %s", what);
    return -ENOSYS;
}

static int check_ops(struct uring *uring, char *why, size_t room_bytes)
{
    char text[32];
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    if (probe == NULL) return lacks(why, room_bytes, "IORING_REGISTER_PROBE");
    int error = 0;
    for (size_t i = 0; i < sizeof needed && error == 0; i++) {
        if (io_uring_opcode_supported(probe, needed[i])) continue;
        snprintf(text, sizeof text, "operation %d", needed[i]);
        error = lacks(why, room_bytes, text);
    }
    if (error == 0) uring->file_calls = uring_file_calls(probe, masked()->age);
    io_uring_free_probe(probe);
    return error;
}

/* A filter may refuse the one call and allow the other (trap 35). EBADFD: not enabled yet. */
static int check_enter(struct uring *uring, char *why, size_t room_bytes)
{
    if (syscall(SYS_io_uring_enter, uring->ring.ring_fd, 0, 0, 0, NULL, 0) >= 0) return 0;
    if (errno == EBADFD) return 0;
    return refuse(why, room_bytes, -errno, "io_uring_enter: refused by a filter");
}

/* Does the ring that was set up do all that uring.c relies on? */
static int check(struct uring *uring, char *why, size_t room_bytes)
{
    static const struct { unsigned bit; const char *name; } features[] = {
        { IORING_FEAT_NODROP, "IORING_FEAT_NODROP" },
        { IORING_FEAT_SUBMIT_STABLE, "IORING_FEAT_SUBMIT_STABLE" },
        { IORING_FEAT_FAST_POLL, "IORING_FEAT_FAST_POLL" },
    };
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        if (!(uring->ring.features & features[i].bit))
            return lacks(why, room_bytes, features[i].name);
    int error = check_ops(uring, why, room_bytes);
    return error != 0 ? error : check_enter(uring, why, room_bytes);
}

void uring_describe(const struct uring *uring, char *why, size_t room_bytes)
{
    unsigned f = uring->features;
    snprintf(why, room_bytes, "%s%s, %s accept, %s receive, buffers from %s, %s",
             f & URING_DEFER ? "deferred" : f & URING_COOP ? "cooperative" : "interrupting",
             f & URING_SINGLE ? " single-issuer" : "",
             f & URING_MULTI_ACCEPT ? "multishot" : "one-shot",
             f & URING_MULTI_RECV ? "multishot" : "one-shot",
             f & URING_BUFFER_RING ? "a ring" : "hark's own list",
             f & URING_TIMED_WAIT ? "timed wait" : "sleeps by poll");
}

static int refuse_setup(char *why, size_t room_bytes, int error)
{
    const char *text = error == -ENOSYS ? "not in this kernel, or refused by a filter"
                     : error == -EPERM ? "refused by a filter or by kernel.io_uring_disabled"
                     : error == -ENOMEM ? "no memory, or beyond RLIMIT_MEMLOCK"
                                        : strerror(-error);
    if (room_bytes != 0) snprintf(why, room_bytes, "io_uring_setup: %s", text);
    return error;
}

int uring_setup(struct uring *uring, char *why, size_t room_bytes)
{
    const struct mask *mask = masked();
    if (mask == NULL)
        return refuse(why, room_bytes, -EINVAL,
                      "HARK_URING_MASK is not one of 5.10, 5.19, 6.1, none");
    int error = set_up(uring, mask->features);
    if (error != 0) return refuse_setup(why, room_bytes, error);
    error = check(uring, why, room_bytes);
    if (error != 0) {
        io_uring_queue_exit(&uring->ring);
        return error;
    }
    if (!(uring->ring.features & IORING_FEAT_EXT_ARG))
        uring->features &= ~(unsigned)URING_TIMED_WAIT;
    (void)io_uring_ring_dontfork(&uring->ring); /* a child must not see it; harmless if refused */
    return 0;
}
