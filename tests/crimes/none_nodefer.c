/* Not ours: with SA_NODEFER a handler may fault in itself; its mask is blocked in it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int depth;

static void on_fault(int number)
{
    sigset_t now;
    volatile int *volatile nowhere = NULL;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("%d: %d %d\n", depth, sigismember(&now, SIGSEGV), sigismember(&now, SIGBUS));
    exit(++depth == 3 ? 4 : *nowhere);
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
    volatile int *volatile nowhere = NULL;
    sigaddset(&action.sa_mask, SIGBUS);
    sigaction(SIGSEGV, &action, NULL);
    return *nowhere;
}
