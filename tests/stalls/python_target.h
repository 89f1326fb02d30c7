/* A Python that a test starts to look into: one of the interpreters found here, with a script of
 * tests/stalls/python. It ends when its input is closed, or with the test. */
#ifndef TESTS_STALLS_PYTHON_TARGET_H
#define TESTS_STALLS_PYTHON_TARGET_H

#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stalls/python.h"

enum { INTERPRETERS_MAX = 32, PATIENCE_S = 60, LINE_MAX_BYTES = 4096 };

struct interpreter {
    char path[512];
    int minor;
};

static struct interpreter interpreters[INTERPRETERS_MAX];
static int interpreter_count;

struct python_target {
    pid_t pid;
    int input, questions;     /* its descriptors 0 and 3 */
    FILE *output;             /* its descriptor 1 */
    struct python *python;
};

/* Asks an interpreter for its version, and keeps it if it is one that can be read. */
static inline void note_interpreter(const char *path)
{
    char command[1024];
    snprintf(command, sizeof command,
             "'%s' -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null", path);
    FILE *answer = popen(command, "r");
    int major = 0, minor = 0;
    if (answer != NULL && fscanf(answer, "%d %d", &major, &minor) != 2) major = 0;
    if (answer != NULL) pclose(answer);
    if (major != 3 || minor < 8 || minor > 14 || interpreter_count == INTERPRETERS_MAX) return;
    struct interpreter *to = &interpreters[interpreter_count++];
    snprintf(to->path, sizeof to->path, "%s", path);
    to->minor = minor;
    printf("interpreter %d: %s, 3.%d\n", interpreter_count - 1, path, minor);
}

/* Those in HARK_PYTHONS, a list with colons; else the system's and those of pyenv. */
static inline void find_interpreters(void)
{
    char text[4096];
    const char *listed = getenv("HARK_PYTHONS"), *home = getenv("HOME");
    if (listed != NULL) {
        snprintf(text, sizeof text, "%s", listed);
        for (char *path = strtok(text, ":"); path != NULL; path = strtok(NULL, ":"))
            note_interpreter(path);
        return;
    }
    note_interpreter("/usr/bin/python3");
    snprintf(text, sizeof text, "%s/.pyenv/versions/3.*/bin/python3", home == NULL ? "" : home);
    glob_t found = { 0 };
    if (glob(text, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) note_interpreter(found.gl_pathv[i]);
    globfree(&found);
    fflush(stdout);
}

static inline void become_target(const struct interpreter *interpreter, const char *script,
                                 const char *argument, const int ends[3])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setenv("PYTHONUTF8", "1", 1); /* whatever the locale is */
    for (int i = 0; i < 3; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    int kept[3];
    for (int i = 0; i < 3; i++) kept[i] = fcntl(ends[i], F_DUPFD_CLOEXEC, 10);
    dup2(kept[0], 0);
    dup2(kept[1], 1);
    dup2(kept[2], 3);
    execl(interpreter->path, interpreter->path, "-B", script, argument, (char *)NULL);
    _exit(127);
}

static inline struct python_target start_file(int index, const char *script, const char *argument)
{
    int input[2], output[2], questions[2];
    ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(output, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(questions, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int ends[] = { input[0], output[1], questions[0] };
        become_target(&interpreters[index], script, argument, ends);
    }
    close(input[0]);
    close(output[1]);
    close(questions[0]);
    struct python_target target = { .pid = pid, .input = input[1], .questions = questions[1] };
    target.output = fdopen(output[0], "r");
    return target;
}

/* Starts a script of the folder. */
static inline struct python_target start(int index, const char *script, const char *argument)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", STALLS_SCRIPTS, script);
    return start_file(index, path, argument);
}

/* The next line of its output, without the end of the line. */
static inline void read_line(struct python_target *target, char *line, int room)
{
    ck_assert_msg(fgets(line, room, target->output) != NULL, "the script ended too early");
    line[strcspn(line, "\n")] = '\0';
}

/* Waits for its first line, then looks into it. */
static inline void attach(struct python_target *target, char *line, int room)
{
    char why[256] = "";
    read_line(target, line, room);
    target->python = python_open(target->pid, why, sizeof why);
    ck_assert_msg(target->python != NULL, "not opened: %s", why);
}

static inline void finish(struct python_target *target)
{
    python_close(target->python);
    fclose(target->output);
    close(target->input);
    close(target->questions);
    kill(target->pid, SIGKILL);
    waitpid(target->pid, NULL, 0);
}

/* The line of a script with the mark "# at NAME". */
static inline int line_of(const char *script, const char *name)
{
    char path[1024], wanted[256], line[LINE_MAX_BYTES];
    snprintf(path, sizeof path, "%s/%s", STALLS_SCRIPTS, script);
    snprintf(wanted, sizeof wanted, "  # at %s\n", name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    int number = 0, found = 0;
    while (found == 0 && fgets(line, sizeof line, file) != NULL) {
        number++;
        const char *mark = strstr(line, "  # at ");
        if (mark != NULL && strcmp(mark, wanted) == 0) found = number;
    }
    fclose(file);
    ck_assert_msg(found != 0, "no mark for %s", name);
    return found;
}

/* What a version calls a function: the qualified name since 3.11, before that the last part of
 * it. */
static inline const char *name_in(int index, const char *qualified)
{
    const char *dot = strrchr(qualified, '.');
    return interpreters[index].minor >= 11 || dot == NULL ? qualified : dot + 1;
}

#endif
