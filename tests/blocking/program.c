/* A loop that makes one call which can block, in a callback: `program LOOP CASE`. For
 * test_blocking.py, which runs it under the detector; `program --list` prints the cases.
 *
 * The line of each call carries its case's name in a comment: the report must name that line.
 * None of the calls waits long, since each must be told even if it is quick. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <hark/blocking.h>
#include <hark/hark.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loops.h"

#if defined(__x86_64__)
enum { STAT_VERSION = 1 };
#else
enum { STAT_VERSION = 0 };
#endif

static char folder[] = "/tmp/hark-blocking-XXXXXX";
static char fifo_path[64], file_path[64];
static int sockets[2], pipes[2], file;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static pthread_t helper;
static atomic_int step;

/* Something that failed although the detector must not change a thing. */
static void require(bool is_so, const char *what)
{
    if (is_so) return;
    fprintf(stderr, "wrong: %s: %s\n", what, strerror(errno));
    exit(3);
}

static void pause_ms(long ms)
{
    hark_blocking_allow_begin();
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
    hark_blocking_allow_end();
}

/* A thread that holds all locks for a moment, and opens the FIFO. */
static void *hold_locks(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
    pthread_rwlock_wrlock(&rwlock);
    atomic_store(&step, 1);
    nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    pthread_rwlock_unlock(&rwlock);
    pthread_mutex_unlock(&mutex);
    sem_post(&semaphore);
    return NULL;
}

static void start_holder(void)
{
    require(pthread_create(&helper, NULL, hold_locks, NULL) == 0, "pthread_create");
    while (atomic_load(&step) == 0) pause_ms(1);
}

static void end_helper(void)
{
    hark_blocking_allow_begin();
    pthread_join(helper, NULL);
    hark_blocking_allow_end();
}

static void *write_fifo(void *arg)
{
    (void)arg;
    int fd = open(fifo_path, O_WRONLY);
    (void)!write(fd, "line\n", 5);
    close(fd);
    return NULL;
}

static void start_fifo_writer(void)
{
    require(pthread_create(&helper, NULL, write_fifo, NULL) == 0, "pthread_create");
}

/* The cases. */

static void do_read(void)
{
    char byte;
    require(write(pipes[1], "x", 1) == 1, "write");           /* write */
    require(read(pipes[0], &byte, 1) == 1, "read");           /* read */
}

static void do_recv(void)
{
    char byte;
    require(send(sockets[1], "x", 1, 0) == 1, "send");        /* send */
    require(recv(sockets[0], &byte, 1, 0) == 1, "recv");      /* recv */
}

static void do_connect(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof addr;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    require(bind(listener, (struct sockaddr *)&addr, len) == 0, "bind");
    require(listen(listener, 1) == 0, "listen");
    require(getsockname(listener, (struct sockaddr *)&addr, &len) == 0, "getsockname");
    require(connect(fd, (struct sockaddr *)&addr, len) == 0, "connect"); /* connect */
    int accepted = accept(listener, NULL, NULL);              /* accept */
    require(accepted >= 0, "accept");
    close(accepted);
    close(fd);
    close(listener);
}

static void do_poll(void)
{
    struct pollfd wanted = { .fd = pipes[0], .events = POLLIN };
    require(poll(&wanted, 1, 1) == 0, "poll");                /* poll */
}

static void do_select(void)
{
    struct timeval moment = { .tv_usec = 1000 };
    require(select(0, NULL, NULL, NULL, &moment) == 0, "select"); /* select */
}

static void do_epoll_wait(void)
{
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    require(epoll_wait(fd, &event, 1, 1) == 0, "epoll_wait"); /* epoll_wait */
    close(fd);
}

static void do_nanosleep(void)
{
    struct timespec moment = { .tv_nsec = 1000000 };
    require(nanosleep(&moment, NULL) == 0, "nanosleep");      /* nanosleep */
}

static void do_usleep(void)
{
    require(usleep(1000) == 0, "usleep");                     /* usleep */
}

static void do_getaddrinfo(void)
{
    struct addrinfo *found;
    if (getaddrinfo("localhost", "80", NULL, &found) != 0) return; /* getaddrinfo */
    freeaddrinfo(found);
}

static void do_open_fifo(void)
{
    char line[8];
    start_fifo_writer();
    int fd = open(fifo_path, O_RDONLY);                       /* open */
    require(fd >= 0, "open");
    require(read(fd, line, sizeof line) == 5, "read");        /* read-fifo */
    close(fd);
    end_helper();
}

static void do_fopen_fifo(void)
{
    char line[8];
    start_fifo_writer();
    FILE *stream = fopen(fifo_path, "r");                     /* fopen */
    require(stream != NULL, "fopen");
    require(fgets(line, sizeof line, stream) != NULL, "fgets"); /* fgets */
    hark_blocking_allow_begin();
    fclose(stream);
    hark_blocking_allow_end();
    end_helper();
}

static void do_slow_files(void)
{
    struct stat found;
    int fd = open(file_path, O_RDWR);                         /* open-slow */
    require(fd >= 0, "open");
    require(stat(file_path, &found) == 0, "stat");            /* stat-slow */
    require(write(fd, "x", 1) == 1, "write");                 /* write-slow */
    close(fd);
}

char *__fgets_chk(char *text, size_t room, int wanted, FILE *stream);
size_t __fread_chk(void *buf, size_t room, size_t size, size_t count, FILE *stream);
int __fprintf_chk(FILE *stream, int flag, const char *format, ...);

/* What _FORTIFY_SOURCE makes of fprintf, fgets and fread. */
static void do_fortified(void)
{
    char text[16] = "";
    FILE *to = fdopen(pipes[1], "w"), *from = fdopen(pipes[0], "r");
    setvbuf(to, NULL, _IONBF, 0);
    require(__fprintf_chk(to, 1, "%d\n%s", 7, "end") == 5, "fprintf"); /* fprintf-chk */
    require(__fgets_chk(text, sizeof text, 8, from) == text, "fgets"); /* fgets-chk */
    require(strcmp(text, "7\n") == 0, "what fgets read");
    require(__fread_chk(text, sizeof text, 1, 3, from) == 3, "fread"); /* fread-chk */
    require(memcmp(text, "end", 3) == 0, "what fread read");
}

/* What stat() was in programs compiled before glibc 2.33: none can be linked anew. */
static void do_old_stat(void)
{
    int (*old)(int, const char *, struct stat *);
    struct stat found = { 0 };
    void *function = dlsym(RTLD_DEFAULT, "__xstat");
    require(function != NULL, "__xstat");
    memcpy(&old, &function, sizeof old);
    require(old(STAT_VERSION, file_path, &found) == 0, "stat"); /* old-stat */
    require(S_ISREG(found.st_mode), "what stat found");
}

static void do_fsync(void)
{
    require(fsync(file) == 0, "fsync");                       /* fsync */
}

static void do_flock(void)
{
    require(flock(file, LOCK_EX) == 0, "flock");              /* flock */
    require(flock(file, LOCK_UN) == 0, "flock");
}

static void do_fcntl(void)
{
    struct flock whole = { .l_type = F_WRLCK };
    require(fcntl(file, F_SETLKW, &whole) == 0, "fcntl");     /* fcntl */
}

static void do_waitpid(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) _exit(7);
    require(waitpid(child, &status, 0) == child, "waitpid");  /* waitpid */
    require(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the child's status");
}

static void do_system(void)
{
    require(system("exit 3") == 3 << 8, "system");            /* system */
}

static void do_mutex(void)
{
    start_holder();
    require(pthread_mutex_lock(&mutex) == 0, "mutex");        /* mutex */
    pthread_mutex_unlock(&mutex);
    end_helper();
}

static void do_rwlock(void)
{
    start_holder();
    require(pthread_rwlock_rdlock(&rwlock) == 0, "rwlock");   /* rwlock */
    pthread_rwlock_unlock(&rwlock);
    end_helper();
}

static void do_semaphore(void)
{
    start_holder();
    require(sem_wait(&semaphore) == 0, "sem_wait");           /* semaphore */
    end_helper();
}

static void do_condition(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    pthread_mutex_lock(&mutex);
    int error = pthread_cond_timedwait(&condition, &mutex, &until); /* condition */
    require(error == ETIMEDOUT, "pthread_cond_timedwait");
    pthread_mutex_unlock(&mutex);
}

static void do_join(void)
{
    start_holder();
    require(pthread_join(helper, NULL) == 0, "pthread_join"); /* join */
}

/* What must not be told. */

static void do_nothing_wrong(void)
{
    char byte, path[64];
    struct pollfd wanted = { .fd = pipes[0], .events = POLLIN };
    require(poll(&wanted, 1, 0) == 0, "poll that only looks");
    require(recv(sockets[0], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN, "MSG_DONTWAIT");
    int quiet[2];
    require(pipe2(quiet, O_NONBLOCK) == 0, "pipe2");
    require(read(quiet[0], &byte, 1) == -1 && errno == EAGAIN, "O_NONBLOCK");
    close(quiet[0]);
    close(quiet[1]);
    require(pread(file, &byte, 1, 0) >= 0 && read(file, &byte, 1) >= 0, "a local file");
    require(write(STDOUT_FILENO, "", 0) == 0, "standard output that has room");
    int event = eventfd(1, 0);
    uint64_t count;
    require(read(event, &count, 8) == 8, "an eventfd that is ready");
    close(event);
    pthread_mutex_lock(&mutex); /* free */
    pthread_mutex_unlock(&mutex);
    require(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "WNOHANG");
    snprintf(path, sizeof path, "%s/none", folder);
    require(open(path, O_RDONLY) == -1 && errno == ENOENT, "errno of open");
    require(flock(file, LOCK_EX | LOCK_NB) == 0, "LOCK_NB");
}

static void do_allowed(void)
{
    hark_blocking_allow_begin();
    hark_blocking_allow_begin();
    do_nanosleep();
    hark_blocking_allow_end();
    do_nanosleep();
    hark_blocking_allow_end();
}

static void *sleep_elsewhere(void *arg)
{
    (void)arg;
    do_nanosleep();
    return NULL;
}

static void do_other_thread(void)
{
    require(pthread_create(&helper, NULL, sleep_elsewhere, NULL) == 0, "pthread_create");
    end_helper();
}

/* What a child does before its exec holds no loop. */
static void do_child(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct timespec moment = { .tv_nsec = 1000000 };
        nanosleep(&moment, NULL);
        _exit(0);
    }
    hark_blocking_allow_begin();
    require(waitpid(child, &status, 0) == child && status == 0, "waitpid");
    hark_blocking_allow_end();
}

/* A loop that is asked for a file all the time, in a thread of its own. */
static void *look_at_files(void *arg)
{
    struct epoll_event event;
    struct stat found;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    (void)arg;
    require(epoll_wait(fd, &event, 1, 1) == 0, "epoll_wait of the other loop");
    while (atomic_load(&step) == 0) require(stat("/", &found) == 0, "stat");
    close(fd);
    return NULL;
}

/* Whatever the other threads were at, the child of a fork goes on; if not, its alarm ends it. */
static void do_forks(void)
{
    struct stat found;
    require(pthread_create(&helper, NULL, look_at_files, NULL) == 0, "pthread_create");
    for (int i = 0; i < 200; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(stat(file_path, &found) != 0);
        }
        hark_blocking_allow_begin();
        require(waitpid(child, &status, 0) == child && status == 0, "the end of a child");
        hark_blocking_allow_end();
    }
    atomic_store(&step, 1);
    end_helper();
}

static void do_address(void)
{
    struct addrinfo *found;
    if (getaddrinfo("127.0.0.1", "80", NULL, &found) == 0) freeaddrinfo(found);
    if (getaddrinfo("::1", "80", NULL, &found) == 0) freeaddrinfo(found);
}

static void do_positioned(void)
{
    char byte;
    require(pwrite(file, "x", 1, 0) == 1, "pwrite");          /* pwrite */
    require(pread(file, &byte, 1, 0) == 1, "pread");          /* pread */
}

static void do_many(void)
{
    for (int i = 0; i < 100; i++) do_nanosleep();
}

static void do_ready_only(void) {}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    { "read", do_read }, { "recv", do_recv }, { "connect", do_connect }, { "poll", do_poll },
    { "select", do_select }, { "epoll_wait", do_epoll_wait }, { "nanosleep", do_nanosleep },
    { "usleep", do_usleep }, { "getaddrinfo", do_getaddrinfo }, { "open", do_open_fifo },
    { "fopen", do_fopen_fifo }, { "slow", do_slow_files }, { "fsync", do_fsync },
    { "flock", do_flock }, { "fcntl", do_fcntl }, { "waitpid", do_waitpid },
    { "system", do_system }, { "mutex", do_mutex }, { "rwlock", do_rwlock },
    { "semaphore", do_semaphore }, { "condition", do_condition }, { "join", do_join },
    { "quiet", do_nothing_wrong }, { "allowed", do_allowed }, { "elsewhere", do_other_thread },
    { "many", do_many }, { "none", do_ready_only },
    { "fortified", do_fortified }, { "old-stat", do_old_stat }, { "forks", do_forks },
    { "child", do_child }, { "address", do_address }, { "positioned", do_positioned },
};

static void make_ground(void)
{
    require(mkdtemp(folder) != NULL, "mkdtemp");
    snprintf(fifo_path, sizeof fifo_path, "%s/fifo", folder);
    snprintf(file_path, sizeof file_path, "%s/file", folder);
    require(mkfifo(fifo_path, 0600) == 0, "mkfifo");
    file = open(file_path, O_RDWR | O_CREAT, 0600);
    require(file >= 0, "open");
    require(pipe(pipes) == 0, "pipe");
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
    require(sem_init(&semaphore, 0, 0) == 0, "sem_init");
    do_nanosleep(); /* not on a loop's thread yet: nothing is told */
}

static void clear_ground(void)
{
    do_nanosleep(); /* no loop any more */
    unlink(fifo_path);
    unlink(file_path);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    void (*run)(void) = NULL;
    for (size_t i = 0; argc == 3 && i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, argv[2]) == 0) run = cases[i].run;
    if (run == NULL) {
        fprintf(stderr, "usage: program LOOP CASE\n");
        return 2;
    }
    make_ground();
    bool is_run = loop_run(argv[1], run);
    clear_ground();
    if (!is_run) return 77; /* no such loop in this build */
    printf("done, watched: %d\n", hark_blocking_is_watched());
    return 0;
}
