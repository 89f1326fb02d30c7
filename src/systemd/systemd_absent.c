/* Where no service manager speaks this protocol: nothing was handed over, and nobody wants to know
 * anything. */
#include <hark/systemd.h>

int hark_systemd_sockets(struct hark_systemd_socket *sockets, size_t room, struct hark_loop *loop,
                         bool unsets)
{
    (void)sockets, (void)room, (void)loop, (void)unsets;
    return 0;
}

int hark_systemd_notify(const char *state)
{
    (void)state;
    return 0;
}

int64_t hark_systemd_watchdog_ns(void) { return 0; }
