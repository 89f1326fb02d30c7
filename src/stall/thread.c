/* What a thread does, and a copy of its stack, without any call of its own ending early.
 *
 * /proc tells of a thread that waits: the system call, its arguments, stack pointer and place. Its
 * stack is then read from here. A running one copies its stack itself, in the handler of a signal.
 * The signal must not meet it in a system call, which would end with EINTR; nobody outside can see
 * to that, since it may enter one between the look and the signal. So the signal comes from a timer
 * of the thread's own processor time: Linux expires it on the way back to user space, where no
 * system call is under way any more (CONFIG_POSIX_CPU_TIMERS_TASK_WORK, since 5.9). If the thread
 * falls asleep first, the timer stays silent, and it is looked at by /proc again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "stall/stall.h"

enum { ASK_MS = 40 }; /* for a tick of the slowest kernel, and for being descheduled a little */

static sem_t door;

bool door_open(void) { return sem_init(&door, 0, 0) == 0; }
void door_knock(void) { (void)sem_post(&door); }

void door_wait(int64_t timeout_ns)
{
    if (timeout_ns < 0) {
        (void)sem_wait(&door);
        return;
    }
    struct timespec until = clock_timespec(clock_read() + timeout_ns);
    (void)sem_clockwait(&door, CLOCK_MONOTONIC, &until);
}

void thread_name(const char *name) { (void)pthread_setname_np(pthread_self(), name); }

void thread_each(void (*fn)(int tid, void *arg), void *arg)
{
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int tid = atoi(entry->d_name);
        if (tid != 0) fn(tid, arg);
    }
    closedir(folder);
}

size_t memory_read(uintptr_t address, void *to, size_t bytes)
{
    struct iovec here = { to, bytes }, there = { (void *)address, bytes };
    ssize_t got = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    return got < 0 ? 0 : (size_t)got;
}

/* Reads a short file of a thread; false: there is none. */
static bool read_file(int tid, const char *name, char *text, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t len = read(fd, text, room - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return len > 0;
}

int64_t thread_ready_ns(int tid)
{
    char line[128], *at = line;
    if (!read_file(tid, "schedstat", line, sizeof line)) return 0;
    (void)strtoll(at, &at, 10); /* that it has run */
    return strtoll(at, &at, 10);
}

static struct thread_state look_at(int tid)
{
    struct thread_state state = { .state = HARK_STALL_UNKNOWN, .syscall = -1 };
    char line[256], *at = line;
    if (!read_file(tid, "syscall", line, sizeof line)) return state;
    state.state = HARK_STALL_RUNS;
    if (strncmp(line, "running", 7) == 0) return state;
    state.state = HARK_STALL_WAITS;
    state.syscall = (int)strtol(at, &at, 10);
    for (int i = 0; i < 6 && state.syscall >= 0; i++) state.arguments[i] = strtoull(at, &at, 0);
    state.stack = strtoul(at, &at, 0);
    state.at = strtoul(at, &at, 0);
    return state;
}

/* What lies on a stack above an address, as far as memory goes. */
static bool copy_stack(uintptr_t stack, struct stack_copy *copy)
{
    copy->low = stack;
    copy->bytes = memory_read(stack, copy->memory, sizeof copy->memory);
    return copy->bytes != 0;
}

static bool copy_waiting(const struct thread_state *state, struct stack_copy *copy)
{
    int number = unwind_stack_register();
    copy->registers = (struct registers){ .at = state->at, .known = UINT64_C(1) << number };
    copy->registers.value[number] = state->stack;
    return state->state == HARK_STALL_WAITS && copy_stack(state->stack, copy);
}

/* The signal. */

enum { ASK_NONE, ASK_OPEN, ASK_TAKEN, ASK_ANSWERED };

/* What the handler is asked for. Who changes `asked` from ASK_OPEN owns the rest. */
static struct {
    _Atomic int asked, tid;
    uint64_t turn_count;
    const struct heartbeat *beat;
    struct stack_copy *copy;
    bool is_right, is_ready;
    sem_t done;
} ask;

static int signal_number;       /* 0: none was free */
static struct sigaction signal_before;

#if defined(__x86_64__)
static void read_registers(const ucontext_t *context, struct registers *registers)
{
    static const int order[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP,
                                 REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13,
                                 REG_R14, REG_R15 };
    for (int i = 0; i < 16; i++)
        registers->value[i] = (uintptr_t)context->uc_mcontext.gregs[order[i]];
    registers->known = 0xffff;
    registers->at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}
#elif defined(__aarch64__)
static void read_registers(const ucontext_t *context, struct registers *registers)
{
    for (int i = 0; i < 31; i++) registers->value[i] = context->uc_mcontext.regs[i];
    registers->value[31] = context->uc_mcontext.sp;
    registers->known = 0xffffffff;
    registers->at = context->uc_mcontext.pc;
}
#else
static void read_registers(const ucontext_t *context, struct registers *registers)
{
    (void)context;
    registers->known = 0;
}
#endif

static void on_signal(int number, siginfo_t *info, void *context)
{
    int expected = ASK_OPEN, error = errno;
    (void)number, (void)info;
    if (atomic_load(&ask.tid) != gettid()) return;
    if (!atomic_compare_exchange_strong(&ask.asked, &expected, ASK_TAKEN)) return; /* too late */
    struct registers *registers = &ask.copy->registers;
    ask.is_right = BEAT_LOAD(ask.beat->turn_count) == ask.turn_count &&
                   BEAT_LOAD(ask.beat->is_waiting) == 0;
    read_registers(context, registers);
    ask.is_right = ask.is_right && registers->known != 0 &&
                   copy_stack(registers->value[unwind_stack_register()], ask.copy);
    atomic_store(&ask.asked, ASK_ANSWERED);
    sem_post(&ask.done);
    errno = error;
}

static bool is_free(int number, struct sigaction *before)
{
    return sigaction(number, NULL, before) == 0 && !(before->sa_flags & SA_SIGINFO) &&
           before->sa_handler == SIG_DFL;
}

void thread_open(void)
{
    struct sigaction action = { .sa_sigaction = on_signal,
                                .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    if (!ask.is_ready) sem_init(&ask.done, 0, 0);
    ask.is_ready = true;
    signal_number = 0;
    for (int number = SIGRTMAX; number >= SIGRTMIN && signal_number == 0; number--)
        if (is_free(number, &signal_before)) signal_number = number;
    if (signal_number != 0) (void)sigaction(signal_number, &action, NULL);
}

/* Unless somebody else has taken the signal meanwhile. One that a thread has blocked may still be
 * pending, and by default it would end the program: ignoring it first discards it. */
void thread_close(void)
{
    struct sigaction now, ignore = { .sa_handler = SIG_IGN };
    if (signal_number == 0 || sigaction(signal_number, NULL, &now) != 0) return;
    if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_signal) return;
    (void)sigaction(signal_number, &ignore, NULL);
    (void)sigaction(signal_number, &signal_before, NULL);
    signal_number = 0;
}

static bool timer_begin(int tid, timer_t *timer)
{
    clockid_t clock = (clockid_t)(~(unsigned)tid << 3 | 6); /* the processor time of this thread */
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal_number };
    struct itimerspec soon = { .it_value = { .tv_nsec = 1000 } }; /* at its next tick */
    event._sigev_un._tid = tid;
    if (timer_create(clock, &event, timer) != 0) return false;
    if (timer_settime(*timer, 0, &soon, NULL) == 0) return true;
    timer_delete(*timer);
    return false;
}

/* Waits for the handler; gives up early if the thread has fallen asleep. */
static bool wait_for_answer(int tid)
{
    for (int ms = 0; ms < ASK_MS; ms += 4) {
        struct timespec until = clock_timespec(clock_read() + 4 * HARK_MILLISECOND);
        if (sem_clockwait(&ask.done, CLOCK_MONOTONIC, &until) == 0) return true;
        if (look_at(tid).state == HARK_STALL_WAITS) break;
    }
    int expected = ASK_OPEN;
    if (atomic_compare_exchange_strong(&ask.asked, &expected, ASK_NONE)) return false;
    while (sem_wait(&ask.done) != 0) {} /* it is at it just now */
    return true;
}

static bool copy_running(int tid, const struct heartbeat *beat, uint64_t turn_count,
                         struct stack_copy *copy)
{
    timer_t timer;
    if (signal_number == 0) return false;
    ask.beat = beat;
    ask.copy = copy;
    ask.turn_count = turn_count;
    atomic_store(&ask.tid, tid);
    atomic_store(&ask.asked, ASK_OPEN);
    bool is_answered = false;
    if (timer_begin(tid, &timer)) {
        is_answered = wait_for_answer(tid);
        timer_delete(timer);
    }
    return atomic_exchange(&ask.asked, ASK_NONE) == ASK_ANSWERED && is_answered && ask.is_right;
}

void thread_frames(int tid, const struct heartbeat *beat, uint64_t turn_count,
                   struct thread_state *state, struct frames *frames)
{
    static struct stack_copy copy; /* the sampler's only */
    frames->count = frames->certain = 0;
    *state = look_at(tid);
    bool has_copy = false;
    if (state->state != HARK_STALL_WAITS && beat != NULL) {
        has_copy = copy_running(tid, beat, turn_count, &copy);
        if (!has_copy) *state = look_at(tid); /* it may wait by now */
    }
    if (!has_copy) has_copy = copy_waiting(state, &copy);
    if (!has_copy) return;
    unwind_look();
    unwind(&copy, frames);
}
