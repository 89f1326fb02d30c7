/* Stands for the system's <unistd.h>: all is in stub.h. */
#include "stub.h"
