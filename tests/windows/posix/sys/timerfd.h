/* <sys/timerfd.h>: for a case that does not apply. */
#ifndef TESTS_WINDOWS_SYS_TIMERFD_H
#define TESTS_WINDOWS_SYS_TIMERFD_H

enum { TFD_CLOEXEC, TFD_NONBLOCK };
#define timerfd_create(clock, flags) (-1)
#define timerfd_settime(fd, flags, time, before) ((void)(time), -1)

#endif
