/* What a service manager such as systemd and a service tell each other: sockets that it has opened
 * for the service, and the service's word that it is ready. The protocol is an environment and
 * datagrams; no library is needed. Without a service manager all of it does nothing. */
#ifndef HARK_SYSTEMD_H
#define HARK_SYSTEMD_H

#include <hark/io.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A socket that was handed over. */
struct hark_systemd_socket {
    struct hark_io io;
    char name[256];    /* FileDescriptorName= of its unit; "unknown" if there is none. io's label */
};

/* Takes over the sockets that were passed to this process (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES),
 * and keeps programs that it starts from inheriting them.
 *
 * sockets  zeroed or closed before; each io is open afterwards, to be closed like any other.
 * room     how many there may be.
 * unsets   true: removes the variables, so that no program started later misunderstands them;
 *          false: leaves the environment alone.
 * Result   how many there are, 0 if this process was not started so; HARK_ENOBUFS: more than room;
 *          HARK_EINVAL: the variables make no sense; HARK_EBADF: a descriptor is not open;
 *          HARK_EEXIST, HARK_ENOMEM, HARK_ECANCELED: as for hark_io_adopt(). On failure no io is
 *          open, and the descriptors are as they were.
 * Thread   loop; while no other thread uses the environment.
 */
HARK_API int hark_systemd_sockets(struct hark_systemd_socket *sockets, size_t room,
                                  struct hark_loop *loop, bool unsets);

/* Tells the service manager something (NOTIFY_SOCKET). Never waits.
 *
 * state  lines such as "READY=1", "STATUS=serving 12 clients", "STOPPING=1", "WATCHDOG=1",
 *        "MAINPID=123", with "\n" in between.
 * Result 1: sent; 0: nobody wants to know; HARK_EAGAIN: its queue is full; HARK_EINVAL: the address
 *        makes no sense, or state is empty; HARK_ECONNREFUSED, HARK_ENOENT: it is gone; ...
 * Thread any; while no other thread changes the environment.
 */
HARK_API int hark_systemd_notify(const char *state);

/* Tells how often the service manager wants to hear "WATCHDOG=1" at least (WATCHDOG_USEC,
 * WATCHDOG_PID): send it twice as often.
 *
 * Result nanoseconds; 0: it does not want to.
 * Thread any; while no other thread changes the environment.
 */
HARK_API int64_t hark_systemd_watchdog_ns(void);

#ifdef __cplusplus
}
#endif
#endif
