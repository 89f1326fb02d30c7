/* Names of files as Windows takes them, and its errors as errno: for the calls of this folder. */
#ifndef HARK_SYSTEM_WINDOWS_PATH_H
#define HARK_SYSTEM_WINDOWS_PATH_H

#include <stdbool.h>
#include <winsock2.h>
#include <windows.h>

enum { PATH_WIDE = 4096 }; /* in units of UTF-16; a longer name is ENAMETOOLONG */

/* Turns UTF-8 into the full path in UTF-16, which may be longer than MAX_PATH. False and errno. */
bool path_widen(const char *path, WCHAR wide[PATH_WIDE]);

/* The same for what is UTF-16 already. */
bool path_complete(const WCHAR *given, WCHAR wide[PATH_WIDE]);

/* -1; errno, from what the last call of Windows said, which stays to be read. */
int path_fail(void);

/* -1; errno is a decision of ours, behind which Windows has no number. */
int path_refuse(int error);

/* What is there: 0 for nothing, or FILE_ATTRIBUTE_*. */
DWORD path_attributes(const WCHAR *wide);

/* Opens what is there, links not followed if asked for; INVALID_HANDLE_VALUE and errno. */
HANDLE path_open(const char *path, DWORD access, bool follows);

#endif
