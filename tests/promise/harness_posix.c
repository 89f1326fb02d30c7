/* The parts of the harness that ask the system; on Windows tests/windows/harness.c is in its
 * place. */
#include "children.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>

const bool has_unix_sockets = true, has_every_signal = true, has_usage = true;

bool keeps_datagram_errors(void) { return true; }
bool is_system_error(int os_error, int number) { return os_error == number; }
mode_t kept_mode(mode_t mode) { return mode; }

int change_attributes(const char *path) { return chmod(path, 0400); }

int remove_tree(const char *path)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command);
}

void end_with_runner(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

int open_descriptor_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    int count = 0;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

/* One that ends meanwhile is none. */
int thread_count(void)
{
    enum { PF_IO_WORKER = 0x10 };
    DIR *dir = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char name[300];
        unsigned flags = 0;
        snprintf(name, sizeof name, "/proc/self/task/%s/stat", entry->d_name);
        FILE *stat = entry->d_name[0] == '.' ? NULL : fopen(name, "r");
        if (stat == NULL) continue;
        if (fscanf(stat, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %u", &flags) == 1)
            count += !(flags & PF_IO_WORKER);
        fclose(stat);
    }
    closedir(dir);
    return count;
}

socklen_t local_address(struct sockaddr_storage *addr)
{
    struct sockaddr_un *un = (struct sockaddr_un *)addr; /* abstract, and named by the kernel */
    un->sun_family = AF_UNIX;
    return sizeof un->sun_family;
}

int move_up(int fd, int least)
{
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, least);
    ck_assert_int_ge(higher, least);
    close(fd);
    return higher;
}

bool allow_descriptors(size_t count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur >= count) return true;
    errno = EMFILE;
    if (limit.rlim_max < count) return lacks("descriptors enough");
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return true;
}

bool ends_by_abort(void (*act)(void), char *said, size_t room)
{
    int fds[2], status = 0;
    size_t len = 0;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        if (hark_loop_open(&loop, NULL) == 0) act();
        _exit(0);
    }
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], said + len, room - 1 - len)) > 0;) len += (size_t)n;
    said[len] = '\0';
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
