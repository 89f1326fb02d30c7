/* Child processes: each ends as it was told to, or by a signal that was sent, and is told once. A
 * child is this program itself, see child_main(). */
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum process_verb { PROCESS_SPAWN = FAMILY_VERBS + 64, PROCESS_WAIT, PROCESS_CLOSE };

enum { CHILDREN = 3, SPAWNS = 6, STAYS = 256 };

struct child {
    struct hark_process process;
    enum state state;          /* CLOSED before the first spawn */
    bool is_spawning;
    pid_t pid;                 /* not waited for yet; or 0 */
    int code;                  /* with which it ends by itself; or STAYS until a signal */
    bool is_killed;
    char text[16];
    const char *argv[4];
    struct hark_process_options options;
};

static struct child *children[CHILDREN];
static unsigned spawn_count;

_Noreturn void child_main(const char *text)
{
    int code = atoi(text);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a run that fails leaves none behind */
    while (code == STAYS) pause(); /* a signal ends it */
    _exit(code);
}

static void spawn(struct child *child)
{
    bool is_absent = one_in(8);
    if (child->is_spawning || child->state != CLOSED || child->pid != 0 || spawn_count == SPAWNS)
        return;
    struct slot *slot = slot_prepare(&processes, PROCESS_SPAWN, child);
    if (slot == NULL) return;
    spawn_count++;
    slot->was_closed = world.is_closing;
    slot->place = is_absent;
    child->is_spawning = true;
    child->is_killed = false;
    child->code = one_in(2) ? STAYS : (int)below(200);
    snprintf(child->text, sizeof child->text, "%d", child->code);
    child->argv[0] = "fuzz";
    child->argv[1] = "--child";
    child->argv[2] = child->text;
    child->options = (struct hark_process_options){
        .argv = child->argv, .program = is_absent ? "/nowhere/at/all" : "/proc/self/exe",
    };
    hark_process_spawn(&slot->op, &child->process, world.loop, &child->options, model_called);
}

static struct slot *begin(struct child *child, int verb)
{
    struct slot *slot = slot_prepare(&processes, verb, child);
    if (slot == NULL) return NULL;
    slot->was_closed = world.is_closing || child->state != OPEN;
    return slot;
}

/* A second one is refused while the first is alive. */
static void wait_for(struct child *child)
{
    bool is_waiting = family_uses(&processes, child);
    struct slot *slot = begin(child, PROCESS_WAIT);
    if (slot == NULL) return;
    slot->place = is_waiting;
    hark_process_wait(&slot->op, &child->process, model_called);
}

static void close_child(struct child *child)
{
    bool is_waiting = family_uses(&processes, child);
    struct slot *slot = begin(child, PROCESS_CLOSE);
    if (slot == NULL) return;
    slot->is_close = true;
    slot->deadline = 0;
    slot->place = is_waiting;
    if (child->state == OPEN) child->state = CLOSING;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *other = world.slots[i];
        if (other != NULL && other->is_alive && other->verb == PROCESS_WAIT &&
            other->subject == child) other->is_cut = true;
    }
    hark_process_close(&slot->op, &child->process, model_called);
}

static void kill_child(struct child *child)
{
    if (hark_process_kill(&child->process, SIGKILL) == 0) child->is_killed = true;
}

/* Takes it by its number, as somebody else's: it was forgotten. */
static void open_again(struct child *child)
{
    if (child->is_spawning || child->state != CLOSED || child->pid == 0 || world.is_closing) return;
    int error = hark_process_open(&child->process, world.loop, child->pid);
    if (error != 0) fail("hark_process_open: %s", hark_strerror(error));
    child->state = OPEN;
}

static void act_on_processes(void)
{
    int place = (int)below(CHILDREN);
    if (children[place] == NULL) {
        children[place] = calloc(1, sizeof **children);
        if (children[place] == NULL) fail("out of memory");
        children[place]->state = CLOSED;
    }
    struct child *child = children[place];
    uint32_t choice = below(10);
    if (child->state == CLOSED && child->pid != 0) open_again(child);
    else if (child->state == CLOSED) spawn(child);
    else if (choice < 6) wait_for(child);
    else if (choice < 9) kill_child(child);
    else close_child(child);
}

/* A child that stays is not waited for in vain: what ends it is still to come. */
static bool is_due(const struct slot *slot)
{
    const struct child *child = slot->subject;
    if (slot->verb != PROCESS_WAIT) return true;
    return child->code != STAYS || child->is_killed;
}

static void check_spawned(struct slot *slot, bool is_decision)
{
    struct child *child = slot->subject;
    child->is_spawning = false;
    if (slot->place && !is_decision && slot->op.result != HARK_ENOENT)
        wrong(slot, "a spawn of nothing");
    if (slot->op.result < 0) {
        if (!slot->place && !is_decision) wrong(slot, "a spawn cannot say that");
        return;
    }
    if (slot->op.result != child->process.pid) wrong(slot, "a spawn tells another child");
    child->pid = child->process.pid;
    child->state = OPEN;
}

static void check_waited(struct slot *slot)
{
    struct child *child = slot->subject;
    int64_t result = slot->op.result;
    if (result == HARK_EALREADY && slot->place) return;
    if (result == HARK_EBADF && (slot->was_closed || slot->place)) return;
    bool is_own_end = child->code != STAYS && result == child->code;
    if (!is_own_end && !(child->is_killed && result == 256 + SIGKILL))
        wrong(slot, "a child did not end like that");
    if (child->pid == 0) wrong(slot, "promise 2: the end of a child is told twice");
    if (waitpid(child->pid, NULL, WNOHANG) != -1 || errno != ECHILD)
        wrong(slot, "a zombie is left");
    child->pid = 0;
    child->state = CLOSED;
}

static void check(struct slot *slot, bool is_decision)
{
    struct child *child = slot->subject;
    if (slot->verb == PROCESS_SPAWN) {
        check_spawned(slot, is_decision);
    } else if (slot->verb == PROCESS_WAIT) {
        if (!is_decision) check_waited(slot);
    } else if (!slot->was_closed) {
        if (slot->op.result == HARK_EBADF && slot->place) return; /* the end came, and closed it */
        if (slot->op.result != 0) wrong(slot, "a close of a process cannot say that");
        child->state = CLOSED;
    } else if (slot->op.result != HARK_EBADF && slot->op.result != HARK_ECANCELED) {
        wrong(slot, "a process was closed twice");
    }
}

static void nothing(void) {} /* children need no help to end */
static size_t no_ios(void) { return 0; }

static void wind_up(void)
{
    for (int i = 0; i < CHILDREN; i++)
        if (children[i] != NULL && children[i]->state == OPEN) close_child(children[i]);
}

static void clear(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        if (children[i] == NULL) continue;
        if (children[i]->pid != 0) {
            kill(children[i]->pid, SIGKILL);
            if (waitpid(children[i]->pid, NULL, 0) != children[i]->pid) fail("a child is lost");
        }
        free(children[i]);
        children[i] = NULL;
    }
    spawn_count = 0;
}

const struct family processes = {
    .act = act_on_processes, .is_due = is_due, .check = check, .help = nothing, .audit = no_ios,
    .wind_up = wind_up, .clear = clear,
};
