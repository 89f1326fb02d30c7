/* The closed error list: numbers, names, texts, and the way there from errno. */
#include <errno.h>
#include <hark/error.h>

#include "calls.h"

struct error_row { int error, os_error; const char *name, *text; };

#define ERROR_ROW(name, number, text) { HARK_##name, name, #name, text },
#define EUNKNOWN (-1) /* no errno of this number */
#define ECLOSED (-1)
#define ENONAME (-1)
#define ESERVER (-1)

static const struct error_row rows[] = { HARK_ERRORS(ERROR_ROW) };

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* The list numbers its errors -1, -2, ... without a hole, in order. */
static const struct error_row *find(int64_t error)
{
    if (error >= 0 || error < -(int64_t)ROW_COUNT) return NULL;
    return &rows[-error - 1];
}

const char *hark_strerror(int64_t error)
{
    const struct error_row *row = find(error);
    if (row != NULL) return row->text;
    return error == 0 ? "success" : "unknown error";
}

const char *hark_error_name(int64_t error)
{
    const struct error_row *row = find(error);
    if (row != NULL) return row->name;
    return error == 0 ? "OK" : "?";
}

int hark_error_from_os(int os_error)
{
    if (os_error == 0) return HARK_OK;
    os_error = call_errno(os_error);
    if (os_error == EWOULDBLOCK) return HARK_EAGAIN;
    if (os_error == EOPNOTSUPP || os_error == ENOTSUP) return HARK_EOPNOTSUPP;
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].os_error == os_error) return rows[i].error;
    return HARK_EUNKNOWN;
}

const char *hark_version(void) { return HARK_VERSION; }
