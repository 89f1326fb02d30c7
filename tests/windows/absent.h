/* Which cases do not apply on Windows, and why. */
#ifndef TESTS_WINDOWS_ABSENT_H
#define TESTS_WINDOWS_ABSENT_H

/* NULL: it applies. */
const char *absent_reason(const char *suite, const char *name);

#endif
