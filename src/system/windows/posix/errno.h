/* <errno.h> of the C library, with the numbers that it lacks. */
#ifndef HARK_WINDOWS_ERRNO_H
#define HARK_WINDOWS_ERRNO_H

#include_next <errno.h>

/* Beyond those of the C library, below Winsock's. */
#ifndef EDQUOT
#define EDQUOT 9001
#endif
#ifndef ESHUTDOWN
#define ESHUTDOWN 9002
#endif
#ifndef EHOSTDOWN
#define EHOSTDOWN 9003
#endif

#endif
