/* Stands for the system's <sys/select.h>: all is in stub.h. */
#include "stub.h"
