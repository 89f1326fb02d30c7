/* Processor time, of all threads, of a cached 4 KiB read with 32 in flight: files_LIBRARY [READS]
 * prints nanoseconds
 * a read as a line of JSON. bench/run files runs it for each library in turn, several times. */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 4096 }; /* 16 MiB: in the page cache, and beyond the processor's */

void files_die(const char *what)
{
    perror(what);
    exit(1);
}

/* The kernel's own workers for a ring count as threads, too. */
static int thread_count(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    if (dir == NULL) files_die("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void make_file(char *path)
{
    static char block[FILES_BYTES];
    int fd = mkstemp(path);
    if (fd < 0) files_die("mkstemp");
    for (int i = 0; i < BLOCKS; i++)
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block) files_die("write");
    close(fd);
}

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv)
{
    uint64_t reads = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    char path[] = "/tmp/bench-files-XXXXXX";
    make_file(path);
    files_open(path);
    unlink(path);
    files_read(reads / 10 + FILES_IN_FLIGHT, BLOCKS); /* warm */
    double wall = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
    files_read(reads, BLOCKS);
    wall = now(CLOCK_MONOTONIC) - wall;
    processor = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
    printf("{ \"processor\": %.1f, \"wall\": %.1f, \"threads\": %d }\n",
           processor / (double)reads, wall / (double)reads, thread_count());
    return 0;
}
