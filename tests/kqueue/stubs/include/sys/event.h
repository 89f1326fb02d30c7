/* Stands for the system's <sys/event.h>: all is in stub.h. */
#include "stub.h"
