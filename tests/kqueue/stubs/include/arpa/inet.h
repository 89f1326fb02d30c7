/* Stands for the system's <arpa/inet.h>: all is in stub.h. */
#include "stub.h"
