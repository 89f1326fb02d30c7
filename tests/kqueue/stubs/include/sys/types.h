/* Stands for the system's <sys/types.h>: all is in stub.h. */
#include "stub.h"
