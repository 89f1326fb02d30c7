/* <sys/uio.h>: all of it that hark needs comes with Winsock. */
#ifndef HARK_WINDOWS_SYS_UIO_H
#define HARK_WINDOWS_SYS_UIO_H

#include <sys/socket.h>

enum { IOV_MAX = 1024 };

#endif
