/* <sys/eventfd.h>: for a case that does not apply. */
#ifndef TESTS_WINDOWS_SYS_EVENTFD_H
#define TESTS_WINDOWS_SYS_EVENTFD_H

enum { EFD_CLOEXEC };
#define eventfd(count, flags) (-1)

#endif
