/* <string.h> of the C library, with what hark asks for and it lacks. */
#ifndef HARK_WINDOWS_STRING_H
#define HARK_WINDOWS_STRING_H

#include_next <string.h>

/* Names of their own for the linker: a program that links hark may have such functions, too. */
#define memmem(hay, hay_len, needle, len) system_memmem(hay, hay_len, needle, len)
#define strsep(rest, marks) system_strsep(rest, marks)

void *memmem(const void *hay, size_t hay_len, const void *needle, size_t len);
char *strsep(char **rest, const char *marks);

#endif
