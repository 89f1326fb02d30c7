/* One table-driven option parser for all subcommands.
 *
 * A mistake is one line that says what is wrong and what would be right. Help is made from the same
 * table, so that it cannot lag behind. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,      /* bool: given or not */
    OPTION_TEXT,      /* const char *: any text but the empty one */
    OPTION_BACKEND,   /* const char *: a backend's name, or several with commas */
    OPTION_COUNT,     /* int64_t: a whole number */
    OPTION_SIZE,      /* int64_t: bytes; 64, 16k, 1m */
    OPTION_DURATION,  /* int64_t: nanoseconds; 500ms, 5s, 2m */
};

struct option {
    const char *name;    /* with its two hyphens; or a hyphen and a letter */
    const char *value;   /* what its value is called in the help; NULL for a flag */
    const char *help;    /* one line; the default in it */
    enum option_kind kind;
    void *to;            /* where the value goes, of the kind's type */
    int64_t min, max;    /* COUNT, SIZE and DURATION */
};

struct command {
    const char *name;
    const char *summary;         /* one line, for the list of commands */
    const char *operand;         /* such as "HOST:PORT", which must then be given; or NULL */
    const char *operand_example;
    char ***rest;                /* not NULL: the first operand and all after it go here, options of
                                  * another command included; NULL goes there without any */
    const char *about;           /* paragraphs of the help between usage and options */
    const struct option *options;
    size_t option_count;
};

enum options_outcome { OPTIONS_GO, OPTIONS_HELPED, OPTIONS_WRONG };

/* Reads a subcommand's arguments into where the table says.
 *
 * argv     argv[0] is the subcommand.
 * operand  receives the operand; may be NULL if the command has none.
 * Result   OPTIONS_GO; OPTIONS_HELPED: the help was printed; OPTIONS_WRONG: a complaint was.
 */
enum options_outcome options_parse(const struct command *command, int argc, char **argv,
                                   const char **operand);

/* Finds the word that someone who typed `typed` most likely meant.
 *
 * Result one of words, or NULL if none is near.
 */
const char *options_nearest(const char *typed, const char *const *words, size_t count);

/* Reads a whole number, a size or a duration.
 *
 * Result 0, or -1 if text is none of that kind or overflows.
 */
int options_number(enum option_kind kind, const char *text, int64_t *number);

#endif
