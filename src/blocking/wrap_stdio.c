/* Streams of stdio: libc reads and writes for them by itself, so their descriptors are asked
 * here. */
#include <features.h>
#undef __USE_EXTERN_INLINES /* libc's header would define getline() itself */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "blocking/blocking.h"

static void check_stream(const char *call, FILE *stream, enum descriptor_way way)
{
    char text[DESCRIPTOR_TEXT];
    if (!thread_is_watched() || stream == NULL) return;
    int fd = fileno(stream);
    if (fd < 0 || !descriptor_can_block(fd, 0, way)) return;
    report_call("%s(%s)", call, descriptor_text(fd, text));
}

static void check_path(const char *call, const char *path, const char *mode)
{
    bool is_both = false;
    for (const char *at = mode; at != NULL && *at != '\0'; at++) is_both |= *at == '+';
    path_check_open(call, AT_FDCWD, path, is_both ? O_RDWR : O_RDONLY);
}

EXPORT FILE *fopen(const char *restrict path, const char *restrict mode)
{
    check_path("fopen", path, mode);
    return REAL(fopen)(path, mode);
}

EXPORT FILE *fopen64(const char *restrict path, const char *restrict mode)
{
    check_path("fopen", path, mode);
    return REAL(fopen64)(path, mode);
}

EXPORT FILE *freopen(const char *restrict path, const char *restrict mode, FILE *restrict stream)
{
    check_path("freopen", path, mode);
    return REAL(freopen)(path, mode, stream);
}

EXPORT size_t fread(void *restrict buf, size_t size, size_t count, FILE *restrict stream)
{
    check_stream("fread", stream, WAY_IN);
    return REAL(fread)(buf, size, count, stream);
}

EXPORT char *fgets(char *restrict text, int room, FILE *restrict stream)
{
    check_stream("fgets", stream, WAY_IN);
    return REAL(fgets)(text, room, stream);
}

EXPORT int fgetc(FILE *stream)
{
    check_stream("fgetc", stream, WAY_IN);
    return REAL(fgetc)(stream);
}

EXPORT int getc(FILE *stream)
{
    check_stream("getc", stream, WAY_IN);
    return REAL(getc)(stream);
}

EXPORT ssize_t getline(char **restrict line, size_t *restrict room, FILE *restrict stream)
{
    check_stream("getline", stream, WAY_IN);
    return REAL(getline)(line, room, stream);
}

EXPORT ssize_t getdelim(char **restrict line, size_t *restrict room, int end,
                        FILE *restrict stream)
{
    check_stream("getdelim", stream, WAY_IN);
    return REAL(getdelim)(line, room, end, stream);
}

EXPORT size_t fwrite(const void *restrict buf, size_t size, size_t count, FILE *restrict stream)
{
    check_stream("fwrite", stream, WAY_OUT);
    return REAL(fwrite)(buf, size, count, stream);
}

EXPORT int fputs(const char *restrict text, FILE *restrict stream)
{
    check_stream("fputs", stream, WAY_OUT);
    return REAL(fputs)(text, stream);
}

EXPORT int fputc(int byte, FILE *stream)
{
    check_stream("fputc", stream, WAY_OUT);
    return REAL(fputc)(byte, stream);
}

EXPORT int putc(int byte, FILE *stream)
{
    check_stream("putc", stream, WAY_OUT);
    return REAL(putc)(byte, stream);
}

EXPORT int vfprintf(FILE *restrict stream, const char *restrict format, va_list values)
{
    check_stream("vfprintf", stream, WAY_OUT);
    return REAL(vfprintf)(stream, format, values);
}

EXPORT int fprintf(FILE *restrict stream, const char *restrict format, ...)
{
    va_list values;
    check_stream("fprintf", stream, WAY_OUT);
    va_start(values, format);
    int length = REAL(vfprintf)(stream, format, values);
    va_end(values);
    return length;
}

EXPORT int fflush(FILE *stream)
{
    check_stream("fflush", stream, WAY_OUT);
    return REAL(fflush)(stream);
}

EXPORT int fclose(FILE *stream)
{
    check_stream("fclose", stream, WAY_OUT);
    return REAL(fclose)(stream);
}

/* What programs compiled with _FORTIFY_SOURCE call. */

size_t __fread_chk(void *restrict buf, size_t room, size_t size, size_t count,
                   FILE *restrict stream);
char *__fgets_chk(char *restrict text, size_t room, int wanted, FILE *restrict stream);
int __vfprintf_chk(FILE *restrict stream, int flag, const char *restrict format, va_list values);
int __fprintf_chk(FILE *restrict stream, int flag, const char *restrict format, ...);

EXPORT size_t __fread_chk(void *restrict buf, size_t room, size_t size, size_t count,
                          FILE *restrict stream)
{
    check_stream("fread", stream, WAY_IN);
    return REAL(__fread_chk)(buf, room, size, count, stream);
}

EXPORT char *__fgets_chk(char *restrict text, size_t room, int wanted, FILE *restrict stream)
{
    check_stream("fgets", stream, WAY_IN);
    return REAL(__fgets_chk)(text, room, wanted, stream);
}

EXPORT int __vfprintf_chk(FILE *restrict stream, int flag, const char *restrict format,
                          va_list values)
{
    check_stream("vfprintf", stream, WAY_OUT);
    return REAL(__vfprintf_chk)(stream, flag, format, values);
}

EXPORT int __fprintf_chk(FILE *restrict stream, int flag, const char *restrict format, ...)
{
    va_list values;
    check_stream("fprintf", stream, WAY_OUT);
    va_start(values, format);
    int length = REAL(__vfprintf_chk)(stream, flag, format, values);
    va_end(values);
    return length;
}
