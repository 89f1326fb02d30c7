/* Stands for the system's <sys/resource.h>: all is in stub.h. */
#include "stub.h"
