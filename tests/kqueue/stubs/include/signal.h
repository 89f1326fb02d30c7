/* Stands for the system's <signal.h>: all is in stub.h. */
#include "stub.h"
