/* <dirent.h> of the C library, with the types of entries, which it lacks. */
#ifndef HARK_WINDOWS_DIRENT_H
#define HARK_WINDOWS_DIRENT_H

#include_next <dirent.h>
#include <hark/system.h>

#endif
