/* The path of a watch in its absolute form, since the program may go to another directory
 * meanwhile; where paths begin with a slash. */
#ifndef HARK_WATCH_ROOT_H
#define HARK_WATCH_ROOT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the directory that path counts from; "" if it is absolute. 0, or a negative errno: there
 * is no such directory, or no path. */
int64_t root_begin(const char *path, char directory[PATH_MAX]);

/* The room that the absolute form takes; writes it. */
size_t root_room(const char *path, const char *directory);
void root_write(char *root, const char *path, const char *directory);

#endif
