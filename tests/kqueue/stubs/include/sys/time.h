/* Stands for the system's <sys/time.h>: all is in stub.h. */
#include "stub.h"
