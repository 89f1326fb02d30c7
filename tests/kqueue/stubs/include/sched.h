/* Stands for the system's <sched.h>: all is in stub.h. */
#include "stub.h"
