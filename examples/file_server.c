/* A file server: HTTP/1.0, GET only, one fiber a connection, files by hark_send_file().
 *
 *     file_server [HOST:PORT [FOLDER]]
 *
 * A path with "..", a backslash or a colon in it is refused, and only regular files are sent.
 * Symbolic links are followed: the folder is the owner's. */
#include <errno.h>
#include <fcntl.h>
#include <hark/statx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "example.h"

static int64_t send_text(struct hark_io *io, const char *text)
{
    return hark_fiber_send_all(io, text, strlen(text));
}

static int64_t refuse(struct hark_io *io, const char *status)
{
    char answer[128];
    snprintf(answer, sizeof answer, "HTTP/1.0 %s\r\nContent-Length: 0\r\n\r\n", status);
    return send_text(io, answer);
}

static int64_t send_open(struct hark_io *io, struct hark_file *file)
{
    struct hark_op op = { 0 };
    struct statx about;
    char head[128];
    int64_t error = hark_await(&op, hark_file_stat, file, &about);
    if (error < 0 || !S_ISREG(about.stx_mode)) return refuse(io, "404 Not Found");
    snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %llu\r\n\r\n",
             (unsigned long long)about.stx_size);
    error = send_text(io, head);
    if (error < 0) return error;
    struct hark_range range = { .file = file, .len = about.stx_size };
    return hark_await(&op, hark_send_file, io, &range);
}

/* Turns %41 into A, in place. False: that was none, or a zero byte. */
static bool decode(char *text)
{
    char *to = text;
    for (; *text != '\0'; text++) {
        char digits[3] = "";
        *to = *text;
        if (*text == '%') {
            if (text[1] != '\0') memcpy(digits, text + 1, 2);
            *to = (char)strtoul(digits, NULL, 16);
            bool is_number = strspn(digits, "0123456789abcdefABCDEF") == 2;
            if (!is_number || *to == '\0') return false;
            text += 2;
        }
        to++;
    }
    *to = '\0';
    return true;
}

/* The path of "GET /path?query HTTP/1.0" below the current directory, or NULL. */
static const char *path_of(char *request)
{
    if (strncmp(request, "GET /", 5) != 0) return NULL;
    char *path = request + 5;
    path[strcspn(path, " ?")] = '\0';
    if (!decode(path) || path[0] == '/') return NULL;
    if (strpbrk(path, "\\:") != NULL) return NULL; /* Windows has other ways out */
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return NULL;
    }
    return path[0] == '\0' ? "index.html" : path;
}

static int64_t answer(struct hark_io *io)
{
    char buf[4096], request[4096], *line;
    struct hark_reader reader = { .io = io, .buf = buf, .room_bytes = sizeof buf };
    int64_t n = hark_fiber_read_line(&reader, &line);
    if (n < 0) return n;
    memcpy(request, line, (size_t)n + 1);
    while (n > 0) n = hark_fiber_read_line(&reader, &line); /* the fields do not matter */
    if (n < 0) return n;
    const char *path = path_of(request);
    if (path == NULL) return refuse(io, "400 Bad Request");
    struct hark_file file = { 0 };
    if (hark_fiber_file_open(&file, path, O_RDONLY, 0) < 0) return refuse(io, "404 Not Found");
    int64_t result = send_open(io, &file);
    hark_fiber_file_close(&file);
    return result;
}

static int64_t serve(void *arg)
{
    struct hark_io *io = arg;
    answer(io); /* whatever it is: the connection ends */
    hark_fiber_close(io);
    free(io);
    return 0;
}

static void on_accept(struct hark_op *op)
{
    struct hark_io *io = example_accepted(op, sizeof *io);
    if (io != NULL) example_require(hark_fiber_start(io->loop, serve, io), "no stack");
}

int main(int argc, char **argv)
{
    struct hark_loop *loop = example_open();
    if (argc > 2 && chdir(argv[2]) != 0) example_require(hark_error_from_os(errno), argv[2]);
    example_listen(loop, argc > 1 ? argv[1] : "127.0.0.1:0", on_accept);
    return example_run(loop);
}
