/* The part of the system where a thread can be asked for nothing: neither what it does nor where it
 * is. Memory is read by a pipe, whose write(2) says EFAULT where there is none (and which a
 * sanitizer may report, as it takes this for the program's own reading). */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "calls.h"
#include "stall/stall.h"

enum { PIECE_BYTES = 512 }; /* PIPE_BUF, at least: never split, and there is room */

static int ends[2] = { -1, -1 };

void thread_open(void)
{
    if (call_pipe(ends) != 0) ends[0] = ends[1] = -1; /* then labels are not told */
}

void thread_close(void)
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) close(ends[i]);
        ends[i] = -1;
    }
}

static ssize_t write_whole(uintptr_t from, size_t bytes)
{
    ssize_t sent;
    do sent = call_write_unchecked(ends[1], (const void *)from, bytes);
    while (sent < 0 && errno == EINTR);
    return sent;
}

size_t memory_read(uintptr_t address, void *to, size_t bytes)
{
    size_t done = 0;
    while (ends[1] >= 0 && done < bytes) {
        size_t left = bytes - done;
        ssize_t sent = write_whole(address + done, left < PIECE_BYTES ? left : PIECE_BYTES);
        if (sent <= 0) break;
        ssize_t got = read(ends[0], (char *)to + done, (size_t)sent);
        if (got != sent) break;
        done += (size_t)got;
    }
    return done;
}

void thread_frames(int tid, const struct heartbeat *beat, uint64_t turn_count,
                   struct thread_state *state, struct frames *frames)
{
    (void)tid, (void)beat, (void)turn_count;
    *state = (struct thread_state){ .state = HARK_STALL_UNKNOWN, .syscall = -1 };
    frames->count = frames->certain = 0;
}

int64_t thread_ready_ns(int tid)
{
    (void)tid;
    return 0;
}

void thread_each(void (*fn)(int tid, void *arg), void *arg) { (void)fn, (void)arg; }
void thread_name(const char *name) { call_name_thread(name); }

void target_find(const struct thread_state *thread, struct hark_stall *stall, char *text,
                 size_t room)
{
    (void)thread, (void)text, (void)room;
    stall->fd = -1;
    stall->target = stall->syscall_name = NULL;
}

/* The door. macOS has no semaphores of this kind, nor conditions that keep to the monotonic clock:
 * a sleep that ends by itself is one of short ones. */

static const int64_t slice_ns = 20 * HARK_MILLISECOND;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t knocked;
static bool is_knocked;

bool door_open(void)
{
    (void)pthread_mutex_init(&lock, NULL); /* in a child its holder may be gone */
    is_knocked = false;
    return pthread_cond_init(&knocked, NULL) == 0;
}

void door_knock(void)
{
    pthread_mutex_lock(&lock);
    is_knocked = true;
    pthread_cond_signal(&knocked);
    pthread_mutex_unlock(&lock);
}

static bool has_knocked(bool waits)
{
    pthread_mutex_lock(&lock);
    while (waits && !is_knocked) pthread_cond_wait(&knocked, &lock);
    bool was_knocked = is_knocked;
    is_knocked = false;
    pthread_mutex_unlock(&lock);
    return was_knocked;
}

void door_wait(int64_t timeout_ns)
{
    int64_t end = clock_add(clock_read(), timeout_ns);
    while (!has_knocked(timeout_ns < 0)) {
        int64_t left = end - clock_read();
        if (left <= 0) return;
        struct timespec slice = clock_timespec(left < slice_ns ? left : slice_ns);
        (void)call_poll(NULL, 0, &slice);
    }
}
