/* The report from its opening to its end: who gets what, and what is said if that fails. */
#include "stalls/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "show/format.h"
#include "stalls/report_parts.h"

static void complain(const char *path)
{
    char safe[WORDS_ROOM];
    fprintf(stderr, "hark stalls: cannot write %s: %s\n", format_safe(path, safe, sizeof safe),
            strerror(errno));
}

static bool is_standard_output(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

static const char *path_of(const struct report *report, int file)
{
    const struct report_options *options = &report->options;
    return file == 0 ? options->json : file == 1 ? options->fold : options->svg;
}

/* Tells at the beginning what could not be written at the end, when much time has been spent. */
static bool claim_file(struct report *report, int file)
{
    const char *path = path_of(report, file);
    if (path == NULL || is_standard_output(path)) return true;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    report->is_new[file] = fd >= 0;
    if (fd < 0 && errno == EEXIST) fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        complain(path);
        return false;
    }
    close(fd);
    return true;
}

struct report *report_open(const struct report_options *options)
{
    struct report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        fprintf(stderr, "hark stalls: %s\n", strerror(errno));
        return NULL;
    }
    report->options = *options;
    if (options->folder != NULL)
        snprintf(report->folder, sizeof report->folder, "%s/", options->folder);
    report->has_color = report_has_color(stderr);
    for (int i = 0; i < GROUP_BUCKETS; i++) report->group_buckets[i] = -1;
    for (int file = 0; file < REPORT_FILES; file++) {
        if (claim_file(report, file)) continue;
        report_close(report);
        return NULL;
    }
    return report;
}

void report_stall(struct report *report, const struct stall *stall)
{
    struct record record;
    if (report_keep(report, stall, &record) && report->options.wants_lines)
        report_print_line(report, &record);
}

/* Writes one of the files, whole or with a complaint. */
static int write_file(const struct report *report, const struct report_facts *facts,
                      const char *path, report_writer *writer)
{
    if (path == NULL) return 0;
    FILE *to = is_standard_output(path) ? stdout : fopen(path, "we");
    if (to == NULL) {
        complain(path);
        return -1;
    }
    writer(report, facts, to);
    bool is_written = fflush(to) == 0 && !ferror(to);
    int why = errno;
    if (to != stdout && fclose(to) != 0 && is_written) {
        is_written = false;
        why = errno;
    }
    if (is_written) return 0;
    errno = why;
    complain(is_standard_output(path) ? "standard output" : path);
    if (is_standard_output(path)) clearerr(stdout); /* told once */
    return -1;
}

int report_end(struct report *report, const struct report_facts *facts)
{
    static report_writer *const writers[] = { report_json, report_fold, report_picture };
    FILE *to = stdout;
    for (int file = 0; file < REPORT_FILES; file++)
        if (is_standard_output(path_of(report, file))) to = stderr;
    report->has_ended = true;
    /* Asked before the first write: isatty(3) would hide why one failed. */
    report->has_color_at_end = report_has_color(to);
    report_rank(report);
    report_print(report, facts, to);
    int failed = 0;
    if (fflush(to) != 0 || ferror(to)) {
        complain("the report");
        clearerr(to);
        failed = -1;
    }
    for (int file = 0; file < REPORT_FILES; file++)
        if (write_file(report, facts, path_of(report, file), writers[file]) < 0) failed = -1;
    return failed;
}

/* Files that were made for a report that never came are taken away again. */
void report_close(struct report *report)
{
    if (report == NULL) return;
    for (int file = 0; file < REPORT_FILES; file++)
        if (report->is_new[file] && !report->has_ended) unlink(path_of(report, file));
    report_forget(report);
    free(report);
}
