/* Finds what our functions stand in front of. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blocking/blocking.h"

/* Functions of which libc keeps an old form, which a look-up without a version may give. */
static const char *version_of(const char *name)
{
#if defined(__x86_64__)
    if (strncmp(name, "pthread_cond_", 13) == 0 && strcmp(name, "pthread_cond_clockwait") != 0)
        return "GLIBC_2.3.2";
#endif
    (void)name;
    return NULL;
}

void *real_find(const char *name)
{
    const char *version = version_of(name);
    void *found = version != NULL ? dlvsym(RTLD_NEXT, name, version) : NULL;
    if (found == NULL) found = dlsym(RTLD_NEXT, name);
    if (found != NULL) return found;
    static const char lost[] = "hark: the blocking-call detector found no libc behind it\n";
    (void)!write(STDERR_FILENO, lost, sizeof lost - 1); /* nothing is left to be said otherwise */
    abort();
}
