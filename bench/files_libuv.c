/* The files benchmark on libuv: uv_fs_read(), which its pool of four threads does. */
#include <fcntl.h>
#include <uv.h>

#include "files.h"

struct reader {
    uv_fs_t request;
    char buf[FILES_BYTES];
};

static uv_loop_t *loop;
static uv_file file;
static struct reader readers[FILES_IN_FLIGHT];
static uint64_t left, at, block_count;

static void read_next(struct reader *reader);

static void on_read(uv_fs_t *request)
{
    if (request->result != FILES_BYTES) files_die("uv_fs_read");
    uv_fs_req_cleanup(request);
    read_next((struct reader *)(void *)request);
}

static void read_next(struct reader *reader)
{
    uv_buf_t buf = uv_buf_init(reader->buf, FILES_BYTES);
    if (left == 0) return;
    left--;
    uv_fs_read(loop, &reader->request, file, &buf, 1, files_next(&at, block_count), on_read);
}

void files_open(const char *path)
{
    uv_fs_t request;
    loop = uv_default_loop();
    if (loop == NULL) files_die("uv_default_loop");
    file = uv_fs_open(NULL, &request, path, O_RDONLY, 0, NULL);
    if (file < 0) files_die("uv_fs_open");
    uv_fs_req_cleanup(&request);
}

void files_read(uint64_t count, uint64_t blocks)
{
    left = count;
    block_count = blocks;
    for (int i = 0; i < FILES_IN_FLIGHT; i++) read_next(&readers[i]);
    (void)uv_run(loop, UV_RUN_DEFAULT);
}
