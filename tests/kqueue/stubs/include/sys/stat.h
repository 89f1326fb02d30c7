/* Stands for the system's <sys/stat.h>: all is in stub.h. */
#include "stub.h"
