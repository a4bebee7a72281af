/* Not ours: siglongjmp brings back the mask of sigsetjmp, longjmp after setjmp none. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

static sigjmp_buf with, without;

static int blocked(void)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, SIGSEGV) * 10 + sigismember(&now, SIGUSR1);
}

int main(void)
{
    sigset_t all;
    printf("%d\n", blocked());
    if (sigfillset(&all) == 0 && sigsetjmp(with, 1) == 0 && sigprocmask(SIG_BLOCK, &all, NULL) == 0)
        siglongjmp(with, blocked());
    printf("%d\n", blocked());
    if (sigsetjmp(without, 0) == 0 && sigprocmask(SIG_BLOCK, &all, NULL) == 0)
        siglongjmp(without, 1);
    printf("%d\n", blocked());
}
