/* Stands for the system's <sys/wait.h>: all is in stub.h. */
#include "stub.h"
