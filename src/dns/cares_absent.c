/* In place of cares.c where this build lacks c-ares: names.c then asks the system, and none of
 * these is called but cares_close(). */
#include "dns/dns.h"

const bool cares_is_there = false;

int cares_open(struct names *names)
{
    (void)names;
    return HARK_ENOSYS;
}

void cares_close(struct names *names) { (void)names; }
void cares_ask(struct question *question, const char *name) { (void)question, (void)name; }
void cares_cancel(struct names *names) { (void)names; }

void cares_read_hosts(struct lookup *lookup, enum hark_dns_type type)
{
    (void)lookup, (void)type;
}

unsigned cares_domain_count(const struct names *names)
{
    (void)names;
    return 0;
}

const char *cares_domain(const struct names *names, unsigned index)
{
    (void)names, (void)index;
    return "";
}

int cares_dots(const struct names *names)
{
    (void)names;
    return 1;
}
