/* The path of a watch in its absolute form; see root.h. */
#include "watch/root.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int64_t root_begin(const char *path, char directory[PATH_MAX])
{
    directory[0] = '\0';
    if (path[0] == '\0') return -ENOENT;
    if (path[0] == '/' || getcwd(directory, PATH_MAX) != NULL) return 0;
    directory[0] = '\0';
    return errno == ERANGE ? -ENAMETOOLONG : -errno; /* ENOENT: it was removed */
}

size_t root_room(const char *path, const char *directory)
{
    return strlen(directory) + strlen(path) + 2;
}

void root_write(char *root, const char *path, const char *directory)
{
    size_t at = strlen(directory);
    memcpy(root, directory, at);
    if (at != 0) root[at++] = '/';
    memcpy(root + at, path, strlen(path) + 1);
}
