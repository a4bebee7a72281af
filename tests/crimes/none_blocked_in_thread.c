/* Not ours: a thread inherits a mask with SIGSEGV; sent to it the signal waits, a fault kills. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
static void on_fault(int number) { printf("came %d\n", number); }

static void *work(void *argument)
{
    sigset_t now, pending;
    pthread_sigmask(SIG_BLOCK, NULL, &now), pthread_kill(pthread_self(), SIGSEGV);
    sigpending(&pending);
    printf("%d %d\n", sigismember(&now, SIGSEGV), sigismember(&pending, SIGSEGV));
    return *(void **volatile)argument;
}

int main(void)
{
    pthread_t thread;
    sigset_t all;
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigfillset(&all), signal(SIGSEGV, on_fault);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_create(&thread, NULL, work, (void *)8);
    return pthread_join(thread, NULL);
}
