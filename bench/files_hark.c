/* The files benchmark on hark, on the backend that HARK_BACKEND names. */
#include <fcntl.h>
#include <hark/hark.h>

#include "files.h"

struct reader {
    struct hark_op op;
    char buf[FILES_BYTES];
};

static struct hark_loop *loop;
static struct hark_file file;
static struct reader readers[FILES_IN_FLIGHT];
static uint64_t left, at, block_count;

static void on_read(struct hark_op *op)
{
    struct reader *reader = (struct reader *)(void *)op;
    if (op->result != FILES_BYTES) files_die("read");
    if (left == 0) return;
    left--;
    hark_file_read(op, &file, reader->buf, FILES_BYTES, files_next(&at, block_count), on_read);
}

static void on_open(struct hark_op *op)
{
    if (op->result != 0) files_die(hark_strerror(op->result));
}

void files_open(const char *path)
{
    struct hark_op op = { 0 };
    if (hark_loop_open(&loop, NULL) != 0) files_die("hark_loop_open");
    hark_file_open(&op, &file, loop, path, O_RDONLY, 0, on_open);
    hark_run(loop);
}

void files_read(uint64_t count, uint64_t blocks)
{
    left = count;
    block_count = blocks;
    for (int i = 0; i < FILES_IN_FLIGHT; i++) {
        readers[i].op.result = FILES_BYTES;
        on_read(&readers[i].op);
    }
    hark_run(loop);
}
