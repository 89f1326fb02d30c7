/* What the files of streams share: their ops are of a layer above the loop, each driven by an op of
 * the stream's own; see loop/layer.h.
 *
 *   begin ---> is it there? --- yes -------------------------> layer_end()
 *                  |  ^
 *                  no |  own op (recv, read, ready, send) ends
 *                  v  |
 *                waiting ------- cancel: the own op is canceled; what it brought still counts */
#ifndef HARK_STREAM_STREAM_H
#define HARK_STREAM_STREAM_H

#include <hark/stream.h>

#include "loop/layer.h"

/* Begins an op on a part of a stream; false: it has ended already. */
bool stream_begin(struct hark_op *op, struct hark_stream_part *part, const struct layer *layer,
                  hark_done_fn *done);

static inline struct hark_stream_part *stream_part(const struct hark_op *op)
{
    return layer_of(op);
}

/* Ends the op of a part by the result of an own op, with what the system said. */
void stream_fail(struct hark_stream_part *part, const struct hark_op *by);

/* Lets a close go on that waited for the reader, or for who splices into it. */
void stream_finish_close(struct hark_stream *stream);

/* read.c: begins a receive of more bytes into the buffer, which has room. */
void stream_receive(struct hark_stream *stream, hark_done_fn *done);
/* Takes bytes away from the front of the buffer. */
void stream_consume(struct hark_stream *stream, size_t len);
/* Puts the wait of the reader's op off, if the stream's read time-out is its deadline. */
void stream_put_off(struct hark_stream *stream);
/* For cancel(): the read time-out has passed, but bytes were found in the same look, as after a
 * callback that held the loop. It is put off. */
bool stream_is_put_off(struct hark_stream *stream);

/* write.c: hands to the io what is queued. */
void stream_flush(struct hark_stream *stream);
/* Writes, with the write time-out of the stream as deadline if there is no other. */
void stream_submit_write(struct hark_op *op, struct hark_stream *stream, const void *data,
                         size_t len, hark_done_fn *done);

#endif
