/* Not ours: SIGSEGV is sent, and ignored. */
#include <signal.h>
#include <stdio.h>

int main(void)
{
    signal(SIGSEGV, SIG_IGN);
    raise(SIGSEGV);
    puts("after");
    return signal(SIGSEGV, SIG_DFL) == SIG_IGN ? 7 : 8;
}
