/* Not ours: a fault while SIGSEGV is blocked kills, although the program has a handler. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void on_fault(int number) { _exit(number); }

int main(void)
{
    sigset_t all;
    puts("before");
    fflush(stdout);
    signal(SIGSEGV, on_fault);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    volatile int *volatile nowhere = NULL;
    return *nowhere;
}
