/* HOST:PORT on the command line, both ways. */
#ifndef CLI_ADDRESS_H
#define CLI_ADDRESS_H

#include <sys/socket.h>

enum { ADDRESS_TEXT = 80 };

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* Turns "127.0.0.1:7000", "[::1]:7000" or "name:7000" into an address.
 *
 * Result TOOL_OK; else a complaint was printed and this is the exit code.
 */
int address_parse(const char *command, const char *text, struct address *address);

/* Writes "127.0.0.1:7000" or "[::1]:7000" and gives text back. */
char *address_show(const struct address *address, char *text, size_t room);

#endif
