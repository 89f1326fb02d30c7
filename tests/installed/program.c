/* What a user's program does with an installed copy: a timer and a word through a pipe. */
#include <hark/hark.h>
#include <stdio.h>
#include <string.h>

struct state {
    struct hark_loop *loop;
    struct hark_io ends[2];
    struct hark_op writing, reading, timer, closing[2];
    char word[6];
    int done_count;
};

static void on_done(struct hark_op *op)
{
    struct state *state = (struct state *)op->user;
    if (op->result >= 0) state->done_count++;
}

static void on_read(struct hark_op *op)
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
    if (hark_loop_open(&state.loop, NULL) != 0) return 1;
    if (hark_pipe(&state.ends[1], &state.ends[0], state.loop) != 0) return 1;
    state.writing.user = state.reading.user = state.timer.user = &state;
    hark_write(&state.writing, &state.ends[0], "hello", 6, on_done);
    hark_read(&state.reading, &state.ends[1], state.word, sizeof state.word, on_read);
    hark_timer(&state.timer, state.loop, hark_after(state.loop, HARK_MILLISECOND), on_done);
    if (hark_run(state.loop) != 0) return 1;
    printf("hark %s on %s says %s\n", hark_version(), hark_loop_backend(state.loop), state.word);
    hark_loop_close(state.loop);
    return strcmp(hark_version(), HARK_VERSION) == 0 && state.done_count == 5 &&
                   strcmp(state.word, "hello") == 0 ? 0 : 1;
}
