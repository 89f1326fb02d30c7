/* <stdio.h> of the C library; a rename replaces what is there. */
#ifndef HARK_WINDOWS_STDIO_H
#define HARK_WINDOWS_STDIO_H

#include_next <stdio.h>

int rename(const char *from, const char *to) __asm__("system_rename");

#endif
