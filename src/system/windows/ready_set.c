/* A completion port cannot be waited for together with other things, so there is no set, and a loop
 * is not lent; see ready_set.h. */
#include "system/ready_set.h"

#include <errno.h>

int ready_set_open(struct ready_set *set)
{
    (void)set;
    return -EOPNOTSUPP;
}

/* None is ever open for the rest. */
void ready_set_close(struct ready_set *set, bool is_inherited) { (void)set, (void)is_inherited; }

int ready_set_watch(struct ready_set *set, int fd, unsigned want)
{
    (void)set, (void)fd, (void)want;
    return -EOPNOTSUPP;
}

void ready_set_look(struct ready_set *set) { (void)set; }
void ready_set_arm(struct ready_set *set, int64_t when) { (void)set, (void)when; }
