/* <limits.h> of the C library; paths may be longer than it says. */
#ifndef HARK_WINDOWS_LIMITS_H
#define HARK_WINDOWS_LIMITS_H

#include_next <limits.h>

#undef PATH_MAX
#define PATH_MAX 4096

#endif
