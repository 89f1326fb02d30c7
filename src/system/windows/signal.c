/* <signal.h> over the two ways in which Windows tells of a signal: the C library calls a handler on
 * the thread that raises one, and the system starts a thread for what happens to the console.
 *
 *  1. The C library puts the default back before it calls a handler: SIG_DFL in the place of ours
 *     is its doing. What it has cannot be asked for but by setting another: on_raise(), which is
 *     right at any moment, since it looks at the table under the lock.
 *  2. The system calls handlers of the console under a lock that it takes to add or to remove one,
 *     too. Ours is never removed: it passes on what nobody listens for. It is put in front of the
 *     others when the first handler of all is set.
 *  3. When the console is closed the process ends as soon as that handler returns, or some seconds
 *     later: it does not return, and the program ends by itself. */
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>
#include <winsock2.h>

typedef void handler_fn(int number);
typedef void action_fn(int number, siginfo_t *info, void *context);

static action_fn *actions[NSIG]; /* of our own; NULL: none */
static int action_count;
static SRWLOCK lock = SRWLOCK_INIT;
static bool is_registered, is_closing;
static _Thread_local bool is_on_console, is_passed_on;

/* What the C library does not have, it never calls. */
static bool is_raised(int number)
{
    return number == SIGINT || number == SIGTERM || number == SIGABRT || number == SIGBREAK;
}

static void on_raise(int number)
{
    siginfo_t info = { .si_pid = getpid() };
    AcquireSRWLockExclusive(&lock);
    action_fn *action = actions[number];
    if (action != NULL) (void)signal(number, on_raise); /* rule 1 */
    ReleaseSRWLockExclusive(&lock);
    if (action != NULL) action(number, &info, NULL);
    else (void)(raise)(number); /* what was there before is back, or soon to be found */
}

/* What the C library calls, or on_raise() for ours. Under the lock. */
static handler_fn *current(int number)
{
    bool is_ours = actions[number] != NULL;
    if (!is_raised(number)) return is_ours ? on_raise : SIG_DFL;
    handler_fn *handler = signal(number, on_raise);
    if (is_ours && handler == SIG_DFL) return on_raise;
    if (handler != on_raise) (void)signal(number, handler);
    return handler;
}

static int number_of(DWORD event)
{
    switch (event) {
    case CTRL_C_EVENT: return SIGINT;
    case CTRL_BREAK_EVENT: return SIGBREAK;
    case CTRL_CLOSE_EVENT: return SIGHUP;
    case CTRL_SHUTDOWN_EVENT: return SIGTERM;
    default: return 0; /* some user logs off, who need not be this one */
    }
}

/* FALSE: the handler before this one is asked. */
static BOOL WINAPI on_console(DWORD event)
{
    siginfo_t info = { 0 };
    int number = number_of(event);
    bool ends = event == CTRL_CLOSE_EVENT || event == CTRL_SHUTDOWN_EVENT;
    AcquireSRWLockExclusive(&lock);
    action_fn *action = actions[number];
    if (action != NULL && current(number) != on_raise) action = NULL; /* the program's own is set */
    if (action != NULL && ends) is_closing = true;
    ReleaseSRWLockExclusive(&lock);
    if (action == NULL) return FALSE;
    is_on_console = true;
    is_passed_on = false;
    action(number, &info, NULL);
    is_on_console = false;
    if (is_passed_on) return FALSE;
    if (ends) Sleep(INFINITE); /* rule 3 */
    return TRUE;
}

int system_raise(int number)
{
    if (!is_on_console) return (raise)(number);
    is_passed_on = true;
    return 0;
}

/* Under the lock; true: the console's handler is to be put in front. */
static bool change(int number, const struct sigaction *to)
{
    bool was_ours = actions[number] != NULL, is_ours = to->sa_flags & SA_SIGINFO;
    actions[number] = is_ours ? to->sa_sigaction : NULL;
    if (is_raised(number)) (void)signal(number, is_ours ? on_raise : to->sa_handler);
    action_count += is_ours - was_ours;
    return is_ours && !was_ours && action_count == 1 && !is_closing;
}

/* Rule 2; refused: events of the console come by the C library, or not at all. */
static void put_in_front(void)
{
    if (is_registered) (void)SetConsoleCtrlHandler(on_console, FALSE);
    is_registered = SetConsoleCtrlHandler(on_console, TRUE);
}

int system_sigaction(int number, const struct sigaction *to, struct sigaction *from)
{
    bool is_first = false;
    if (number != SIGHUP && !is_raised(number)) return -1;
    AcquireSRWLockExclusive(&lock);
    handler_fn *handler = from != NULL ? current(number) : SIG_DFL;
    if (from != NULL && handler != on_raise) *from = (struct sigaction){ .sa_handler = handler };
    else if (from != NULL)
        *from = (struct sigaction){ .sa_sigaction = actions[number], .sa_flags = SA_SIGINFO };
    if (to != NULL) is_first = change(number, to);
    ReleaseSRWLockExclusive(&lock);
    if (is_first) put_in_front();
    return 0;
}
