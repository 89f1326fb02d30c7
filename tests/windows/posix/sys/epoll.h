/* <sys/epoll.h>: for a case that does not apply. */
#ifndef TESTS_WINDOWS_SYS_EPOLL_H
#define TESTS_WINDOWS_SYS_EPOLL_H

struct epoll_event { unsigned events; };
enum { EPOLLIN, EPOLL_CLOEXEC, EPOLL_CTL_ADD };
#define epoll_create1(flags) (-1)
#define epoll_ctl(set, what, fd, event) ((void)(event), -1)

#endif
