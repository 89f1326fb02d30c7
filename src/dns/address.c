/* Names and numeric addresses as text: read, checked, turned round. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "dns/dns.h"

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 253 };

bool address_is_name(const char *name)
{
    size_t len = strnlen(name, NAME_BYTES), label = 0;
    bool ends_in_dot = len > 1 && name[len - 1] == '.';
    if (len == 0 || len - ends_in_dot > NAME_MAX_BYTES) return false;
    for (size_t i = 0; i < len; i++) {
        bool is_dot = name[i] == '.';
        if (is_dot && label == 0) return false;
        label = is_dot ? 0 : label + 1;
        if (label > LABEL_MAX) return false;
    }
    return true;
}

/* "fe80::1%eth0": the part behind the sign names the link. */
static bool read_v6(const char *text, struct sockaddr_in6 *v6)
{
    char address[INET6_ADDRSTRLEN];
    const char *sign = strchr(text, '%');
    size_t len = sign != NULL ? (size_t)(sign - text) : strlen(text);
    if (len >= sizeof address) return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1) return false;
    v6->sin6_family = AF_INET6;
    if (sign == NULL) return true;
    v6->sin6_scope_id = if_nametoindex(sign + 1);
    if (v6->sin6_scope_id == 0) v6->sin6_scope_id = (uint32_t)strtoul(sign + 1, NULL, 10);
    return v6->sin6_scope_id != 0;
}

bool address_read(const char *text, struct hark_dns_record *record)
{
    memset(record, 0, sizeof *record);
    if (inet_pton(AF_INET, text, &record->addr.v4.sin_addr) == 1) {
        record->type = HARK_DNS_A;
        record->addr.v4.sin_family = AF_INET;
        return true;
    }
    memset(record, 0, sizeof *record);
    record->type = HARK_DNS_AAAA;
    return read_v6(text, &record->addr.v6);
}

/* The name below which the names of an address stand: by byte, or by half byte. */
bool address_reverse(const char *text, char name[NAME_BYTES])
{
    struct hark_dns_record record;
    if (!address_read(text, &record)) return false;
    if (record.type == HARK_DNS_A) {
        unsigned char byte[4];
        memcpy(byte, &record.addr.v4.sin_addr, sizeof byte);
        (void)snprintf(name, NAME_BYTES, "%u.%u.%u.%u.in-addr.arpa", byte[3], byte[2], byte[1],
                       byte[0]);
        return true;
    }
    char *to = name;
    for (int i = 15; i >= 0; i--) {
        unsigned byte = record.addr.v6.sin6_addr.s6_addr[i];
        to += snprintf(to, (size_t)(name + NAME_BYTES - to), "%x.%x.", byte & 15, byte >> 4);
    }
    (void)snprintf(to, (size_t)(name + NAME_BYTES - to), "ip6.arpa");
    return true;
}

int address_port(const char *service)
{
    char *end;
    if (*service >= '0' && *service <= '9') {
        unsigned long port = strtoul(service, &end, 10);
        return *end == '\0' && end - service <= 5 && port <= 65535 ? (int)port : HARK_EINVAL;
    }
    int port = call_service_port(service);
    return port >= 0 ? ntohs((uint16_t)port) : HARK_EINVAL;
}
