/* Stands for the system's <poll.h>: all is in stub.h. */
#include "stub.h"
