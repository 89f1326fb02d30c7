/* <sys/inotify.h> is not here: nothing of it is called. */
