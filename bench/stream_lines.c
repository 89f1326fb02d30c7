/* Line reading through hark_stream: processor time for the bytes of a memory-backed pipe, which
 * this process fills itself between readings.
 *
 *     stream_lines [BACKEND]
 *
 * `all` counts the kernel's copy out of the pipe too, and is exact. `user` is the kernel's estimate
 * of the part outside of it, sampled by ticks: good for large figures only. Filling is not
 * counted. */
#include <fcntl.h>
#include <hark/hark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 65536, PIPE_BYTES = 1 << 20, ROUNDS = 1500 };

static struct hark_loop *loop;
static struct hark_io reads;
static struct hark_stream stream;
static struct hark_op op;
static char in[BUFFER_BYTES], text[PIPE_BYTES];
static int writes;
static size_t left;        /* bytes of the filling that are not read yet */
static uint64_t lines, bytes;
static bool is_by_op;

static int64_t user_now(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec * HARK_SECOND + use.ru_utime.tv_usec * HARK_MICROSECOND;
}

static int64_t processor_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * HARK_SECOND + ts.tv_nsec;
}

static void on_line(struct hark_op *reading)
{
    int64_t len = reading->result;
    do {
        if (len < 0) exit(1);
        lines++;
        bytes += (uint64_t)len + 1;
        left -= (size_t)len + 1;
    } while (!is_by_op && (len = hark_stream_next_line(&stream)) != HARK_EAGAIN);
    if (left != 0) hark_stream_read_line(&op, &stream, on_line);
}

static void measure(size_t line_bytes, bool by_op)
{
    size_t used = PIPE_BYTES / line_bytes * line_bytes;
    memset(text, 'x', sizeof text);
    for (size_t i = line_bytes - 1; i < used; i += line_bytes) text[i] = '\n';
    is_by_op = by_op;
    lines = bytes = 0;
    int64_t user = 0, all = 0;
    for (int round = 0; round < ROUNDS; round++) {
        if (write(writes, text, used) != (ssize_t)used) exit(1);
        left = used;
        int64_t user_before = user_now(), all_before = processor_now();
        hark_stream_read_line(&op, &stream, on_line);
        if (hark_run(loop) != 0) exit(1);
        all += processor_now() - all_before;
        user += user_now() - user_before;
    }
    printf("%5zu-byte lines, %-9s %5.1f ns a line, %6.2f GB/s of all, %6.2f GB/s of user time\n",
           line_bytes, by_op ? "by op" : "next_line", (double)all / (double)lines,
           (double)bytes / (double)all, (double)bytes / (double)user);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct hark_loop_options options = { .backend = argc > 1 ? argv[1] : NULL };
    struct hark_stream_options buffers = { .in = in, .in_bytes = sizeof in };
    int fds[2];
    if (hark_loop_open(&loop, &options) != 0 || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) return 1;
    writes = fds[1];
    if (fcntl(writes, F_SETPIPE_SZ, PIPE_BYTES) < PIPE_BYTES) return 1;
    if (hark_io_adopt(&reads, loop, fds[0]) != 0) return 1;
    if (hark_stream_open(&stream, &reads, &buffers) != 0) return 1;
    for (size_t line_bytes = 16; line_bytes <= 16384; line_bytes *= 4) {
        measure(line_bytes, false);
        measure(line_bytes, true);
    }
    hark_loop_close(loop);
    return 0;
}
