/* Not ours: a SIGSEGV waits until sigsuspend or ppoll lets it in, and is blocked behind them. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t came;

static void on_signal(int number) { came++; }

int main(void)
{
    sigset_t all, none;
    sigfillset(&all), sigemptyset(&none);
    signal(SIGSEGV, on_signal);
    sigprocmask(SIG_BLOCK, &all, NULL);
    raise(SIGSEGV);
    printf("%d", came);
    printf(" %d", sigsuspend(&none));
    raise(SIGSEGV);
    printf(" %d", came);
    printf(" %d %d", ppoll(NULL, 0, NULL, &none), came);
    raise(SIGSEGV), sigpending(&none);
    printf(" %d %d\n", sigismember(&none, SIGSEGV), came);
}
