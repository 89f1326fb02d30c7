/* Lines of /proc/PID/maps: "start-end rights offset device inode   path". */
#include "stalls/maps.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void strip_deleted(char *path)
{
    static const char deleted[] = " (deleted)";
    size_t length = strlen(path), tail = sizeof deleted - 1;
    if (length > tail && strcmp(path + length - tail, deleted) == 0) path[length - tail] = '\0';
}

bool maps_open(struct maps *maps, pid_t pid)
{
    char path[64];
    maps->pid = pid;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(path, maps->program, sizeof maps->program - 1);
    maps->program[length > 0 ? length : 0] = '\0';
    strip_deleted(maps->program);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    maps->lines = fopen(path, "re");
    return maps->lines != NULL;
}

bool maps_next(struct maps *maps, struct mapping *out)
{
    char line[PATH_MAX + 128], rights[8];
    while (fgets(line, sizeof line, maps->lines) != NULL) {
        int at = 0;
        int got = sscanf(line, "%lx-%lx %7s %lx %*s %*s %n", &out->start, &out->end, rights,
                         &out->offset, &at);
        if (got < 4 || at == 0 || line[at] != '/') continue;
        line[strcspn(line, "\n")] = '\0';
        strip_deleted(line + at);
        snprintf(out->path, sizeof out->path, "%.*s", PATH_MAX - 1, line + at);
        out->is_code = rights[2] == 'x';
        out->is_program = strcmp(out->path, maps->program) == 0;
        return true;
    }
    return false;
}

void maps_close(struct maps *maps)
{
    fclose(maps->lines);
}

int maps_open_file(const struct maps *maps, const struct mapping *mapping)
{
    char path[PATH_MAX + 64];
    if (mapping->is_program) snprintf(path, sizeof path, "/proc/%d/exe", (int)maps->pid);
    else snprintf(path, sizeof path, "/proc/%d/root%s", (int)maps->pid, mapping->path);
    return open(path, O_RDONLY | O_CLOEXEC);
}
