/* Not ours: a signal that waits is thrown away when it becomes ignored. */
#include <signal.h>
#include <stdio.h>

static void on_signal(int number) { printf("came %d\n", number); }

int main(void)
{
    sigset_t set, pending;
    signal(SIGSEGV, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 2; i++) {
        raise(SIGSEGV);
        if (i == 1)
            signal(SIGSEGV, SIG_IGN);
        signal(SIGSEGV, on_signal);
        sigpending(&pending);
        printf("%d\n", sigismember(&pending, SIGSEGV));
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        sigprocmask(SIG_BLOCK, &set, NULL);
    }
}
