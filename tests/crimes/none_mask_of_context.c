/* Not ours: a handler sees the interrupted mask, and what it makes of it goes on. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

static void on_signal(int number, siginfo_t *info, void *context)
{
    sigset_t *mask = &((ucontext_t *)context)->uc_sigmask;
    printf("%d %d\n", sigismember(mask, SIGSEGV), sigismember(mask, SIGBUS));
    sigaddset(mask, SIGSEGV), sigdelset(mask, SIGBUS);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGBUS);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGSEGV, &action, NULL);
    raise(SIGSEGV);
    sigprocmask(SIG_BLOCK, NULL, &set);
    printf("%d %d\n", sigismember(&set, SIGSEGV), sigismember(&set, SIGBUS));
}
