/* Not ours: a sent SIGSEGV waits while it is blocked, and comes when it is not. */
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t came;

static void on_signal(int number) { came = number; }

int main(void)
{
    sigset_t set, pending, old;
    puts("before");
    signal(SIGSEGV, on_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGSEGV);
    sigpending(&pending);
    printf("%d %d", sigismember(&old, SIGSEGV), sigismember(&pending, SIGSEGV));
    printf(" %d", came);
    sigprocmask(SIG_UNBLOCK, &set, &old);
    printf(" %d %d\n", sigismember(&old, SIGSEGV), came);
    return 0;
}
