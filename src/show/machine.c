/* Names the machine: uname(2), /proc/cpuinfo and the processors this process may run on. */
#include "show/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "calls.h"

/* Gives the text after the colon of the first line that begins with key. */
static int find_line(FILE *from, const char *key, char *value, size_t room)
{
    char line[256];
    while (fgets(line, sizeof line, from)) {
        if (strncmp(line, key, strlen(key)) != 0) continue;
        char *colon = strchr(line, ':');
        if (!colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(value, room, "%.*s", (int)strcspn(colon, "\n"), colon);
        return 0;
    }
    return -1;
}

static void look_at_processor(struct machine *machine)
{
    struct utsname name;
    snprintf(machine->processor, sizeof machine->processor, "%s",
             uname(&name) == 0 ? name.machine : "unknown");
    FILE *info = fopen("/proc/cpuinfo", "re");
    if (!info) return;
    (void)find_line(info, "model name", machine->processor, sizeof machine->processor);
    fclose(info);
}

void machine_look(struct machine *machine)
{
    struct utsname name;
    if (uname(&name) == 0)
        snprintf(machine->system, sizeof machine->system, "%.40s %.50s", name.sysname,
                 name.release);
    else
        snprintf(machine->system, sizeof machine->system, "unknown");
    look_at_processor(machine);
    machine->cores = call_processor_count();
}
