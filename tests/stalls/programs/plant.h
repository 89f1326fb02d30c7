/* Stalls planted in a loop, and the truth about them: the target itself notes when each began and
 * ended, so that a test compares with what happened and not with what was meant to happen.
 *
 *   busy:MS sleep:MS fifo:MS nested:MS   hold the loop: computing, in nanosleep, reading a pipe,
 *                                        in an epoll loop of its own
 *   idle:MS       lets the loop wait
 *   short:MS      turns of half a millisecond each, and no time to wait
 *   children      starts programs in four ways, and notes whether they know of the shim
 *   fork          a child that waits in epoll itself
 *   exec          goes on as a new program
 *   exit:CODE     the exit code at the end */
#ifndef PLANT_H
#define PLANT_H

/* Begins with the arguments from `first` on. The truth goes to the file that PLANT_OUT names. */
void plant_begin(int argc, char **argv, int first);

/* A turn of the loop: does what comes next. Gives how many ms the loop shall wait, -1:
 * it is over. */
int plant_step(void);

/* A call has failed that cannot, unless somebody interrupts it. */
void plant_failed(const char *call);

/* Writes the truth; gives the exit code. */
int plant_end(void);

#endif
