/* Locks of threads, told where they are held by somebody else at that moment; waits for a condition
 * or the end of a thread always. A lock that is free is taken as libc would take it. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#include "blocking/blocking.h"

EXPORT int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!thread_is_watched()) return REAL(pthread_mutex_lock)(mutex);
    int error = REAL(pthread_mutex_trylock)(mutex);
    if (error != EBUSY) return error;
    report_call("pthread_mutex_lock(%p), held by another", (void *)mutex);
    return REAL(pthread_mutex_lock)(mutex);
}

EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    if (!thread_is_watched()) return REAL(pthread_rwlock_rdlock)(lock);
    int error = REAL(pthread_rwlock_tryrdlock)(lock);
    if (error != EBUSY) return error;
    report_call("pthread_rwlock_rdlock(%p), held by another", (void *)lock);
    return REAL(pthread_rwlock_rdlock)(lock);
}

EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    if (!thread_is_watched()) return REAL(pthread_rwlock_wrlock)(lock);
    int error = REAL(pthread_rwlock_trywrlock)(lock);
    if (error != EBUSY) return error;
    report_call("pthread_rwlock_wrlock(%p), held by another", (void *)lock);
    return REAL(pthread_rwlock_wrlock)(lock);
}

EXPORT int sem_wait(sem_t *semaphore)
{
    if (!thread_is_watched()) return REAL(sem_wait)(semaphore);
    if (REAL(sem_trywait)(semaphore) == 0) return 0;
    if (errno == EAGAIN) report_call("sem_wait(%p)", (void *)semaphore);
    return REAL(sem_wait)(semaphore);
}

EXPORT int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    if (!thread_is_watched()) return REAL(sem_timedwait)(semaphore, until);
    if (REAL(sem_trywait)(semaphore) == 0) return 0;
    if (errno == EAGAIN) report_call("sem_timedwait(%p)", (void *)semaphore);
    return REAL(sem_timedwait)(semaphore, until);
}

EXPORT int pthread_cond_wait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex)
{
    if (thread_is_watched()) report_call("pthread_cond_wait(%p)", (void *)condition);
    return REAL(pthread_cond_wait)(condition, mutex);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                                  pthread_mutex_t *restrict mutex,
                                  const struct timespec *restrict until)
{
    if (thread_is_watched()) report_call("pthread_cond_timedwait(%p)", (void *)condition);
    return REAL(pthread_cond_timedwait)(condition, mutex, until);
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *restrict condition,
                                  pthread_mutex_t *restrict mutex, clockid_t clock,
                                  const struct timespec *restrict until)
{
    if (thread_is_watched()) report_call("pthread_cond_clockwait(%p)", (void *)condition);
    return REAL(pthread_cond_clockwait)(condition, mutex, clock, until);
}

EXPORT int pthread_join(pthread_t joined, void **result)
{
    if (thread_is_watched()) report_call("pthread_join()");
    return REAL(pthread_join)(joined, result);
}
