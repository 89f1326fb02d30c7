/* Numbers and texts as people and JSON read them: commas between thousands, three digits that
 * matter, a unit that keeps the number small. */
#include "show/format.h"

#include <hark/api.h>
#include <inttypes.h>
#include <string.h>

char *format_count(int64_t number, char *text, size_t room)
{
    char digits[24], with_commas[32];
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
    int len = snprintf(digits, sizeof digits, "%" PRIu64, magnitude);
    size_t used = 0;
    if (number < 0) with_commas[used++] = '-';
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) with_commas[used++] = ',';
        with_commas[used++] = digits[i];
    }
    snprintf(text, room, "%.*s", (int)used, with_commas);
    return text;
}

char *format_things(int64_t number, const char *thing, char *text, size_t room)
{
    char count[32];
    snprintf(text, room, "%s %s%s", format_count(number, count, sizeof count), thing,
             number == 1 ? "" : "s");
    return text;
}

char *format_short(double number, char *text, size_t room)
{
    if (number >= 999.5) return format_count((int64_t)(number + 0.5), text, room);
    snprintf(text, room, "%.*f", number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2, number);
    return text;
}

char *format_duration(int64_t ns, char *text, size_t room)
{
    static const struct { int64_t ns; const char *unit; } units[] = {
        { 3600 * HARK_SECOND, "h" }, { 60 * HARK_SECOND, "m" }, { HARK_SECOND, "s" },
        { HARK_MILLISECOND, "ms" }, { HARK_MICROSECOND, "us" },
    };
    snprintf(text, room, "%s", "0");
    for (size_t i = 0; i < sizeof units / sizeof *units && ns > 0; i++) {
        if (ns % units[i].ns) continue;
        snprintf(text, room, "%" PRId64 "%s", ns / units[i].ns, units[i].unit);
        break;
    }
    return text;
}

char *format_time(int64_t ns, char *text, size_t room)
{
    char number[32];
    double us = (double)ns / 1e3;
    const char *unit = us < 1e3 ? "us" : us < 1e6 ? "ms" : "s";
    double scaled = us < 1e3 ? us : us < 1e6 ? us / 1e3 : us / 1e6;
    snprintf(text, room, "%s %s", format_short(scaled, number, sizeof number), unit);
    return text;
}

char *format_size(int64_t bytes, char *text, size_t room)
{
    const int64_t k = 1024, m = k * k;
    if (bytes >= m && bytes % m == 0) snprintf(text, room, "%" PRId64 "m", bytes / m);
    else if (bytes >= k && bytes % k == 0) snprintf(text, room, "%" PRId64 "k", bytes / k);
    else snprintf(text, room, "%" PRId64, bytes);
    return text;
}

char *format_bytes(double bytes, char *text, size_t room)
{
    static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++) bytes /= 1000;
    char number[32];
    if (unit == 0) format_count((int64_t)bytes, number, sizeof number);
    else format_short(bytes, number, sizeof number);
    snprintf(text, room, "%s %s", number, units[unit]);
    return text;
}
