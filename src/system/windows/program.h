/* Where a program is: for child.c. */
#ifndef HARK_SYSTEM_WINDOWS_PROGRAM_H
#define HARK_SYSTEM_WINDOWS_PROGRAM_H

#include <hark/process.h>

#include "path.h"

/* Its full path, or a negative errno. text is room to work in. */
int program_find(const struct hark_process_options *options, WCHAR program[PATH_WIDE], WCHAR *text,
                 int room);

#endif
