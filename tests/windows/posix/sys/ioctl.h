/* <sys/ioctl.h>: for cases that want a network of their own, which there is none of. */
#ifndef TESTS_WINDOWS_SYS_IOCTL_H
#define TESTS_WINDOWS_SYS_IOCTL_H

struct ifreq { char ifr_name[16]; int ifr_flags; };
enum { IFF_RUNNING = 0, SIOCSIFFLAGS = 1, SIOCSIFADDR = 2, CLONE_NEWNET = 1 };

static inline int ioctl(int fd, int request, void *arg)
{
    (void)fd, (void)request, (void)arg;
    return -1;
}

#endif
