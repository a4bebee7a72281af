/* Not ours: the handler gets the address, the code and the registers of the fault. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

static void on_fault(int number, siginfo_t *info, void *context)
{
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    printf("%d %p %d %d", number, info->si_addr, info->si_code == SEGV_MAPERR, context != NULL);
    printf(" %d %d\n", sigismember(&now, SIGSEGV), sigismember(&now, SIGUSR2));
    exit(6);
}

int main(void)
{
    puts("before");
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGSEGV, &action, NULL);
    return *(volatile int *volatile)24;
}
