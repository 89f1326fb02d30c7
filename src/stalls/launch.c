/* Starts a command, or finds a process, and tells how it ended.
 *
 * A started command keeps everything of ours: terminal, descriptors, process group, signal mask. It
 * is no worse off if we die: nothing ties it to us. */
#include "stalls/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stalls/watch.h"

static const char library[] = "libhark-heartbeat.so";

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* In the child. What fails here is told through the pipe, which a successful exec closes. */
_Noreturn static void run(char *const *command, const struct preload *preload, int report_fd)
{
    if (preload->page != NULL) {
        const char *theirs = getenv("LD_PRELOAD");
        char list[2 * 4096];
        bool has_theirs = theirs != NULL && *theirs != '\0';
        snprintf(list, sizeof list, "%s%s%s", preload->shim, has_theirs ? ":" : "",
                 has_theirs ? theirs : "");
        setenv("LD_PRELOAD", list, 1);
        setenv("HARK_HEARTBEAT", preload->page_path, 1);
        beat_claim(preload->page);
    }
    execvp(command[0], command);
    int error = errno;
    ssize_t written = write(report_fd, &error, sizeof error);
    (void)written; /* then the parent sees an end without a reason */
    _exit(127);
}

int launch_start(struct launch *launch, char *const *command, const struct preload *preload,
                 const sigset_t *mask, char *why)
{
    int ends[2], error = 0;
    const struct sigaction usual = { .sa_handler = SIG_DFL }; /* else exit codes may be lost */
    *launch = (struct launch){ .pidfd = -1, .is_child = true };
    sigaction(SIGCHLD, &usual, &launch->on_child);
    if (pipe2(ends, O_CLOEXEC) != 0 || (launch->pid = fork()) < 0) {
        snprintf(why, TEXT_ROOM, "cannot start %s: %s", command[0], strerror(errno));
        launch_close(launch);
        return WATCH_REFUSED;
    }
    if (launch->pid == 0) {
        sigaction(SIGCHLD, &launch->on_child, NULL);
        sigprocmask(SIG_SETMASK, mask, NULL);
        run(command, preload, ends[1]);
    }
    close(ends[1]);
    launch->pidfd = open_pidfd(launch->pid);
    ssize_t got;
    while ((got = read(ends[0], &error, sizeof error)) < 0 && errno == EINTR)
        ; /* a signal for us is no answer of the child */
    close(ends[0]);
    if (got == (ssize_t)sizeof error) {
        waitpid(launch->pid, NULL, 0);
        launch_close(launch);
        snprintf(why, TEXT_ROOM, "cannot start %s: %s", command[0], strerror(error));
        return error == ENOENT ? WATCH_NOT_FOUND : WATCH_CANNOT_RUN;
    }
    return 0;
}

static bool has_ended(pid_t pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return true;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *state = strrchr(text, ')');
    return state == NULL || state[1] == '\0' || strchr("ZX", state[2]) != NULL;
}

int launch_attach(struct launch *launch, pid_t pid, char *why)
{
    char path[64], target[16];
    struct stat file;
    *launch = (struct launch){ .pid = pid, .pidfd = -1 };
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (pid <= 0 || stat(path, &file) != 0) {
        snprintf(why, TEXT_ROOM, "no process %d", (int)pid);
        return WATCH_REFUSED;
    }
    launch->pidfd = open_pidfd(pid);
    int pidfd_error = errno;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    bool is_readable = readlink(path, target, sizeof target) > 0;
    int error = errno;
    if (pid == getpid()) snprintf(why, TEXT_ROOM, "process %d is this one", (int)pid);
    else if (has_ended(pid)) snprintf(why, TEXT_ROOM, "process %d has ended", (int)pid);
    else if (launch->pidfd < 0 && pidfd_error == EINVAL)
        snprintf(why, TEXT_ROOM, "%d is a thread of a process: name the process", (int)pid);
    else if (!is_readable && error == ENOENT)
        snprintf(why, TEXT_ROOM, "process %d is a kernel thread", (int)pid);
    else if (!is_readable && file.st_uid != geteuid())
        snprintf(why, TEXT_ROOM, "process %d belongs to another user", (int)pid);
    else if (!is_readable)
        snprintf(why, TEXT_ROOM, "process %d may not be looked at: %s", (int)pid, strerror(error));
    else return 0;
    launch_close(launch);
    return WATCH_REFUSED;
}

void launch_close(struct launch *launch)
{
    if (launch->is_child) sigaction(SIGCHLD, &launch->on_child, NULL);
    if (launch->pidfd >= 0) close(launch->pidfd);
    launch->pidfd = -1;
}

/* Reaps it, if it is ours and has ended. */
static bool reap(struct launch *launch)
{
    if (!launch->is_child || launch->has_ended) return launch->has_ended;
    int status;
    if (waitpid(launch->pid, &status, WNOHANG) != launch->pid || WIFSTOPPED(status)) return false;
    launch->status = status;
    launch->has_ended = true;
    return true;
}

int launch_exit_code(struct launch *launch)
{
    if (!reap(launch) || !launch->is_child) return 0;
    if (WIFSIGNALED(launch->status)) return 128 + WTERMSIG(launch->status);
    return WEXITSTATUS(launch->status);
}

const char *launch_exit_text(struct launch *launch)
{
    if (!reap(launch)) return text_format("process %d goes on", (int)launch->pid);
    if (!launch->is_child) return text_format("process %d ended", (int)launch->pid);
    if (WIFSIGNALED(launch->status))
        return text_format("killed by signal %d (%s)", WTERMSIG(launch->status),
                           strsignal(WTERMSIG(launch->status)));
    return text_format("exit code %d", WEXITSTATUS(launch->status));
}

pid_t launch_only_child(pid_t pid)
{
    char path[96];
    int child = 0, other = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    int count = fscanf(file, "%d %d", &child, &other);
    fclose(file);
    return count == 1 ? child : 0;
}

/* In the build tree it lies beside the command's folder; once installed in a folder of the
 * libraries, whose name differs by system. */
const char *launch_find_shim(void)
{
    static const char *const places[] = { "", "../stalls/", "../lib*/hark/", "../lib/*/hark/" };
    char exe[2048] = "", pattern[2200];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *end = length > 0 ? strrchr(exe, '/') : NULL;
    const char *found = NULL;
    if (end == NULL) return NULL;
    end[1] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places && found == NULL; i++) {
        glob_t paths;
        snprintf(pattern, sizeof pattern, "%s%s%s", exe, places[i], library);
        if (glob(pattern, 0, NULL, &paths) != 0) continue;
        char real[4096];
        if (realpath(paths.gl_pathv[0], real) != NULL) found = text_keep(real);
        globfree(&paths);
    }
    return found;
}
