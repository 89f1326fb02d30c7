/* Stands for the system's <termios.h>: all is in stub.h. */
#include "stub.h"
