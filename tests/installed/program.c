/* What a user's program does with an installed copy: a timer and a word through a socket pair. */
#include <hark/hark.h>
#include <stdio.h>
#include <string.h>

struct state {
    struct hark_loop *loop;
    struct hark_io ends[2];
    struct hark_op sending, receiving, timer, closing[2];
    char word[6];
    int done_count;
};

static void on_done(struct hark_op *op)
{
    struct state *state = (struct state *)op->user;
    if (op->result >= 0) state->done_count++;
}

static void on_received(struct hark_op *op)
{
    struct state *state = (struct state *)op->user;
    on_done(op);
    for (int i = 0; i < 2; i++) {
        state->closing[i].user = state;
        hark_close(&state->closing[i], &state->ends[i], on_done);
    }
}

int main(void)
{
    static struct state state;
    int fds[2];
    if (hark_loop_open(&state.loop, NULL) != 0) return 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return 1;
    for (int i = 0; i < 2; i++)
        if (hark_io_adopt(&state.ends[i], state.loop, fds[i]) != 0) return 1;
    state.sending.user = state.receiving.user = state.timer.user = &state;
    hark_send(&state.sending, &state.ends[0], "hello", 6, on_done);
    hark_recv(&state.receiving, &state.ends[1], state.word, sizeof state.word, on_received);
    hark_timer(&state.timer, state.loop, hark_after(state.loop, HARK_MILLISECOND), on_done);
    if (hark_run(state.loop) != 0) return 1;
    printf("hark %s on %s says %s\n", hark_version(), hark_loop_backend(state.loop), state.word);
    hark_loop_close(state.loop);
    return strcmp(hark_version(), HARK_VERSION) == 0 && state.done_count == 5 &&
                   strcmp(state.word, "hello") == 0 ? 0 : 1;
}
