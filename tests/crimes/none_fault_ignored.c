/* Not ours: SIGSEGV is ignored, but a fault is not a signal that can be ignored. */
#include <signal.h>
#include <stdio.h>

int main(void)
{
    signal(SIGSEGV, SIG_IGN);
    puts("before");
    fflush(stdout);
    volatile int *volatile nowhere = NULL;
    return *nowhere;
}
