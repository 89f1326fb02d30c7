/* The processes that are open, and the one place that takes the end of a child from the kernel. */
#include <errno.h>
#include <pthread.h>

#include "process/process.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list, and of is_reaped */
static pthread_rwlock_t spawning = PTHREAD_RWLOCK_INITIALIZER;
static struct hark_process *first;

void registry_begin_spawn(void) { pthread_rwlock_rdlock(&spawning); }
void registry_end_spawn(void) { pthread_rwlock_unlock(&spawning); }

void registry_add(struct hark_process *process)
{
    pthread_mutex_lock(&lock);
    process->prev = NULL;
    process->next = first;
    if (first != NULL) first->prev = process;
    first = process;
    pthread_mutex_unlock(&lock);
}

void registry_remove(struct hark_process *process)
{
    pthread_mutex_lock(&lock);
    if (process->prev != NULL) process->prev->next = process->next;
    else first = process->next;
    if (process->next != NULL) process->next->prev = process->prev;
    pthread_mutex_unlock(&lock);
}

int registry_take_end(struct hark_process *process)
{
    pthread_mutex_lock(&lock);
    pid_t pid = process->is_reaped ? 1 : child_take(process);
    pthread_mutex_unlock(&lock);
    return pid > 0 ? 1 : (int)pid;
}

int registry_signal(const struct hark_process *process, int number)
{
    pthread_mutex_lock(&lock);
    int error = child_signal(process, number) == 0 ? 0 : hark_error_from_os(errno);
    pthread_mutex_unlock(&lock);
    return error;
}

static struct hark_process *find(pid_t pid)
{
    struct hark_process *process = first;
    while (process != NULL && (process->pid != pid || process->is_reaped)) process = process->next;
    return process;
}

/* Looks first, then takes that one by its number: it cannot be another's before it is taken. The
 * kernel shows one at a time, so what belongs to a process must be taken to see those behind it. A
 * process that was no child of ours may have ended long ago, and its number be a child's now. */
static pid_t take_next(struct hark_process_end *end, bool *is_ours)
{
    *is_ours = false;
    pid_t pid = child_look();
    if (pid <= 0) return 0;
    struct hark_process *process = find(pid);
    *is_ours = process != NULL && child_take(process) > 0;
    if (!*is_ours) return child_take_number(pid, end);
    process->is_reaped = true;
    return pid;
}

pid_t registry_take_any(struct hark_process_end *end)
{
    bool is_ours = false;
    pid_t pid;
    pthread_rwlock_wrlock(&spawning);
    pthread_mutex_lock(&lock);
    do pid = take_next(end, &is_ours);
    while (pid == -ECHILD || is_ours); /* ECHILD: another thread waited for it meanwhile */
    pthread_mutex_unlock(&lock);
    pthread_rwlock_unlock(&spawning);
    return pid > 0 ? pid : 0;
}
