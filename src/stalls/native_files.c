/* Where a mapped file can be read: by its name; under the process's own root if it lives in a
 * container; through the kernel if it was deleted, as an upgrade does to the programs that run. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stalls/native_parts.h"

/* Whose modules are being read: libdw's callback is not told. A thread for each target. */
static _Thread_local pid_t reading;

void files_begin(pid_t pid)
{
    reading = pid;
}

static bool is_other(const char *path, const char *name)
{
    struct stat ours, theirs;
    if (stat(path, &theirs) != 0) return false;
    return stat(name, &ours) != 0 || ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev;
}

/* The kernel's link to what is mapped at base; only root may follow it. */
static int open_mapped(uint64_t base)
{
    char path[64], start[32];
    snprintf(path, sizeof path, "/proc/%d/map_files", (int)reading);
    snprintf(start, sizeof start, "%lx-", base);
    DIR *folder = opendir(path);
    if (folder == NULL) return -1;
    int file = -1;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strncmp(entry->d_name, start, strlen(start)) != 0) continue;
        file = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
        break;
    }
    closedir(folder);
    return file;
}

static int open_deleted(const char *name, uint64_t base)
{
    char path[64], link[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)reading);
    ssize_t length = readlink(path, link, sizeof link - 1);
    link[length > 0 ? length : 0] = '\0';
    if (strcmp(link, name) == 0) return open(path, O_RDONLY | O_CLOEXEC);
    return open_mapped(base);
}

int files_find(Dwfl_Module *module, void **slot, const char *name, Dwarf_Addr base,
               char **file_name, Elf **elf)
{
    static const char deleted[] = " (deleted)";
    char path[4096];
    size_t length = strlen(name), tail = sizeof deleted - 1;
    snprintf(path, sizeof path, "/proc/%d/root%s", (int)reading, name);
    if (name[0] == '/' && length > tail && strcmp(name + length - tail, deleted) == 0) {
        int file = open_deleted(name, base);
        if (file >= 0) *file_name = strdup(name);
        if (file >= 0) return file;
    }
    if (name[0] != '/' || !is_other(path, name))
        return dwfl_linux_proc_find_elf(module, slot, name, base, file_name, elf);
    *file_name = strdup(path);
    return open(path, O_RDONLY | O_CLOEXEC);
}
