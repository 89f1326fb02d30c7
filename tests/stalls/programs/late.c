/* A library that a program loads late: its function holds the thread until the flag is raised. */
void late_spin(volatile int *wants_end, volatile long *count);

void late_spin(volatile int *wants_end, volatile long *count)
{
    while (!*wants_end) ++*count;
}
