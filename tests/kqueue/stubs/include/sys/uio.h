/* Stands for the system's <sys/uio.h>: all is in stub.h. */
#include "stub.h"
