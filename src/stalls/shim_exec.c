/* The shim and exec: `sh -c`, npm or env turn the watched process into another program, which has
 * to be watched too, while the children that it starts must not even know of the shim.
 *
 * So the constructor takes the shim out of the environment, and an exec puts it back if the process
 * is the watched one. posix_spawn and vfork with exec are a child's: its pid tells. Not covered:
 * execle, fexecve, execveat, an exec without libc, a program that is static or changes its user;
 * the reader notices that nobody writes and goes on by other means. */
#include "stalls/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATH_ROOM = 64, ARGUMENTS_MAX = 1 << 16 };

static char own_path[PATH_MAX], page_path[PATH_ROOM];

static int (*real_execve)(const char *, char *const[], char *const[]);
static int (*real_execvpe)(const char *, char *const[], char *const[]);

static const char *value_of(const char *entry, const char *name)
{
    size_t length = strlen(name);
    return strncmp(entry, name, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

/* Takes our path out of a list, which ld.so separates by colons and spaces. Empty:
 * nothing is left. */
static void remove_path(char *list)
{
    size_t own = strlen(own_path);
    char *at = list, *to = list;
    while (*at != '\0') {
        size_t length = strcspn(at, ": ");
        bool is_own = length == own && memcmp(at, own_path, own) == 0;
        if (length != 0 && !is_own) {
            if (to != list) *to++ = ':';
            memmove(to, at, length);
            to += length;
        }
        at += length + (at[length] != '\0');
    }
    *to = '\0';
}

const char *shim_exec_init(void)
{
    Dl_info info;
    shim_find(&real_execve, "execve");
    shim_find(&real_execvpe, "execvpe");
    if (dladdr(own_path, &info) != 0 && info.dli_fname != NULL)
        snprintf(own_path, sizeof own_path, "%s", info.dli_fname);
    char **to = environ;
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        const char *page = value_of(*at, SHIM_VARIABLE), *list = value_of(*at, "LD_PRELOAD");
        if (page != NULL) {
            snprintf(page_path, sizeof page_path, "%s", page);
            continue;
        }
        if (list != NULL) {
            remove_path(*at + (list - *at));
            if (*list == '\0') continue;
        }
        *to++ = *at;
    }
    if (to != NULL) *to = NULL;
    return page_path[0] != '\0' ? page_path : NULL;
}

/* An environment with the shim in it; from mmap, since malloc may be in use below a
 * signal handler. */
struct packed { size_t bytes; char *entries[]; };

static struct packed *pack(char *const environment[])
{
    size_t count = 0, text = strlen(own_path) + strlen(page_path) + 64;
    const char *theirs = NULL;
    for (; environment != NULL && environment[count] != NULL; count++) {
        const char *list = value_of(environment[count], "LD_PRELOAD");
        if (list != NULL) theirs = list;
    }
    if (theirs != NULL) text += strlen(theirs) + 1;
    size_t bytes = sizeof(struct packed) + (count + 3) * sizeof(char *) + text;
    struct packed *packed = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                 -1, 0);
    if (packed == MAP_FAILED) return NULL;
    packed->bytes = bytes;
    char *at = (char *)(packed->entries + count + 3), *end = (char *)packed + bytes;
    size_t used = 0;
    packed->entries[used++] = at;
    at += snprintf(at, (size_t)(end - at), "LD_PRELOAD=%s%s%s", own_path, theirs != NULL ? ":" : "",
                   theirs != NULL ? theirs : "") + 1;
    packed->entries[used++] = at;
    snprintf(at, (size_t)(end - at), "%s=%s", SHIM_VARIABLE, page_path);
    for (size_t i = 0; i < count; i++) {
        bool is_replaced = value_of(environment[i], "LD_PRELOAD") != NULL ||
                           value_of(environment[i], SHIM_VARIABLE) != NULL;
        if (!is_replaced) packed->entries[used++] = environment[i];
    }
    return packed;
}

static int exec_by(bool searches, const char *file, char *const arguments[],
                   char *const environment[])
{
    if (real_execve == NULL) shim_find(&real_execve, "execve");
    if (real_execvpe == NULL) shim_find(&real_execvpe, "execvpe");
    int (*call)(const char *, char *const[], char *const[]) = searches ? real_execvpe : real_execve;
    bool is_watched = shim_page != NULL && getpid() == shim_pid;
    struct packed *packed = is_watched ? pack(environment) : NULL;
    if (packed == NULL) return call(file, arguments, environment);
    shim_page->is_leaving = 1;
    call(file, arguments, packed->entries);
    int error = errno;
    shim_page->is_leaving = 0;
    munmap(packed, packed->bytes);
    errno = error;
    return -1;
}

SHIM_EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
    return exec_by(false, path, arguments, environment);
}

SHIM_EXPORT int execv(const char *path, char *const arguments[])
{
    return execve(path, arguments, environ);
}

SHIM_EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
    return exec_by(true, file, arguments, environment);
}

SHIM_EXPORT int execvp(const char *file, char *const arguments[])
{
    return execvpe(file, arguments, environ);
}

/* The forms with a list: as an array from mmap, which an exec that succeeds takes away with it. */
static int exec_list(bool searches, const char *file, const char *first, va_list *rest)
{
    size_t bytes = ARGUMENTS_MAX * sizeof(char *), count = 0;
    const char **list = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (list == MAP_FAILED) return -1;
    errno = E2BIG;
    for (const char *at = first; count < ARGUMENTS_MAX && (list[count++] = at) != NULL;)
        at = va_arg(*rest, const char *);
    if (list[count - 1] == NULL) {
        char **arguments;
        memcpy(&arguments, &list, sizeof list); /* the old promise of exec: they are not changed */
        if (searches) execvp(file, arguments);
        else execv(file, arguments);
    }
    int error = errno;
    munmap(list, bytes);
    errno = error;
    return -1;
}

SHIM_EXPORT int execl(const char *path, const char *first, ...)
{
    va_list rest;
    va_start(rest, first);
    int result = exec_list(false, path, first, &rest);
    va_end(rest);
    return result;
}

SHIM_EXPORT int execlp(const char *file, const char *first, ...)
{
    va_list rest;
    va_start(rest, first);
    int result = exec_list(true, file, first, &rest);
    va_end(rest);
    return result;
}
