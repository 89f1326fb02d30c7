/* Looks many names up at once, and prints the addresses of each as they come.
 *
 *     resolve [-s SERVER:PORT] [NAME...]        without names: a name a line from standard input
 *
 * Each look-up is an op with a deadline; thousands may be under way. At the end a line on standard
 * error says how many names there were, and the exit code is 1 if one of them has no address. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "example.h"

enum { ROOM = 16 };

struct search {
    struct hark_op op;
    struct hark_dns_answer answer;
    struct hark_dns_record records[ROOM];
    char name[256];
};

static size_t found_count, failed_count;

static void print_address(const struct hark_dns_record *record)
{
    char text[INET6_ADDRSTRLEN];
    const void *addr = &record->addr.v4.sin_addr;
    if (record->type == HARK_DNS_AAAA) addr = &record->addr.v6.sin6_addr;
    printf(" %s", inet_ntop(record->addr.any.sa_family, addr, text, sizeof text));
}

static void on_answer(struct hark_op *op)
{
    struct search *search = op->user;
    printf("%s:", search->name);
    for (int64_t i = 0; i < op->result; i++) print_address(&search->records[i]);
    if (op->result < 0) printf(" %s", hark_strerror(op->result));
    if (search->answer.found_count > ROOM) printf(" ...");
    putchar('\n');
    if (op->result < 0) failed_count++;
    else found_count++;
    free(search);
}

static void look_up(struct hark_loop *loop, const char *name)
{
    struct search *search = calloc(1, sizeof *search);
    example_require(search == NULL ? HARK_ENOMEM : 0, name);
    snprintf(search->name, sizeof search->name, "%s", name);
    search->answer.records = search->records;
    search->answer.room_count = ROOM;
    search->op.user = search;
    search->op.deadline_ns = hark_after(loop, 10 * HARK_SECOND);
    hark_resolve(&search->op, loop, name, HARK_DNS_ADDRESSES, &search->answer, on_answer);
}

static void look_up_lines(struct hark_loop *loop)
{
    char line[512];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0') look_up(loop, line);
    }
}

int main(int argc, char **argv)
{
    struct hark_loop *loop = example_open();
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        const struct hark_dns_options options = { .servers = argv[2] };
        example_require(hark_dns_configure(loop, &options), argv[2]);
        first = 3;
    }
    if (first == argc) look_up_lines(loop);
    for (int i = first; i < argc; i++) look_up(loop, argv[i]);
    int code = example_run(loop);
    fprintf(stderr, "%zu names: %zu found, %zu not\n", found_count + failed_count, found_count,
            failed_count);
    return failed_count != 0 ? EXIT_FAILURE : code;
}
